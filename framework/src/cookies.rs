//! The cookies that a client sent.

use cookie::{Cookie, CookieJar};
use http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use std::{collections::BTreeSet, fmt};

/// The cookies that a client sent, with percent-decoded values.
///
/// A pair that is no cookie, or whose value is not UTF-8, is skipped alone, so that another
/// application on this host cannot hide your cookies.
///
/// ```
/// use seaway::{Scope, Cookies, protocol::Http};
///
/// let request = http::Request::get("/").header("cookie", "theme=dark; lang=da");
/// let (head, ()) = request.body(()).unwrap().into_parts();
/// let cookies = Cookies::of(&Scope::<Http>::new(head).head.headers);
/// assert_eq!(cookies.get("lang"), Some("da"));
/// ```
///
/// If several cookies have the same name, the first one counts: here, in
/// [`Handshake::cookie`](crate::Handshake::cookie), and for the session cookie. A browser sends the
/// one with the longest path first, and of those the oldest (RFC 6265, 5.4). Names are
/// case-sensitive and not decoded: `%5F%5FHost-id` is not `__Host-id`, which a
/// browser accepts only from this host and over HTTPS.
///
/// `Cookies` is an extractor: `handshake.extract::<Cookies>().await?`. To set a cookie in a
/// WebSocket handshake, add a `Set-Cookie` header to the [response
/// headers](crate::Handshake::response_headers_mut).
#[derive(Clone, Default)]
pub struct Cookies(CookieJar);

impl Cookies {
    /// Returns the cookies in the `Cookie` headers of a request.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut jar = CookieJar::new();
        for cookie in parse(headers) {
            if jar.get(cookie.name()).is_none() {
                jar.add_original(cookie.into_owned());
            }
        }
        Self(jar)
    }

    /// Returns the value of a cookie.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Cookie::value)
    }

    /// Returns the jar, to verify or decrypt a cookie.
    #[cfg(feature = "sessions")]
    pub(crate) fn jar(&self) -> &CookieJar {
        &self.0
    }
}

/// Without the values, which may be secrets.
impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<_> = self.0.iter().map(Cookie::name).collect();
        f.debug_tuple("Cookies").field(&names).finish()
    }
}

/// Returns the cookies in the `Cookie` headers one by one, in the client's order.
pub(crate) fn parse(headers: &HeaderMap) -> impl Iterator<Item = Cookie<'_>> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .filter_map(pair)
}

/// Parses one pair of a `Cookie` header. Browsers skip only spaces and tabs before they check the
/// prefix of a name, so nothing else is trimmed.
fn pair(bytes: &[u8]) -> Option<Cookie<'_>> {
    let (name, value) = std::str::from_utf8(bytes).ok()?.split_once('=')?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (!name.is_empty()).then(|| Cookie::new(name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::{collection::vec, prelude::*};

    #[test]
    fn the_debug_text_of_cookies_has_their_names_and_no_values() {
        let mut headers = HeaderMap::new();
        let cookies = HeaderValue::from_static("session=secret; lang=da");
        headers.insert(header::COOKIE, cookies);

        let text = format!("{:?}", Cookies::of(&headers));

        assert_eq!(text, r#"Cookies({"lang", "session"})"#);
    }

    fn headers<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> HeaderMap {
        let lines = lines.into_iter();
        let values = lines.filter_map(|line| HeaderValue::from_bytes(line).ok());
        values.map(|value| (header::COOKIE, value)).collect()
    }

    fn names_and_values(line: &[u8]) -> Vec<(String, String)> {
        let headers = headers([line]);
        let owned = |cookie: Cookie<'_>| (cookie.name().to_owned(), cookie.value().to_owned());
        parse(&headers).map(owned).collect()
    }

    #[test]
    fn a_pair_is_read_or_skipped_alone() {
        for (line, expected) in [
            (&b"a=1; b=2"[..], &[("a", "1"), ("b", "2")][..]),
            (b"a=1;b=2;;", &[("a", "1"), ("b", "2")]),
            (b" a\t=\t1 ", &[("a", "1")]),
            (b"name=Zo\xeb; id=7", &[("id", "7")]),
            (
                b"name=Zo\xc3\xab; id=7",
                &[("name", "Zo\u{eb}"), ("id", "7")],
            ),
            (b"\xff; \xff=1; id=7", &[("id", "7")]),
            (b"name=Zo%EB; id=7", &[("id", "7")]),
            (b"name=Zo%C3%AB; id=7", &[("name", "Zo\u{eb}"), ("id", "7")]),
            (b"rate=100%; id=7", &[("rate", "100%"), ("id", "7")]),
            (b"lonely; =1; id=7", &[("id", "7")]),
            (
                b"json={\"a\":\"b=c\"}; id=",
                &[("json", "{\"a\":\"b=c\"}"), ("id", "")],
            ),
            (
                b"i%64=7; \xe2\x80\x80id=8",
                &[("i%64", "7"), ("\u{2000}id", "8")],
            ),
        ] {
            let found = names_and_values(line);
            let found: Vec<_> = found
                .iter()
                .map(|(name, value)| (&**name, &**value))
                .collect();
            assert_eq!(found, expected, "{}", line.escape_ascii());
        }
    }

    #[test]
    fn the_first_of_a_name_counts_in_one_header_and_in_several() {
        for lines in [&[&b"id=1; id=2"[..]][..], &[b"id=1", b"id=2"]] {
            let headers = headers(lines.iter().copied());

            assert_eq!(Cookies::of(&headers).get("id"), Some("1"));
            assert_eq!(parse(&headers).next().unwrap().value(), "1");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_foreign_cookie_hides_ours(
            before in vec(any::<u8>(), 0..60),
            after in vec(any::<u8>(), 0..60),
            value in "[ -:<-~]{0,20}",
        ) {
            // Removes bytes that a header cannot contain.
            let clean = |bytes: Vec<u8>| -> Vec<u8> {
                let fits = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
                bytes.into_iter().filter(fits).collect()
            };
            let ours = format!("; id={}", percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC));
            let line = [clean(before), ours.into_bytes(), b"; ".to_vec(), clean(after)].concat();

            let found = names_and_values(&line);

            prop_assert!(found.contains(&("id".to_owned(), value)));
        }
    }
}
