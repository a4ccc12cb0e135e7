//! Shapes of lengths (RFC 6455, 5.2): their encodings, huge ones, and the limit (10.4).

use super::{
    BINARY, Binary, CLOSE, Close, FIRST_BINARY, FIRST_TEXT, LAST, NEXT, PING, Replies, TEXT,
    echoes, ends, frame,
};
use crate::hostile::{shape::Shape, target::MAX_MESSAGE};

const TOP_BIT: u64 = 1 << 63;

pub fn shapes() -> Vec<Shape<Replies>> {
    let mut shapes = Vec::new();
    // The shortest encoding must be used.
    for (form, length) in [
        (2, 0),
        (2, 5),
        (2, 125),
        (8, 0),
        (8, 5),
        (8, 125),
        (8, 126),
        (8, 65_535),
    ] {
        for (kind, first) in [("text", TEXT), ("binary", BINARY)] {
            let name = format!("a {kind} of {length} bytes whose length has {form}");
            let bytes = [head(first, form, length as u64), vec![b'x'; length]].concat();
            shapes.push(Shape::of_bytes(name, "5.2", bytes, ends(1002)));
        }
    }
    for (kind, first) in [("ping", PING), ("close frame", CLOSE)] {
        for form in [2, 8] {
            let name = format!("a {kind} whose length has {form} bytes");
            let bytes = [head(first, form, 2), vec![3, 0xe8]].concat();
            shapes.push(Shape::of_bytes(name, "5.5", bytes, ends(1002)));
        }
    }
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let text = "x".repeat(length);
        let name = format!("a text of {length} bytes");
        shapes.push(Shape::of_bytes(
            name,
            "5.2",
            frame(TEXT, &text),
            echoes(&text),
        ));
    }
    for (name, rule, bytes, answer) in enormous().into_iter().chain(limits()) {
        shapes.push(Shape::of_bytes(name, rule, bytes, answer));
    }
    shapes
}

/// Encodes the header of a masked frame, whose length has 2 or 8 bytes; the mask is zeros.
fn head(first: u8, form: usize, length: u64) -> Vec<u8> {
    let marker = if form == 2 { 0xfe } else { 0xff };
    let length = length.to_be_bytes();
    [&[first, marker], &length[8 - form..], &[0; 4]].concat()
}

/// Encodes a header with a false length, and a few bytes after it.
fn announced(first: u8, length: u64) -> Vec<u8> {
    [head(first, 8, length), vec![b'x'; 100]].concat()
}

type Row = (&'static str, &'static str, Vec<u8>, Replies);

#[rustfmt::skip]
fn enormous() -> Vec<Row> {
    let behind = |begun: usize, first, length| {
        [
            frame(FIRST_TEXT, "x".repeat(begun)),
            announced(first, length),
        ]
        .concat()
    };
    vec![
        ("a text of 2^63 bytes", "5.2", announced(TEXT, TOP_BIT), ends(1002)),
        ("a text of 2^63 + 1 bytes", "5.2", announced(TEXT, TOP_BIT + 1), ends(1002)),
        ("a text of 2^64 - 1 bytes", "5.2", announced(TEXT, u64::MAX), ends(1002)),
        ("a binary message of 2^63 bytes", "5.2", announced(BINARY, TOP_BIT), ends(1002)),
        ("a ping of 2^63 bytes", "5.2", announced(PING, TOP_BIT), ends(1002)),
        ("a ping of 2^64 - 1 bytes", "5.2", announced(PING, u64::MAX), ends(1002)),
        ("a close frame of 2^64 - 1 bytes", "5.2", announced(CLOSE, u64::MAX), ends(1002)),
        ("a text of 2^63 - 1 bytes", "10.4", announced(TEXT, TOP_BIT - 1), ends(1009)),
        ("a text of 2^32 bytes", "10.4", announced(TEXT, 1 << 32), ends(1009)),
        ("a text of 2^32 + 5 bytes", "10.4", announced(TEXT, (1 << 32) + 5), ends(1009)),
        ("a text of 2^31 bytes", "10.4", announced(TEXT, 1 << 31), ends(1009)),
        ("64 bytes, then 2^64 - 64", "5.2", behind(64, LAST, u64::MAX - 63), ends(1002)),
        ("64 bytes, then 2^64 - 64 and more", "5.2", behind(64, NEXT, u64::MAX - 63), ends(1002)),
        ("1 byte, then 2^64 - 1", "5.2", behind(1, LAST, u64::MAX), ends(1002)),
        ("2 bytes, then 2^64 - 1", "5.2", behind(2, LAST, u64::MAX), ends(1002)),
        ("64 bytes, then 2^63", "5.2", behind(64, LAST, TOP_BIT), ends(1002)),
        ("64 bytes, then 2^63 - 1", "10.4", behind(64, LAST, TOP_BIT - 1), ends(1009)),
        ("64 bytes, then 2^63 - 64", "10.4", behind(64, LAST, TOP_BIT - 64), ends(1009)),
        ("the limit, then 2^64 - 1", "5.2", behind(MAX_MESSAGE, LAST, u64::MAX), ends(1002)),
    ]
}

#[rustfmt::skip]
fn limits() -> Vec<Row> {
    let text = |length| "x".repeat(length);
    let parts = |first, lengths: &[usize]| {
        let last = lengths.len() - 1;
        let parts = lengths.iter().enumerate().map(|(index, length)| {
            let first = if index == 0 { first } else { NEXT };
            frame(
                if index == last { first | LAST } else { first },
                text(*length),
            )
        });
        parts.collect::<Vec<_>>().concat()
    };
    let whole = echoes(text(MAX_MESSAGE));
    let unfinished = [frame(FIRST_TEXT, text(MAX_MESSAGE)), frame(NEXT, "x")];
    vec![
        ("a text of the limit", "10.4", frame(TEXT, text(MAX_MESSAGE)), whole.clone()),
        ("a text one over the limit", "10.4", frame(TEXT, text(MAX_MESSAGE + 1)), ends(1009)),
        (
            "a binary message of the limit",
            "10.4",
            frame(BINARY, text(MAX_MESSAGE)),
            vec![Binary(text(MAX_MESSAGE).into()), Close(1000)],
        ),
        ("a binary message one over it", "10.4", frame(BINARY, text(MAX_MESSAGE + 1)), ends(1009)),
        ("a text of ten times the limit", "10.4", frame(TEXT, text(MAX_MESSAGE * 10)), ends(1009)),
        (
            "an announcement one over the limit",
            "10.4",
            head(TEXT, 8, MAX_MESSAGE as u64 + 1),
            ends(1009),
        ),
        (
            "two fragments of the limit",
            "10.4",
            parts(FIRST_TEXT, &[MAX_MESSAGE - 1, 1]),
            whole.clone(),
        ),
        ("two fragments one over it", "10.4", parts(FIRST_TEXT, &[MAX_MESSAGE, 1]), ends(1009)),
        (
            "two binary fragments one over it",
            "10.4",
            parts(FIRST_BINARY, &[1, MAX_MESSAGE]),
            ends(1009),
        ),
        (
            "three fragments one over it",
            "10.4",
            parts(FIRST_TEXT, &[MAX_MESSAGE / 2, MAX_MESSAGE / 2, 1]),
            ends(1009),
        ),
        (
            "the limit, and an empty last fragment",
            "10.4",
            parts(FIRST_TEXT, &[MAX_MESSAGE, 0]),
            whole,
        ),
        ("fragments over the limit without a last", "10.4", unfinished.concat(), ends(1009)),
    ]
}
