//! Shapes of HTTP/2 frames that are invalid in themselves or in their place (RFC 9113, 3.4, 4 to
//! 6).

use super::{
    ACK, Answers, AnyOf, CALM, CONTINUATION, Closes, Continues, DATA, END_HEADERS, END_STREAM,
    FLOW_CONTROL, FRAME_SIZE, GET, GOAWAY, HEADERS, Http2, PADDED, PING, POST, PREFACE, PRIORITY,
    PROTOCOL, PUSH_PROMISE, REFUSED_STREAM, RESET, Resets, SETTINGS, STREAM_CLOSED, WHOLE,
    WINDOW_UPDATE, WITH_PRIORITY, announced, frame, hello,
};
use crate::hostile::shape::Shape;

const BAD: Http2 = Closes(&[PROTOCOL]);
/// The RFC has specific codes for these; h2, under hyper, sends PROTOCOL_ERROR for most.
const BAD_SIZE: Http2 = Closes(&[FRAME_SIZE, PROTOCOL]);
const BAD_FLOW: Http2 = Closes(&[FLOW_CONTROL, PROTOCOL]);

type Row = (&'static str, &'static str, Vec<u8>, Http2);

pub fn shapes() -> Vec<Shape<Http2>> {
    let mut shapes: Vec<_> = prefaces()
        .into_iter()
        .map(|(name, rule, bytes, answer)| Shape::of_bytes(name, rule, bytes, answer))
        .collect();
    let tables = [settings(), controls(), streams(), headers(), data()];
    for (name, rule, bytes, answer) in tables.into_iter().flatten() {
        let bytes = [hello(), bytes].concat();
        shapes.push(Shape::of_bytes(name, rule, bytes, answer));
    }
    shapes
}

#[rustfmt::skip]
fn prefaces() -> Vec<Row> {
    let after = |bytes: &[u8]| [PREFACE, bytes].concat();
    vec![
        ("a request", "3.4", [hello(), frame(HEADERS, WHOLE, 1, GET)].concat(), Answers(&[200])),
        ("junk behind the preface", "3.4", after(&[0xff; 100]), Closes(&[PROTOCOL, FRAME_SIZE])),
        ("zeros behind the preface", "3.4", after(&[0; 100]), BAD),
        (
            "HTTP/1.1 behind the preface",
            "3.4",
            after(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Closes(&[PROTOCOL, FRAME_SIZE]),
        ),
        ("the preface twice", "3.4", after(PREFACE), Closes(&[PROTOCOL, FRAME_SIZE])),
        (
            "a TLS ClientHello behind the preface",
            "3.4",
            after(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
            Closes(&[PROTOCOL, FRAME_SIZE]),
        ),
        (
            "a request before the settings",
            "3.4",
            after(&frame(HEADERS, WHOLE, 1, GET)),
            SETTINGS_FIRST,
        ),
        (
            "an acknowledgement before the settings",
            "3.4",
            after(&frame(SETTINGS, ACK, 0, [])),
            SETTINGS_FIRST,
        ),
    ]
}

/// The first frame must be SETTINGS; a server that accepts another one does no harm.
const SETTINGS_FIRST: Http2 = AnyOf(&[Closes(&[PROTOCOL]), Continues]);

#[rustfmt::skip]
fn settings() -> Vec<Row> {
    let set = |id: u16, value: u32| {
        let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        frame(SETTINGS, 0, 0, payload)
    };
    vec![
        ("settings of a stream", "6.5", frame(SETTINGS, 0, 1, []), BAD),
        ("settings of 5 bytes", "6.5", frame(SETTINGS, 0, 0, [0; 5]), BAD_SIZE),
        ("settings of 7 bytes", "6.5", frame(SETTINGS, 0, 0, [0; 7]), BAD_SIZE),
        ("an acknowledgement with a payload", "6.5", frame(SETTINGS, ACK, 0, [0; 6]), BAD_SIZE),
        (
            "an acknowledgement that nobody asked for",
            "6.5.3",
            frame(SETTINGS, ACK, 0, []).repeat(2),
            ONE_TOO_MANY,
        ),
        ("ENABLE_PUSH 2", "6.5.2", set(2, 2), BAD),
        ("INITIAL_WINDOW_SIZE 2^31", "6.5.2", set(4, 1 << 31), BAD_FLOW),
        ("INITIAL_WINDOW_SIZE 2^32 - 1", "6.5.2", set(4, u32::MAX), BAD_FLOW),
        ("MAX_FRAME_SIZE 0", "6.5.2", set(5, 0), BAD),
        ("MAX_FRAME_SIZE 16,383", "6.5.2", set(5, 16_383), BAD),
        ("MAX_FRAME_SIZE 2^24", "6.5.2", set(5, 1 << 24), BAD),
        ("a setting that nobody knows", "6.5.2", set(0xffff, u32::MAX), Continues),
        ("HEADER_TABLE_SIZE 0", "6.5.2", set(1, 0), Continues),
        ("HEADER_TABLE_SIZE 2^32 - 1", "6.5.2", set(1, u32::MAX), Continues),
        ("MAX_CONCURRENT_STREAMS 0", "6.5.2", set(3, 0), Continues),
        (
            "MAX_HEADER_LIST_SIZE 0",
            "6.5.2",
            [set(6, 0), frame(HEADERS, WHOLE, 1, GET)].concat(),
            Continues,
        ),
        (
            "a thousand settings in one frame",
            "6.5",
            frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0xff, 0xff].repeat(1_000)),
            Continues,
        ),
    ]
}

