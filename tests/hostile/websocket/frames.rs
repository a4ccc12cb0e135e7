//! Shapes of frames: reserved bits, opcodes, masks, control frames, fragments (RFC 6455, 5.1 to
//! 5.5).

use super::{
    BINARY, Binary, CLOSE, Close, FIRST_BINARY, FIRST_TEXT, LAST, NEXT, PING, PONG, Pong, Replies,
    TEXT, Text, close, echoes, ends, frame,
};
use crate::hostile::shape::Shape;
use seaway_tests::support::raw::unmasked_text_frame;

pub fn shapes() -> Vec<Shape<Replies>> {
    let mut shapes = Vec::new();
    for (bit, number) in [(0x40, 1), (0x20, 2), (0x10, 3)] {
        for (kind, first) in [
            ("text", TEXT),
            ("binary", BINARY),
            ("ping", PING),
            ("close", CLOSE),
        ] {
            let name = format!("reserved bit {number} of a {kind} frame");
            shapes.push(shape(&name, "5.2", frame(first | bit, "hi"), ends(1002)));
        }
        let bytes = [frame(FIRST_TEXT, "hi"), frame(LAST | bit, "hi")].concat();
        let name = format!("reserved bit {number} of a continuation");
        shapes.push(shape(&name, "5.2", bytes, ends(1002)));
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        let name = format!("opcode {opcode:#x}");
        shapes.push(shape(&name, "5.2", frame(0x80 | opcode, "hi"), ends(1002)));
    }
    for (kind, first) in [("ping", 0x09), ("pong", 0x0a), ("close frame", 0x08)] {
        let name = format!("a {kind} in fragments");
        shapes.push(shape(&name, "5.5", frame(first, ""), ends(1002)));
        let name = format!("a {kind} of 126 bytes");
        shapes.push(shape(
            &name,
            "5.5",
            frame(0x80 | first, [0; 126]),
            ends(1002),
        ));
    }
    for (name, rule, bytes, answer) in unmasked() {
        shapes.push(shape(name, rule, bytes, answer));
    }
    for (name, rule, bytes, answer) in controls() {
        shapes.push(shape(name, rule, bytes, answer));
    }
    for (name, rule, bytes, answer) in fragments() {
        shapes.push(shape(name, rule, bytes, answer));
    }
    for (name, rule, bytes, answer) in junk() {
        shapes.push(shape(name, rule, bytes, answer));
    }
    #[rustfmt::skip]
    let rows = [
        ("nothing, then FIN", Vec::new(), Vec::new()),
        ("half a frame, then FIN", frame(TEXT, "hi")[..3].to_vec(), Vec::new()),
        ("a first fragment, then FIN", frame(FIRST_TEXT, "hi"), Vec::new()),
        ("a close frame, then FIN", close(1001, ""), ends(1001)),
    ];
    for (name, bytes, answer) in rows {
        shapes.push(shape(name, "7.1.5", bytes, answer).half_close());
    }
    shapes
}

type Row = (&'static str, &'static str, Vec<u8>, Replies);

fn shape(name: &str, rule: &'static str, bytes: Vec<u8>, answer: Replies) -> Shape<Replies> {
    Shape::of_bytes(name, rule, bytes, answer)
}

#[rustfmt::skip]
fn unmasked() -> Vec<Row> {
    vec![
        ("a text without a mask", "5.1", unmasked_text_frame(b"hi"), ends(1002)),
        ("an empty text without a mask", "5.1", vec![TEXT, 0], ends(1002)),
        ("a binary message without a mask", "5.1", vec![BINARY, 1, 0], ends(1002)),
        ("a ping without a mask", "5.1", vec![PING, 0], ends(1002)),
        ("a pong without a mask", "5.1", vec![PONG, 0], ends(1002)),
        ("a close frame without a mask", "5.1", vec![CLOSE, 2, 3, 0xe8], ends(1002)),
        (
            "a continuation without a mask",
            "5.1",
            [frame(FIRST_TEXT, "hi"), vec![LAST, 0]].concat(),
            ends(1002),
        ),
        ("a mask of zeros", "5.3", [&[TEXT, 0x82, 0, 0, 0, 0], &b"hi"[..]].concat(), echoes("hi")),
    ]
}

