//! Shapes of HTTP/2 header lists: broken compression (RFC 7541), and malformed requests (RFC 9113,
//! 8.2 and 8.3).

use super::{
    Answers, AnyOf, CALM, COMPRESSION, CONTINUATION, Closes, END_HEADERS, END_STREAM, GET, HEADERS,
    Http2, PROTOCOL, Resets, WHOLE, frame, hello,
};
use crate::hostile::shape::Shape;

/// The RFC requires COMPRESSION_ERROR; h2, under hyper, sends PROTOCOL_ERROR. Either closes the
/// connection.
const BROKEN: Http2 = Closes(&[COMPRESSION, PROTOCOL]);
/// A malformed request (RFC 9113, 8.1.1).
const BAD: Http2 = AnyOf(&[Answers(&[400]), MALFORMED]);
const MALFORMED: Http2 = Resets(&[PROTOCOL]);

pub fn shapes() -> Vec<Shape<Http2>> {
    let mut shapes = Vec::new();
    for (name, rule, block, answer) in compression().into_iter().chain(requests()) {
        let bytes = [hello(), frame(HEADERS, WHOLE, 1, block)].concat();
        shapes.push(Shape::of_bytes(name, rule, bytes, answer));
    }
    for (name, bytes, answer) in large() {
        shapes.push(Shape::of_bytes(
            name,
            "6585, 5",
            [hello(), bytes].concat(),
            answer,
        ));
    }
    shapes
}

type Row = (&'static str, &'static str, Vec<u8>, Http2);

/// Encodes a literal header field without indexing.
fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).ok().filter(|length| *length < 127);
    let short = "a short text";
    [
        &[0, length(name).expect(short)],
        name.as_bytes(),
        &[length(value).expect(short)],
        value.as_bytes(),
    ]
    .concat()
}

#[rustfmt::skip]
fn compression() -> Vec<Row> {
    let after_get = |block: &[u8]| [GET, block].concat();
    vec![
        ("index 0", "7541, 6.1", after_get(&[0x80]), BROKEN),
        ("an index behind the table", "7541, 2.3.3", after_get(&[0xbf]), BROKEN),
        ("an index of 2^32", "7541, 5.1", after_get(&[0xff, 0x81, 0xff, 0xff, 0xff, 0x0f]), BROKEN),
        ("an index that never ends", "7541, 5.1", after_get(&[0xff; 100]), BROKEN),
        (
            "a length that never ends",
            "7541, 5.1",
            after_get(&[
                0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ]),
            BROKEN,
        ),
        ("a name that is cut off", "7541, 5.2", after_get(&[0, 5, b'a']), BROKEN),
        ("a value that is cut off", "7541, 5.2", after_get(&[0, 1, b'a', 9, b'b']), BROKEN),
        ("a field of nothing", "7541, 6.2", after_get(&[0]), BROKEN),
        (
            "Huffman's code with the end in it",
            "7541, 5.2",
            after_get(&[0, 0x84, 0xff, 0xff, 0xff, 0xff, 0]),
            BROKEN,
        ),
        (
            "Huffman's code with long padding",
            "7541, 5.2",
            after_get(&[0, 0x82, 0x1f, 0xff, 0]),
            BROKEN,
        ),
        (
            "Huffman's code with padding of zeros",
            "7541, 5.2",
            after_get(&[0, 0x81, 0x18, 0]),
            BROKEN,
        ),
        (
            "a table larger than allowed",
            "7541, 6.3",
            [&[0x3f, 0xe1, 0xff, 0x03], GET].concat(),
            BROKEN,
        ),
        ("a new size of the table in the middle", "7541, 4.2", after_get(&[0x20]), BROKEN),
    ]
}

