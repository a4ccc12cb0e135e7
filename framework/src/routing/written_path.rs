//! A normal form of paths, so that paths which RFC 3986 calls equivalent match the same route.
//!
//! Percent-encoded bytes are decoded, except those of `/` and `%`, which become `%2F` and `%25`: a
//! decoded `%2F` would separate segments, and a decoded `%25` would look like the start of an
//! encoded byte.

use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Returns the normal form of a path. `None` if its percent-encoding is malformed or not UTF-8: no
/// route matches such a path.
pub(super) fn written(path: &str) -> Option<Cow<'_, str>> {
    if !path.contains('%') {
        return Some(Cow::Borrowed(path));
    }
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        match hex(rest.next()?)? << 4 | hex(rest.next()?)? {
            b'/' => bytes.extend(b"%2F"),
            b'%' => bytes.extend(b"%25"),
            escaped => bytes.push(escaped),
        }
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Returns a route with its literal parts in normal form and its parameters unchanged.
pub(super) fn written_route(route: &str) -> Option<String> {
    let mut written_route = String::with_capacity(route.len());
    let mut rest = route;
    while let Some(brace) = rest.find(['{', '}']) {
        let (literal, braced) = rest.split_at(brace);
        // matchit escapes a literal brace by doubling it.
        let end = match braced.get(..2) {
            Some("{{" | "}}") => 2,
            _ => braced.find('}').map_or(braced.len(), |end| end + 1),
        };
        let (parameter, behind) = braced.split_at(end);
        written_route += &written_literal(literal)?;
        written_route += parameter;
        rest = behind;
    }
    Some(written_route + &written_literal(rest)?)
}

fn written_literal(literal: &str) -> Option<String> {
    let literal = written(literal)?;
    Some(literal.replace('{', "{{").replace('}', "}}"))
}

/// Decodes a part of a path in normal form.
pub(super) fn decoded(part: &str) -> Cow<'_, str> {
    // Only `/` and `%` are still encoded, so the result is UTF-8.
    percent_decode_str(part).decode_utf8_lossy()
}

/// Returns the normal form of a path as a server that decodes `%2F`, and malformed percent-encoding
/// literally, reads it.
pub(super) fn read_behind(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.replace('%', "%25")
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
    use proptest::prelude::*;

    #[test]
    fn equivalent_paths_are_written_in_one_way() {
        for (path, expected) in [
            ("/a/b", Some("/a/b")),
            ("/%70/%7e", Some("/p/~")),
            ("/sal\u{f3}n", Some("/sal\u{f3}n")),
            ("/sal%C3%B3n", Some("/sal\u{f3}n")),
            ("/sal%c3%b3n", Some("/sal\u{f3}n")),
            ("/a%2Fb", Some("/a%2Fb")),
            ("/a%2fb", Some("/a%2Fb")),
            ("/a%252Fb", Some("/a%252Fb")),
            ("/100%25", Some("/100%25")),
            ("/%3F%20%00", Some("/? \0")),
            ("/%", None),
            ("/%4", None),
            ("/%zz", None),
            ("/%+1", None),
            ("/%\u{f3}", None),
            ("/%ff", None),
            ("/%C3", None),
        ] {
            assert_eq!(written(path).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn a_route_keeps_its_parameters() {
        for (route, expected) in [
            ("/sal%C3%B3n/{x}", Some("/sal\u{f3}n/{x}")),
            ("/{a}-%70/{*rest}", Some("/{a}-p/{*rest}")),
            ("/{{%70}}", Some("/{{p}}")),
            ("/%7Bx%7D", Some("/{{x}}")),
            ("/{x", Some("/{x")),
            ("/100%", None),
            ("/%{x}", None),
        ] {
            assert_eq!(written_route(route).as_deref(), expected, "{route}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_a_client_encodes_is_decoded_once(text in ".{0,30}") {
            let encoded = percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();

            let path = written(&encoded).unwrap();

            prop_assert!(!path.contains('/'));
            prop_assert_eq!(decoded(&path), text);
        }

        #[test]
        fn any_path_is_written_or_rejected(path in "[/%0-9a-fA-F{}.\u{f3}]{0,20}") {
            if let Some(once) = written(&path) {
                prop_assert_eq!(written(&once), Some(once.clone()));
            }
            _ = written_route(&path);
        }
    }
}