#[rustfmt::skip]
fn controls() -> Vec<Row> {
    let pong = |payload: &[u8]| vec![Pong(payload.to_vec()), Close(1000)];
    vec![
        ("an empty ping", "5.5.2", frame(PING, ""), pong(b"")),
        ("a ping of 125 bytes", "5.5", frame(PING, [7; 125]), pong(&[7; 125])),
        ("a ping that is no UTF-8", "5.5.2", frame(PING, b"\xff\0"), pong(b"\xff\0")),
        ("a pong that nobody asked for", "5.5.3", frame(PONG, "hi"), ends(1000)),
        ("a ping of 64 KiB", "5.5", frame(PING, [0; 65_536]), ends(1002)),
        (
            "a ping between fragments",
            "5.4",
            [frame(FIRST_TEXT, "a"), frame(PING, "p"), frame(LAST, "b")].concat(),
            vec![Pong(b"p".to_vec()), Text(b"ab".to_vec()), Close(1000)],
        ),
        (
            "a close frame between fragments",
            "5.5.1",
            [frame(FIRST_TEXT, "a"), close(1001, ""), frame(LAST, "b")].concat(),
            ends(1001),
        ),
        (
            "a ping in fragments between fragments",
            "5.5",
            [frame(FIRST_TEXT, "a"), frame(0x09, "p"), frame(LAST, "b")].concat(),
            ends(1002),
        ),
    ]
}

#[rustfmt::skip]
fn fragments() -> Vec<Row> {
    let parts = |parts: &[(u8, &str)]| {
        let frames = parts.iter().map(|(first, text)| frame(*first, text));
        frames.collect::<Vec<_>>().concat()
    };
    vec![
        ("a continuation of nothing", "5.4", parts(&[(LAST, "a")]), ends(1002)),
        ("an unfinished continuation of nothing", "5.4", parts(&[(NEXT, "a")]), ends(1002)),
        ("an empty continuation of nothing", "5.4", parts(&[(LAST, "")]), ends(1002)),
        (
            "a continuation of a whole message",
            "5.4",
            parts(&[(TEXT, "a"), (LAST, "b")]),
            vec![Text(b"a".to_vec()), Close(1002)],
        ),
        (
            "a continuation behind the last",
            "5.4",
            parts(&[(FIRST_TEXT, "a"), (LAST, "b"), (LAST, "c")]),
            vec![Text(b"ab".to_vec()), Close(1002)],
        ),
        ("a text inside a text", "5.4", parts(&[(FIRST_TEXT, "a"), (TEXT, "b")]), ends(1002)),
        (
            "a text that begins inside a text",
            "5.4",
            parts(&[(FIRST_TEXT, "a"), (FIRST_TEXT, "b")]),
            ends(1002),
        ),
        (
            "a binary message inside a text",
            "5.4",
            parts(&[(FIRST_TEXT, "a"), (BINARY, "b")]),
            ends(1002),
        ),
        (
            "a text inside a binary message",
            "5.4",
            parts(&[(FIRST_BINARY, "a"), (TEXT, "b")]),
            ends(1002),
        ),
        (
            "a text of two empty fragments",
            "5.4",
            parts(&[(FIRST_TEXT, ""), (LAST, "")]),
            echoes(""),
        ),
        (
            "empty fragments around a letter",
            "5.4",
            parts(&[(FIRST_TEXT, ""), (NEXT, "a"), (NEXT, ""), (LAST, "")]),
            echoes("a"),
        ),
        (
            "a binary message in fragments",
            "5.4",
            parts(&[(FIRST_BINARY, "a"), (LAST, "b")]),
            vec![Binary(b"ab".to_vec()), Close(1000)],
        ),
    ]
}

#[rustfmt::skip]
fn junk() -> Vec<Row> {
    let http = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    vec![
        ("a request in place of a frame", "5.2", http, ends(1002)),
        ("1 MB of zeros", "5.1", vec![0; 1_000_000], ends(1002)),
        ("1 MB of ones", "5.2", vec![0xff; 1_000_000], ends(1002)),
        ("a TLS ClientHello", "5.2", b"\x16\x03\x01\x02\0\x01\0\x01\xfc".to_vec(), ends(1002)),
        (
            "a text, and then junk",
            "5.2",
            [frame(TEXT, "hi"), vec![0xff; 100]].concat(),
            vec![Text(b"hi".to_vec()), Close(1002)],
        ),
    ]
}
