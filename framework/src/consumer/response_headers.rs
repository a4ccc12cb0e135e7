//! Headers that are set before the response exists.

use http::{HeaderMap, header};

/// Adds headers to a response. A header that it already has is kept as it is; cookies add up.
pub(crate) fn complete(response: &mut HeaderMap, more: &mut HeaderMap) {
    let mut name = None;
    let mut is_kept = false;
    for (next, value) in more.drain() {
        // `drain` yields further values of the same header without its name.
        if next.is_some() {
            name = next;
            is_kept = name
                .as_ref()
                .is_some_and(|name| *name != header::SET_COOKIE && response.contains_key(name));
        }
        if let (false, Some(name)) = (is_kept, &name) {
            response.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_response_keeps_its_headers_and_gets_missing_ones() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let mut response = headers(&[("vary", "origin"), ("set-cookie", "a=1"), ("etag", "7")]);
        let mut more = headers(&[
            ("vary", "cookie"),
            ("vary", "accept"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("link", "<a>"),
            ("link", "<b>"),
        ]);

        complete(&mut response, &mut more);

        let expected = [
            ("vary", "origin"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("etag", "7"),
            ("link", "<a>"),
            ("link", "<b>"),
        ];
        assert_eq!(response, headers(&expected));
    }
}
