//! Headers that are set before the reply exists.

use http::{HeaderMap, header};

/// Adds headers to a reply. A header that the reply already has is kept as it is; cookies add up.
pub(crate) fn complete(reply: &mut HeaderMap, more: &mut HeaderMap) {
    let mut name = None;
    let mut is_kept = false;
    for (next, value) in more.drain() {
        // `drain` yields further values of the same header without its name.
        if next.is_some() {
            name = next;
            is_kept = name
                .as_ref()
                .is_some_and(|name| *name != header::SET_COOKIE && reply.contains_key(name));
        }
        if let (false, Some(name)) = (is_kept, &name) {
            reply.append(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_reply_keeps_its_headers_and_gets_missing_ones() {
        let headers = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(*name, HeaderValue::from_static(value));
            }
            headers
        };
        let mut reply = headers(&[("vary", "origin"), ("set-cookie", "a=1"), ("etag", "7")]);
        let mut more = headers(&[
            ("vary", "cookie"),
            ("vary", "accept"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("link", "<a>"),
            ("link", "<b>"),
        ]);

        complete(&mut reply, &mut more);

        let expected = [
            ("vary", "origin"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("set-cookie", "c=3"),
            ("etag", "7"),
            ("link", "<a>"),
            ("link", "<b>"),
        ];
        assert_eq!(reply, headers(&expected));
    }
}