/// The server expects one acknowledgement: a second one may be ignored or be an error.
const ONE_TOO_MANY: Http2 = Closes(&[PROTOCOL]);

#[rustfmt::skip]
fn controls() -> Vec<Row> {
    let goaway = |last: u32| [last.to_be_bytes(), [0; 4]].concat();
    vec![
        ("a ping of a stream", "6.7", frame(PING, 0, 1, [0; 8]), BAD),
        ("a ping of 7 bytes", "6.7", frame(PING, 0, 0, [0; 7]), BAD_SIZE),
        ("a ping of 9 bytes", "6.7", frame(PING, 0, 0, [0; 9]), BAD_SIZE),
        ("a pong that nobody asked for", "6.7", frame(PING, ACK, 0, [0; 8]), Continues),
        ("GOAWAY of a stream", "6.8", frame(GOAWAY, 0, 1, goaway(0)), BAD),
        ("GOAWAY of 7 bytes", "6.8", frame(GOAWAY, 0, 0, [0; 7]), BAD_SIZE),
        (
            "GOAWAY, then a request",
            "6.8",
            [
                frame(GOAWAY, 0, 0, goaway(0)),
                frame(HEADERS, WHOLE, 1, GET),
            ]
            .concat(),
            AFTER_GOAWAY,
        ),
        ("a window that grows by 0", "6.9", frame(WINDOW_UPDATE, 0, 0, [0; 4]), BAD),
        (
            "a window over 2^31 - 1",
            "6.9.1",
            frame(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff]),
            BAD_FLOW,
        ),
        ("a window update of 3 bytes", "6.9", frame(WINDOW_UPDATE, 0, 0, [0; 3]), BAD_SIZE),
        ("a window update of 5 bytes", "6.9", frame(WINDOW_UPDATE, 0, 0, [0; 5]), BAD_SIZE),
        ("a frame that nobody knows", "4.1", frame(0x42, 0xff, 7, b"hello"), Continues),
        ("ALTSVC of a client", "7838, 4", frame(0x0a, 0, 0, b"\0\0x"), Continues),
        ("a frame over MAX_FRAME_SIZE", "4.2", frame(DATA, 0, 1, vec![0; 16_385]), BAD_SIZE),
        (
            "a frame that announces 2^24 - 1",
            "4.2",
            announced((1 << 24) - 1, DATA, 0, 1, &[0; 100]),
            BAD_SIZE,
        ),
        (
            "an unknown frame that announces 2^24 - 1",
            "4.2",
            announced((1 << 24) - 1, 0x42, 0, 0, &[0; 100]),
            BAD_SIZE,
        ),
        (
            "PUSH_PROMISE of a client",
            "8.4",
            frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02\x82"),
            BAD,
        ),
    ]
}

/// A response, a quiet end, or an error: a client that sends GOAWAY has no more requests.
const AFTER_GOAWAY: Http2 = AnyOf(&[Answers(&[200]), Continues]);