#[rustfmt::skip]
fn requests() -> Vec<Row> {
    let with = |name: &str, value: &str| [GET, &field(name, value)].concat();
    let fields = |fields: &[(&str, &str)]| {
        let fields = fields.iter().map(|(name, value)| field(name, value));
        fields.collect::<Vec<_>>().concat()
    };
    let target = |path: &str| [&b"\x82\x86\x41\x01a"[..], &field(":path", path)].concat();
    let authority = |value: &str| [&b"\x82\x86\x84"[..], &field(":authority", value)].concat();
    let at_consumer = |method: &str| {
        [
            &b"\x86\x41\x01a"[..],
            &field(":method", method),
            &field(":path", "/events/room/a"),
        ]
        .concat()
    };
    let method = |method: &str| [&b"\x86\x84\x41\x01a"[..], &field(":method", method)].concat();
    vec![
        ("no method", "8.3.1", b"\x86\x84\x41\x01a".to_vec(), BAD),
        ("no scheme", "8.3.1", b"\x82\x84\x41\x01a".to_vec(), BAD),
        ("no path", "8.3.1", b"\x82\x86\x41\x01a".to_vec(), BAD),
        ("no authority and no host", "8.3.1", b"\x82\x86\x84".to_vec(), NO_HOST),
        ("nothing", "8.3.1", Vec::new(), BAD),
        ("two methods", "8.3", [b"\x83", GET].concat(), BAD),
        ("two paths", "8.3", [b"\x85", GET].concat(), BAD),
        ("two authorities", "8.3", [&b"\x41\x01b"[..], GET].concat(), BAD),
        ("a pseudo-header that nobody knows", "8.3", with(":x", "y"), BAD),
        ("a status", "8.3", with(":status", "200"), BAD),
        ("a protocol without CONNECT", "8441, 4", with(":protocol", "websocket"), BAD),
        (
            "a method behind a header",
            "8.3",
            fields(&[
                ("x", "y"),
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "a"),
            ]),
            BAD,
        ),
        ("an empty path", "8.3.1", target(""), BAD),
        ("a path without a slash", "8.3.1", target("x"), NOT_FOUND),
        ("an asterisk for a path", "8.3.1", target("*"), NOT_FOUND),
        ("a path with a space", "8.3.1", target("/a b"), BAD),
        ("a path with NUL", "8.3.1", target("/\0"), BAD),
        ("a path with CR LF", "8.3.1", target("/ HTTP/1.1\r\nX: y"), BAD),
        ("a URL for a path", "8.3.1", target("http://a/"), NOT_FOUND),
        ("an empty authority", "8.3.1", authority(""), BAD),
        ("an authority with user info", "8.3.1", authority("u:p@a"), BAD),
        ("an authority with a space", "8.3.1", authority("a b"), BAD),
        ("an authority with a path", "8.3.1", authority("a/b"), BAD),
        ("an authority with a bad port", "8.3.1", authority("a:b"), BAD),
        (
            "a host beside the authority",
            "8.3.1",
            with("host", "b"),
            AnyOf(&[Answers(&[200, 400]), MALFORMED]),
        ),
        (
            "two hosts",
            "9110, 7.2",
            [
                &b"\x82\x86\x84"[..],
                &field("host", "a"),
                &field("host", "b"),
            ]
            .concat(),
            BAD,
        ),
        (
            "a host with user info",
            "9110, 7.2",
            [&b"\x82\x86\x84"[..], &field("host", "u@a")].concat(),
            BAD,
        ),
        ("an empty method", "8.3.1", method(""), BAD),
        ("a method with a space", "8.3.1", method("GET /"), BAD),
        ("an unknown method", "9110, 9.1", at_consumer("BREW"), NOT_ALLOWED),
        ("TRACE", "9110, 9.3.8", at_consumer("TRACE"), NOT_ALLOWED),
        ("CONNECT with a path", "8.5", method("CONNECT"), BAD),
        (
            "CONNECT",
            "8.5",
            [&field(":method", "CONNECT")[..], b"\x41\x04a:80"].concat(),
            AnyOf(&[Answers(&[400, 405, 501]), MALFORMED]),
        ),
        (
            "a WebSocket without a version",
            "8441, 5; 6455, 4.4",
            [method("CONNECT"), field(":protocol", "websocket")].concat(),
            AnyOf(&[Answers(&[400, 404, 405, 426]), MALFORMED]),
        ),
        (
            "another protocol than that which is offered",
            "8441, 4",
            [method("CONNECT"), field(":protocol", "connect-udp")].concat(),
            AnyOf(&[Answers(&[400, 404, 405, 501]), MALFORMED]),
        ),
        ("a name in large letters", "8.2.1", with("X", "y"), BAD),
        ("an empty name", "8.2.1", with("", "y"), BAD),
        ("a name with a space", "8.2.1", with("x y", "z"), BAD),
        ("a name with a colon", "8.2.1", with("x:", "y"), BAD),
        ("a value with NUL", "8.2.1", with("x", "\0"), BAD),
        ("a value with CR", "8.2.1", with("x", "a\rb"), BAD),
        ("a value with LF", "8.2.1", with("x", "a\nb: c"), BAD),
        (
            "a value with a space before it",
            "8.2.1",
            with("x", " y"),
            AnyOf(&[Answers(&[200, 400]), MALFORMED]),
        ),
        ("connection", "8.2.2", with("connection", "close"), BAD),
        ("keep-alive", "8.2.2", with("keep-alive", "timeout=5"), BAD),
        ("proxy-connection", "8.2.2", with("proxy-connection", "close"), BAD),
        ("transfer-encoding", "8.2.2", with("transfer-encoding", "chunked"), BAD),
        ("upgrade", "8.2.2", with("upgrade", "websocket"), BAD),
        ("te that is not trailers", "8.2.2", with("te", "gzip"), BAD),
        ("te that is trailers", "8.2.2", with("te", "trailers"), Answers(&[200])),
        (
            "a cookie in two fields",
            "8.2.3",
            [GET, &field("cookie", "a=b"), &field("cookie", "c=d")].concat(),
            Answers(&[200]),
        ),
    ]
}

