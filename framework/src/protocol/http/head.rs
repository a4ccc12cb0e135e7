//! A copy of a request head, for a connection that outlives the request.

use bytes::BytesMut;
use http::{HeaderMap, HeaderValue, Request, Uri, request};

/// Copies a request head. Header values are slices of hyper's buffer of 8 KiB, which would live as
/// long as the connection.
pub(crate) fn detached(head: &request::Parts) -> request::Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = head.method.clone();
    copy.version = head.version;
    copy.uri = Uri::try_from(head.uri.to_string()).unwrap_or_else(|_| head.uri.clone());
    copy.headers = compact(&head.headers);
    copy
}

/// Copies headers into as little memory as they need: a map never gives back what it has allocated,
/// and its values may be slices of something larger.
pub(crate) fn compact(headers: &HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let values = values.freeze();
    let mut copy = HeaderMap::with_capacity(headers.keys_len());
    let mut start = 0;
    for (name, value) in headers {
        let end = start + value.len();
        let bytes = values.slice(start..end);
        let mut copied = HeaderValue::from_maybe_shared(bytes).expect("it was a value before");
        copied.set_sensitive(value.is_sensitive());
        copy.append(name.clone(), copied);
        start = end;
    }
    copy
}