#[rustfmt::skip]
fn streams() -> Vec<Row> {
    let open = frame(HEADERS, END_HEADERS, 1, POST);
    let with = |bytes: Vec<u8>| [open.clone(), bytes].concat();
    let code = 8u32.to_be_bytes();
    vec![
        ("RST_STREAM of the connection", "6.4", frame(RESET, 0, 0, code), BAD),
        ("RST_STREAM of an idle stream", "6.4", frame(RESET, 0, 1, code), BAD),
        ("RST_STREAM of 3 bytes", "6.4", with(frame(RESET, 0, 1, [0; 3])), BAD_SIZE),
        ("RST_STREAM twice", "5.1", with(frame(RESET, 0, 1, code).repeat(2)), Continues),
        ("a window update of an idle stream", "5.1", frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]), BAD),
        (
            "a stream's window that grows by 0",
            "6.9",
            with(frame(WINDOW_UPDATE, 0, 1, [0; 4])),
            Resets(&[PROTOCOL]),
        ),
        (
            "a stream's window over 2^31 - 1",
            "6.9.1",
            with(frame(WINDOW_UPDATE, 0, 1, [0x7f, 0xff, 0xff, 0xff])),
            Resets(&[FLOW_CONTROL]),
        ),
        ("PRIORITY of the connection", "6.3", frame(PRIORITY, 0, 0, [0, 0, 0, 1, 0]), BAD),
        (
            "PRIORITY of 4 bytes",
            "6.3",
            with(frame(PRIORITY, 0, 1, [0; 4])),
            Resets(&[FRAME_SIZE, PROTOCOL]),
        ),
        ("PRIORITY of an idle stream", "6.3", frame(PRIORITY, 0, 99, [0, 0, 0, 1, 0]), Continues),
        (
            "a stream that depends on itself",
            "5.3.1",
            frame(PRIORITY, 0, 1, [0, 0, 0, 1, 0]),
            DEPENDS_ON_ITSELF,
        ),
        (
            "a second request on a stream",
            "8.1",
            with(frame(HEADERS, END_HEADERS, 1, GET)),
            Resets(&[PROTOCOL]),
        ),
        (
            "a request on a stream that was closed",
            "5.1",
            [frame(HEADERS, WHOLE, 1, GET), frame(HEADERS, WHOLE, 1, GET)].concat(),
            Resets(&[PROTOCOL, STREAM_CLOSED]),
        ),
        (
            "a stream below the last",
            "5.1.1",
            [
                frame(HEADERS, END_HEADERS, 5, POST),
                frame(HEADERS, END_HEADERS, 3, POST),
            ]
            .concat(),
            Closes(&[PROTOCOL, STREAM_CLOSED]),
        ),
        ("an even stream", "5.1.1", frame(HEADERS, WHOLE, 2, GET), BAD),
        (
            "the last stream there is",
            "5.1.1",
            frame(HEADERS, WHOLE, (1 << 31) - 1, GET),
            Answers(&[200]),
        ),
        (
            "a stream's reserved bit",
            "4.1",
            frame(HEADERS, WHOLE, (1 << 31) | 1, GET),
            Answers(&[200]),
        ),
        (
            "300 open streams",
            "5.1.2",
            (0..300)
                .flat_map(|index| frame(HEADERS, END_HEADERS, index * 2 + 1, POST))
                .collect(),
            Resets(&[REFUSED_STREAM, PROTOCOL, CALM]),
        ),
    ]
}

/// RFC 9113 has removed priorities, and this error: a recipient may ignore them.
const DEPENDS_ON_ITSELF: Http2 = Resets(&[PROTOCOL]);

#[rustfmt::skip]
fn headers() -> Vec<Row> {
    vec![
        ("headers of the connection", "6.2", frame(HEADERS, WHOLE, 0, GET), BAD),
        (
            "padding as long as the frame",
            "6.2",
            frame(HEADERS, WHOLE | PADDED, 1, [&[8], GET].concat()),
            BAD,
        ),
        (
            "padding of an empty frame",
            "6.2",
            frame(HEADERS, WHOLE | PADDED, 1, []),
            Closes(&[PROTOCOL, FRAME_SIZE]),
        ),
        (
            "a priority of an empty frame",
            "6.2",
            frame(HEADERS, WHOLE | WITH_PRIORITY, 1, [0; 3]),
            Closes(&[PROTOCOL, FRAME_SIZE]),
        ),
        ("a continuation of nothing", "6.10", frame(CONTINUATION, END_HEADERS, 1, GET), BAD),
        (
            "a ping before the end of headers",
            "6.10",
            [
                frame(HEADERS, END_STREAM, 1, GET),
                frame(PING, 0, 0, [0; 8]),
            ]
            .concat(),
            BAD,
        ),
        (
            "data before the end of headers",
            "6.10",
            [frame(HEADERS, 0, 1, POST), frame(DATA, END_STREAM, 1, "a")].concat(),
            BAD,
        ),
        (
            "a continuation of another stream",
            "6.10",
            [
                frame(HEADERS, END_STREAM, 1, GET),
                frame(CONTINUATION, END_HEADERS, 3, GET),
            ]
            .concat(),
            BAD,
        ),
        (
            "an unknown frame before the end of headers",
            "6.10",
            [frame(HEADERS, END_STREAM, 1, GET), frame(0x42, 0, 0, [])].concat(),
            BAD,
        ),
        ("headers byte by byte", "6.10", byte_by_byte(), AnyOf(&[Answers(&[200]), Closes(&[CALM])])),
        (
            "trailers that do not end the stream",
            "8.1",
            [
                frame(HEADERS, END_HEADERS, 1, POST),
                frame(HEADERS, END_HEADERS, 1, b"\0\x01x\x01y"),
            ]
            .concat(),
            Resets(&[PROTOCOL]),
        ),
        (
            "trailers with a method",
            "8.1",
            [
                frame(HEADERS, END_HEADERS, 1, POST),
                frame(HEADERS, WHOLE, 1, b"\x82"),
            ]
            .concat(),
            IGNORED_METHOD,
        ),
    ]
}

