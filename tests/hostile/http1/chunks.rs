//! Shapes of chunks (RFC 9112, 7.1): sizes, line ends, extensions, the end, and trailers.

use super::{AnyOf, BAD_BODY, Closes, Http, Keeps, SERVED};
use crate::hostile::shape::Shape;

const OVER_LIMIT: Http = AnyOf(&[Closes(&[413]), Keeps(&[413])]);
/// The application does not read the body, so its response may be sent before the error is
/// detected.
const UNREAD: Http = AnyOf(&[Closes(&[200]), BAD_BODY]);

pub fn shapes() -> Vec<Shape<Http>> {
    let mut shapes: Vec<_> = BODIES
        .iter()
        .map(|(name, rule, body, answer)| Shape::new(*name, rule, post(body), *answer))
        .collect();
    let end = "0\r\n\r\n";
    #[rustfmt::skip]
    let rows = [
        ("999 chunks of one byte", "7.1", "1\r\nx\r\n".repeat(999) + end, SERVED),
        ("1,001 chunks of one byte", "7.1", "1\r\nx\r\n".repeat(1_001) + end, OVER_LIMIT),
        ("100,000 chunks of one byte", "7.1", "1\r\nx\r\n".repeat(100_000), OVER_LIMIT),
        ("an extension of 100,000 bytes", "7.1.1", extended(100_000), BAD_BODY),
        (
            "extensions of 100,000 bytes in all",
            "7.1.1",
            extended(100).repeat(1_000) + end,
            BAD_BODY,
        ),
        (
            "10,000 trailers",
            "7.1.2",
            format!("0\r\n{}\r\n", "X: y\r\n".repeat(10_000)),
            BAD_TRAILERS,
        ),
        (
            "a trailer of 1 MB",
            "7.1.2",
            format!("0\r\nX: {}\r\n\r\n", "y".repeat(1_000_000)),
            BAD_TRAILERS,
        ),
        (
            "a size of 100,000 digits",
            "7.1",
            format!("{}5\r\nhello\r\n{end}", "0".repeat(100_000)),
            AnyOf(&[SERVED, BAD_BODY]),
        ),
    ];
    for (name, rule, body, answer) in rows {
        shapes.push(Shape::new(name, rule, post(&body), answer));
    }
    #[rustfmt::skip]
    let rows = [
        ("no end", "5\r\nhello\r\n"),
        ("half an end", "5\r\nhello\r\n0\r\n"),
        ("LF alone behind the end", "5\r\nhello\r\n0\r\n\n"),
        ("half a line behind the end", "5\r\nhello\r\n0\r\n\r"),
        ("half a trailer", "5\r\nhello\r\n0\r\nX: y\r\n"),
        ("half a chunk", "5\r\nhel"),
        ("half a size", "5"),
        ("a size and no chunk", "5\r\n"),
        ("nothing", ""),
        ("a size of 2^64 - 1 and little behind it", "ffffffffffffffff\r\nhello"),
        ("a chunk shorter than its size", "9\r\nhello\r\n0\r\n\r\n"),
    ];
    for (name, body) in rows {
        shapes
            .push(Shape::new(format!("{name}, then FIN"), "8", post(body), BAD_BODY).half_close());
    }
    #[rustfmt::skip]
    let rows = [
        ("a wrong size that nobody reads", "z\r\nhello\r\n0\r\n\r\n"),
        ("a missing line end that nobody reads", "5\r\nhello0\r\n\r\n"),
    ];
    for (name, body) in rows {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        shapes.push(Shape::new(name, "7.1", text, UNREAD));
    }
    shapes
}

/// Too many trailers, or ignored ones: they are not part of the message here.
const BAD_TRAILERS: Http = AnyOf(&[BAD_BODY, Closes(&[431])]);

