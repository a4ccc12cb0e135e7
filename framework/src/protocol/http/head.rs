//! Copies of a request head, for a connection that outlives the request.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, request,
};

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
fn compact(headers: &HeaderMap) -> HeaderMap {
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

/// A request head in little memory: a [`HeaderMap`] takes 100 bytes for each header, a [`Uri`] 88.
#[derive(Clone)]
pub(crate) struct PackedHead {
    /// The method, the URI, and each header's name and value, each behind its length.
    texts: Box<[u8]>,
    version: Version,
    /// The URI, if it cannot be parsed again: its parts may be longer than the parser accepts.
    uri: Option<Box<Uri>>,
    extensions: Extensions,
}

/// Set in the length of a value that is sensitive.
const SENSITIVE: u32 = 1 << 31;

impl PackedHead {
    /// Packs a head, without the headers of these names.
    pub(crate) fn new(head: request::Parts, without: &[HeaderName]) -> Self {
        let uri = head.uri.to_string();
        let is_kept = |name: &HeaderName| !without.contains(name);
        let mut texts = Vec::with_capacity(512);
        put(&mut texts, head.method.as_str().as_bytes(), 0);
        put(&mut texts, uri.as_bytes(), 0);
        for (name, value) in head.headers.iter().filter(|(name, _)| is_kept(name)) {
            let flag = if value.is_sensitive() { SENSITIVE } else { 0 };
            put(&mut texts, name.as_str().as_bytes(), 0);
            put(&mut texts, value.as_bytes(), flag);
        }
        let parses = Uri::try_from(uri).is_ok_and(|parsed| parsed == head.uri);
        Self {
            texts: texts.into(),
            version: head.version,
            uri: (!parses).then(|| Box::new(head.uri)),
            extensions: head.extensions,
        }
    }

    /// Returns the head. The values of its headers share one copy of the packed bytes.
    pub(crate) fn unpack(&self) -> request::Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        let mut texts = Bytes::copy_from_slice(&self.texts);
        let (method, _) = take(&mut texts);
        let (uri, _) = take(&mut texts);
        head.method = Method::from_bytes(&method).expect("it was a method before");
        head.version = self.version;
        head.uri = match &self.uri {
            Some(uri) => Uri::clone(uri),
            None => Uri::from_maybe_shared(uri).expect("it was parsed before"),
        };
        head.extensions = self.extensions.clone();
        while !texts.is_empty() {
            let (name, _) = take(&mut texts);
            let (value, flag) = take(&mut texts);
            let name = HeaderName::from_bytes(&name).expect("it was a name before");
            let mut value = HeaderValue::from_maybe_shared(value).expect("it was a value before");
            value.set_sensitive(flag == SENSITIVE);
            head.headers.append(name, value);
        }
        head
    }
}

fn put(texts: &mut Vec<u8>, text: &[u8], flag: u32) {
    let length = u32::try_from(text.len()).ok();
    let length = length.filter(|length| length & SENSITIVE == 0);
    texts.put_u32(length.expect("a head is smaller than 2 GiB") | flag);
    texts.extend_from_slice(text);
}

/// Takes the next text, and its flag.
fn take(texts: &mut Bytes) -> (Bytes, u32) {
    let length = texts.get_u32();
    let text = texts.split_to((length & !SENSITIVE) as usize);
    (text, length & SENSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;

    #[test]
    fn a_packed_head_is_the_same_without_what_is_dropped() {
        let mut secret = HeaderValue::from_static("a=1; b=2");
        secret.set_sensitive(true);
        let head = Request::get("https://app.example/rooms/7?lang=da")
            .version(Version::HTTP_2)
            .header(header::HOST, "app.example")
            .header("x-empty", "")
            .header("x-tag", "one")
            .header(header::UPGRADE, "websocket")
            .header("x-tag", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .header(header::COOKIE, secret)
            .extension(7_u8);
        let (head, ()) = head.body(()).unwrap().into_parts();
        let mut expected = head.headers.clone();
        expected.remove(header::UPGRADE);

        let unpacked = PackedHead::new(head.clone(), &[header::UPGRADE]).unpack();

        assert_eq!(unpacked.method, head.method);
        assert_eq!(unpacked.version, head.version);
        assert_eq!(unpacked.uri, head.uri);
        assert_eq!(unpacked.headers, expected);
        assert!(unpacked.headers[header::COOKIE].is_sensitive());
        assert!(!unpacked.headers[header::HOST].is_sensitive());
        assert_eq!(unpacked.extensions.get(), Some(&7_u8));
    }

    #[test]
    fn a_uri_that_is_too_long_to_be_parsed_again_is_kept() {
        let path = format!("/{}", "a".repeat(65_530));
        let uri = Uri::builder().scheme("https").authority("app.example");
        let uri = uri.path_and_query(path).build().unwrap();
        assert!(Uri::try_from(uri.to_string()).is_err());
        let (head, ()) = Request::get(uri.clone()).body(()).unwrap().into_parts();

        assert_eq!(PackedHead::new(head, &[]).unpack().uri, uri);
    }
}