/// A request without `:authority` and Host.
const NO_HOST: Http2 = AnyOf(&[Answers(&[400]), MALFORMED]);
const NOT_FOUND: Http2 = AnyOf(&[Answers(&[400, 404]), MALFORMED]);
const NOT_ALLOWED: Http2 = AnyOf(&[Answers(&[405, 501]), MALFORMED]);

/// A list over the limit: 431, or an error of the stream or the connection (RFC 9113, 10.5.1).
const TOO_LARGE: Http2 = AnyOf(&[Answers(&[431]), TOO_MUCH]);
const TOO_MUCH: Http2 = Resets(&[CALM, PROTOCOL, COMPRESSION]);

#[rustfmt::skip]
fn large() -> Vec<(&'static str, Vec<u8>, Http2)> {
    // A field of 4,000 bytes in the dynamic table, and then its index, one byte, many times.
    let entry = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000]].concat();
    let bomb = |times| [GET, &entry, &vec![0xbe; times]].concat();
    let long = [&[0, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000]].concat();
    let (start, rest) = (GET, long.repeat(4));
    let many = |count| [GET, &field("x", "y").repeat(count)].concat();
    let in_pieces = |pieces: usize| {
        let mut frames = frame(HEADERS, END_STREAM, 1, start);
        for _ in 0..pieces {
            frames.extend(frame(CONTINUATION, 0, 1, &rest));
        }
        frames.extend(frame(CONTINUATION, END_HEADERS, 1, []));
        frames
    };
    vec![
        ("10 times 4,000 bytes of the table", frame(HEADERS, WHOLE, 1, bomb(10)), Answers(&[200])),
        ("1,000 times 4,000 bytes of the table", frame(HEADERS, WHOLE, 1, bomb(1_000)), TOO_LARGE),
        (
            "12,000 times 4,000 bytes of the table",
            frame(HEADERS, WHOLE, 1, bomb(12_000)),
            TOO_LARGE,
        ),
        ("100 headers", frame(HEADERS, WHOLE, 1, many(99)), Answers(&[200])),
        ("150 headers", frame(HEADERS, WHOLE, 1, many(150)), Answers(&[431])),
        ("headers of 16 KB", in_pieces(1), Answers(&[200])),
        ("headers of 80 KB", in_pieces(5), TOO_LARGE),
        ("headers of 1.6 MB", in_pieces(100), TOO_MUCH),
    ]
}