fn byte_by_byte() -> Vec<u8> {
    let mut frames = frame(HEADERS, END_STREAM, 1, []);
    for byte in GET {
        frames.extend(frame(CONTINUATION, 0, 1, [*byte]));
    }
    frames.extend(frame(CONTINUATION, END_HEADERS, 1, []));
    frames
}

#[rustfmt::skip]
fn data() -> Vec<Row> {
    let open = |lines: &[u8]| frame(HEADERS, END_HEADERS, 1, [POST, lines].concat());
    let length = |digits: &str| {
        let field = [&[0x0f, 0x0d, digits.len() as u8], digits.as_bytes()].concat();
        open(&field)
    };
    let hello = frame(DATA, END_STREAM, 1, "hello");
    vec![
        ("data of the connection", "6.1", frame(DATA, 0, 0, "a"), BAD),
        ("data of an idle stream", "6.1", frame(DATA, 0, 1, "a"), BAD),
        (
            "data behind the end",
            "5.1",
            [open(b""), hello.clone(), hello.clone()].concat(),
            Resets(&[STREAM_CLOSED, PROTOCOL]),
        ),
        (
            "padding as long as the data",
            "6.1",
            [open(b""), frame(DATA, END_STREAM | PADDED, 1, [2, 0])].concat(),
            BAD,
        ),
        (
            "padding of no data",
            "6.1",
            [open(b""), frame(DATA, END_STREAM | PADDED, 1, [])].concat(),
            Closes(&[PROTOCOL, FRAME_SIZE]),
        ),
        ("a body", "8.1", [open(b""), hello.clone()].concat(), Answers(&[200])),
        ("a body of its length", "8.1.1", [length("5"), hello.clone()].concat(), Answers(&[200])),
        (
            "a body shorter than its length",
            "8.1.1",
            [length("6"), hello.clone()].concat(),
            SHORT_OR_LONG,
        ),
        (
            "a body longer than its length",
            "8.1.1",
            [length("4"), hello.clone()].concat(),
            SHORT_OR_LONG,
        ),
        ("a negative length", "8.1.1", [length("-5"), hello.clone()].concat(), SHORT_OR_LONG),
        (
            "a length of 2^64",
            "8.1.1",
            [length("18446744073709551616"), hello.clone()].concat(),
            SHORT_OR_LONG,
        ),
        (
            "no body where a length is",
            "8.1.1",
            frame(HEADERS, WHOLE, 1, [POST, b"\x0f\x0d\x015"].concat()),
            SHORT_OR_LONG,
        ),
        (
            "a body over the limit",
            "8.1",
            [open(b""), frame(DATA, END_STREAM, 1, [0; 1_001])].concat(),
            Answers(&[413]),
        ),
        ("a length over the limit", "8.1", length("1001"), Answers(&[413])),
        (
            "data over the stream's window",
            "6.9",
            [open(b""), frame(DATA, 0, 1, [0; 16_384]).repeat(70)].concat(),
            WINDOW,
        ),
    ]
}

/// Malformed; h2 ignores it, which does no harm.
const IGNORED_METHOD: Http2 = AnyOf(&[Resets(&[PROTOCOL]), Answers(&[200])]);
/// A malformed request: its stream is reset, or it gets 400 (RFC 9113, 8.1.1).
const SHORT_OR_LONG: Http2 = AnyOf(&[Answers(&[400]), Resets(&[PROTOCOL])]);
/// The page has responded 413 before, or the window is enforced.
const WINDOW: Http2 = AnyOf(&[Answers(&[413]), Resets(&[FLOW_CONTROL])]);