fn post(body: &str) -> String {
    format!("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

fn extended(length: usize) -> String {
    format!("1;{}\r\nx\r\n", "x".repeat(length))
}

#[rustfmt::skip]
const BODIES: &[(&str, &str, &str, Http)] = &[
    ("two chunks", "7.1", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", SERVED),
    ("a size in large letters", "7.1", "A\r\nhellohello\r\n0\r\n\r\n", SERVED),
    ("leading zeros", "7.1", "0005\r\nhello\r\n0\r\n\r\n", SERVED),
    ("many zeros at the end", "7.1", "5\r\nhello\r\n0000\r\n\r\n", SERVED),
    ("no size", "7.1", "\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size that is no number", "7.1", "z\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a number and a letter", "7.1", "5z\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a negative size", "7.1", "-5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size with a plus", "7.1", "+5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size with 0x", "7.1", "0x5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size with an underscore", "7.1", "0_5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a space before the size", "7.1", " 5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a space behind the size", "7.1.1", "5 \r\nhello\r\n0\r\n\r\n", AnyOf(&[SERVED, BAD_BODY])),
    ("two sizes", "7.1", "5 5\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("NUL in the size", "7.1", "5\0\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a fraction", "7.1", "5.0\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size of 2^64", "7.1", "10000000000000000\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size of 2^64 + 5", "7.1", "10000000000000005\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a size of 40 digits", "7.1", "ffffffffffffffffffffffffffffffffffffffff\r\nhello", BAD_BODY),
    ("LF alone behind the size", "7.1", "5\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("CR alone behind the size", "7.1", "5\rhello\r\n0\r\n\r\n", BAD_BODY),
    ("LF alone behind the chunk", "7.1", "5\r\nhello\n0\r\n\r\n", BAD_BODY),
    ("CR alone behind the chunk", "7.1", "5\r\nhello\r0\r\n\r\n", BAD_BODY),
    ("nothing behind the chunk", "7.1", "5\r\nhello0\r\n\r\n", BAD_BODY),
    ("two letters behind the chunk", "7.1", "5\r\nhelloXX0\r\n\r\n", BAD_BODY),
    ("a chunk longer than its size", "7.1", "3\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("a chunk shorter than its size, and another", "7.1", "6\r\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("an extension", "7.1.1", "5;a=b\r\nhello\r\n0\r\n\r\n", SERVED),
    ("an extension of nothing", "7.1.1", "5;\r\nhello\r\n0\r\n\r\n", AnyOf(&[SERVED, BAD_BODY])),
    ("an extension in quotes", "7.1.1", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", SERVED),
    (
        "an extension with a line end in quotes",
        "7.1.1",
        "5;a=\"\r\n\"\r\nhello\r\n0\r\n\r\n",
        BAD_BODY,
    ),
    ("an extension that ends in LF alone", "7.1.1", "5;a\nhello\r\n0\r\n\r\n", BAD_BODY),
    ("an extension that ends in CR alone", "7.1.1", "5;a\rhello\r\n0\r\n\r\n", BAD_BODY),
    ("LF alone behind the last size", "7.1", "5\r\nhello\r\n0\n\r\n", BAD_BODY),
    ("a trailer", "7.1.2", "5\r\nhello\r\n0\r\nX: y\r\n\r\n", SERVED),
    ("a length in the trailers", "6.5.1", "5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n", SERVED),
    (
        "a coding in the trailers",
        "6.5.1",
        "5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
        SERVED,
    ),
    ("a host in the trailers", "6.5.1", "5\r\nhello\r\n0\r\nHost: b\r\n\r\n", SERVED),
    ("a trailer without a colon", "7.1.2", "5\r\nhello\r\n0\r\nX\r\n\r\n", BAD_BODY),
    ("a trailer with NUL", "7.1.2", "5\r\nhello\r\n0\r\nX: \0\r\n\r\n", BAD_BODY),
    ("a folded trailer", "7.1.2", "5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n", BAD_BODY),
    (
        "chunks behind the end",
        "7.1",
        "5\r\nhello\r\n0\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Closes(&[200, 400]),
    ),
    ("no chunks at all but a text", "7.1", "hello, this is no chunk", BAD_BODY),
];
