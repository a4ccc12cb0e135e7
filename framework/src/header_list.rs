//! Headers that are comma-separated lists, and the tokens in them (RFC 9110, 5.6).

use http::{HeaderMap, HeaderName};

/// Returns the items of all headers of this name, in order and without surrounding whitespace.
/// Items that are empty or not UTF-8 are skipped.
pub(crate) fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|item| std::str::from_utf8(item.trim_ascii()).ok())
        .filter(|item| !item.is_empty())
}

/// Returns whether this is a token (RFC 9110, 5.6.2), as the items of most lists and the names of
/// cookies are.
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    #[test]
    fn an_item_that_is_not_utf_8_hides_no_other() {
        let mut headers = HeaderMap::new();
        for line in [&b"keep-alive ,, \xff, caf\xc3\xa9"[..], b"\xe9", b"Upgrade"] {
            let value = HeaderValue::from_bytes(line).unwrap();
            headers.append(header::CONNECTION, value);
        }

        let items: Vec<&str> = items(&headers, header::CONNECTION).collect();

        assert_eq!(items, ["keep-alive", "caf\u{e9}", "Upgrade"]);
    }
}
