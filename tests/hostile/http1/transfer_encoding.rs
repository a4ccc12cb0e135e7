//! Shapes of Transfer-Encoding (RFC 9112, 6.1 and 6.3): `chunked`, once, last, and without
//! Content-Length.

use super::{AnyOf, BAD_FRAMING, Closes, Http, SERVED};
use crate::hostile::shape::Shape;

/// A coding that is not supported here.
const UNKNOWN: Http = AnyOf(&[Closes(&[400]), Closes(&[501])]);
/// A list with an empty member, which a recipient may ignore (RFC 9110, 5.6.1).
const EMPTY_MEMBER: Http = AnyOf(&[SERVED, UNKNOWN]);

pub fn shapes() -> Vec<Shape<Http>> {
    let mut shapes: Vec<_> = LINES
        .iter()
        .map(|(name, lines, answer)| {
            let head = format!("POST /body HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
            let text = format!("{head}5\r\nhello\r\n0\r\n\r\n");
            Shape::new(*name, "9112, 6.1", text, *answer)
        })
        .collect();
    #[rustfmt::skip]
    let rows = [
        ("in HTTP/1.0", "Transfer-Encoding: chunked"),
        ("in HTTP/1.0 that is kept alive", "Connection: keep-alive\r\nTransfer-Encoding: chunked"),
        ("in HTTP/1.0 with a length", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    ];
    for (name, lines) in rows {
        let text =
            format!("POST /body HTTP/1.0\r\nHost: a\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        shapes.push(Shape::new(name, "9112, 6.1", text, BAD_FRAMING));
    }
    shapes
}

#[rustfmt::skip]
const LINES: &[(&str, &str, Http)] = &[
    ("chunked", "Transfer-Encoding: chunked", SERVED),
    ("chunked in large letters", "Transfer-Encoding: CHUNKED", SERVED),
    ("a length before it", "Content-Length: 15\r\nTransfer-Encoding: chunked", BAD_FRAMING),
    ("a length behind it", "Transfer-Encoding: chunked\r\nContent-Length: 15", BAD_FRAMING),
    ("a length of 0 before it", "Content-Length: 0\r\nTransfer-Encoding: chunked", BAD_FRAMING),
    ("a bad length behind it", "Transfer-Encoding: chunked\r\nContent-Length: x", BAD_FRAMING),
    ("gzip before chunked", "Transfer-Encoding: gzip, chunked", UNKNOWN),
    ("chunked before gzip", "Transfer-Encoding: chunked, gzip", UNKNOWN),
    ("gzip alone", "Transfer-Encoding: gzip", UNKNOWN),
    ("identity", "Transfer-Encoding: identity", UNKNOWN),
    ("identity before chunked", "Transfer-Encoding: identity, chunked", UNKNOWN),
    ("chunked before identity", "Transfer-Encoding: chunked, identity", UNKNOWN),
    ("xchunked", "Transfer-Encoding: xchunked", UNKNOWN),
    ("chunkedx", "Transfer-Encoding: chunkedx", UNKNOWN),
    ("chunk", "Transfer-Encoding: chunk", UNKNOWN),
    ("in quotes", "Transfer-Encoding: \"chunked\"", UNKNOWN),
    ("in brackets", "Transfer-Encoding: [chunked]", UNKNOWN),
    ("with a parameter", "Transfer-Encoding: chunked;q=1", UNKNOWN),
    ("with a semicolon", "Transfer-Encoding: chunked;", UNKNOWN),
    ("two words", "Transfer-Encoding: chunked chunked", UNKNOWN),
    ("empty", "Transfer-Encoding:", UNKNOWN),
    ("nothing but a comma", "Transfer-Encoding: ,", UNKNOWN),
    ("an empty member behind it", "Transfer-Encoding: chunked,", EMPTY_MEMBER),
    ("an empty member before it", "Transfer-Encoding: ,chunked", EMPTY_MEMBER),
    ("twice in a list", "Transfer-Encoding: chunked, chunked", UNKNOWN),
    ("twice on two lines", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", UNKNOWN),
    ("gzip on a line before", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", UNKNOWN),
    ("gzip on a line behind", "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip", UNKNOWN),
    (
        "identity on a line before",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
        UNKNOWN,
    ),
    (
        "identity on a line behind",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        UNKNOWN,
    ),
    ("an empty line behind", "Transfer-Encoding: chunked\r\nTransfer-Encoding:", UNKNOWN),
    ("a vertical tab before it", "Transfer-Encoding: \u{b}chunked", BAD_FRAMING),
    ("a form feed behind it", "Transfer-Encoding: chunked\u{c}", BAD_FRAMING),
    ("NUL behind it", "Transfer-Encoding: chunked\0", BAD_FRAMING),
    ("a byte over 0x7f behind it", "Transfer-Encoding: chunked\u{ff}", UNKNOWN),
    ("a no-break space before it", "Transfer-Encoding: \u{a0}chunked", UNKNOWN),
    ("a space before the colon", "Transfer-Encoding : chunked", BAD_FRAMING),
    ("a folded line", "Transfer-Encoding:\r\n chunked", BAD_FRAMING),
    (
        "a list that goes on in a folded line",
        "Transfer-Encoding: chunked\r\n , identity",
        BAD_FRAMING,
    ),
    ("CR behind it", "Transfer-Encoding: chunked\r", BAD_FRAMING),
];
