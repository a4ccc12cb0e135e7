//! The session cookie, by Django's rules.

use crate::{digest::digest, name::GroupName};
use http::{HeaderMap, HeaderValue, header};

/// The shortest session key that Django accepts.
const SHORTEST: usize = 8;
/// The width of the column `session_key`.
const LONGEST: usize = 40;

/// Returns the value of a cookie: of several, the last. Django joins several `Cookie` headers, and
/// decodes no percent-encoding.
pub(super) fn find(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).into_iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (&pair[..equals], &pair[equals + 1..]);
        (key.trim_ascii() == name.as_bytes()).then(|| value.trim_ascii())
    });
    // Keys and signed strings are ASCII, so any other value is nobody's.
    let value = std::str::from_utf8(values.next_back()?).ok()?;
    Some(unquote(value))
}

/// Returns the `Cookie` header with this one cookie; `None` if no session can have such a value, as
/// one that would add a second cookie.
pub(super) fn header(name: &str, value: &str) -> Option<HeaderValue> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\,;".contains(&byte);
    if value.is_empty() || !value.bytes().all(is_plain) {
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("{name}={value}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// Returns the name of the group in which Django announces the end of the session: a digest,
/// because the cookie is secret and a group name is not.
pub(super) fn logout_group(value: &str) -> GroupName {
    let name = GroupName::new(format!("seaway.session.{}", digest(value.as_bytes())));
    name.expect("hexadecimal digits are valid")
}

/// Returns whether this may be the key of a stored session. Django generates 32 lower-case letters
/// and digits, and takes a shorter key than 8 characters for none.
pub(super) fn is_session_key(value: &str) -> bool {
    (SHORTEST..=LONGEST).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Removes the quotes of a value, and resolves `\"` and octal `\ooo` inside, as Python's
/// `http.cookies` does.
fn unquote(value: &str) -> String {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let Some(mut rest) = inner else {
        return value.to_owned();
    };
    let mut unquoted = String::new();
    while let Some((before, escaped)) = rest.split_once('\\') {
        unquoted.push_str(before);
        let octal = escaped.get(..3).filter(|digits| {
            let mut bytes = digits.bytes();
            let first = bytes.next();
            matches!(first, Some(b'0'..=b'3')) && bytes.all(|byte| matches!(byte, b'0'..=b'7'))
        });
        let code = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                unquoted.push(char::from(code));
                rest = &escaped[3..];
            }
            None => {
                let mut characters = escaped.chars();
                // A backslash at the end stands for itself.
                unquoted.push(characters.next().unwrap_or('\\'));
                rest = characters.as_str();
            }
        }
    }
    unquoted.push_str(rest);
    unquoted
}

#[cfg(test)]
mod tests {
    use super::{
        super::vectors::{Vectors, text},
        *,
    };
    use http::HeaderValue;
    use proptest::{collection::vec, prelude::*};

    fn headers(lines: &[&[u8]]) -> HeaderMap {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line));
        values
            .map(|value| (header::COOKIE, value.expect("a header value")))
            .collect()
    }

    #[test]
    fn the_cookie_is_the_one_that_django_reads() {
        for (lines, expected) in [
            (&[&b"sessionid=abc"[..]][..], Some("abc")),
            (&[b"a=1;sessionid = abc ;b=2"], Some("abc")),
            (&[b"sessionid=old; sessionid=new"], Some("new")),
            (&[b"sessionid=old", b"a=1; sessionid=new"], Some("new")),
            (&[b"sessionid=\"abc\""], Some("abc")),
            (&[b"sessionid=\"a\\\"b\\054c\\\\\""], Some("a\"b,c\\")),
            (&[b"sessionid=\""], Some("\"")),
            (&[b"sessionid=\"\\\""], Some("\\")),
            (&[b"sessionid=\"\\08\""], Some("08")),
            (&[b"sessionid=a=b"], Some("a=b")),
            (&[b"sessionid=a%62c"], Some("a%62c")),
            (&[b"sessionid="], Some("")),
            (&[b"sessionid=abc; sessionid=\xff"], None),
            (&[b"Sessionid=abc"], None),
            (&[b"sessionid"], None),
            (&[], None),
        ] {
            let found = find(&headers(lines), "sessionid");
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_for_the_view_is_one_cookie() {
        for (value, expected) in [
            ("abcdefgh", Some("sessionid=abcdefgh")),
            ("e30:1abc:x-_", Some("sessionid=e30:1abc:x-_")),
            ("", None),
            ("abc; sessionid=def", None),
            ("abc;", None),
            ("a,b", None),
            ("a\"b", None),
            ("a\\b", None),
            ("a\r\nHost: b", None),
            ("äbc", None),
        ] {
            let found = header("sessionid", value);
            let found = found.as_ref().map(|header| header.to_str().unwrap());
            assert_eq!(found, expected, "{value}");
        }
    }

    #[test]
    fn what_django_makes_is_a_session_key() {
        let vectors = Vectors::read();
        // `SESSION_COOKIE_NAME` and the key.
        let file = text(&vectors.file_backend, "filename").strip_prefix("sessionid");
        let cached = vectors
            .cache_backend_redis_keys
            .as_object()
            .unwrap()
            .values();
        let cached = cached.map(|key| key.as_str().unwrap());
        let row = text(&vectors.db_row, "session_key");

        for key in cached.chain([row, file.unwrap()]) {
            assert!(is_session_key(key), "{key}");
        }
    }

    #[test]
    fn a_session_key_has_8_to_40_visible_characters() {
        for (key, is_key) in [
            ("abcdefghijklmnopqrstuvwxyz012345", true),
            ("12345678", true),
            ("1234567", false),
            ("", false),
            (&"a".repeat(40), true),
            (&"a".repeat(41), false),
            ("12345678\0", false),
            ("12345678 9", false),
            ("äbcdefgh", false),
        ] {
            assert_eq!(is_session_key(key), is_key, "{key}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_header_is_read_without_a_panic(value in vec(any::<u8>(), 0..40)) {
            let line = [&b"sessionid=\""[..], &value, b"\""].concat();
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
                _ = find(&headers, "sessionid");
            }
        }
    }
}
