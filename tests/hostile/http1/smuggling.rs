//! Shapes of request smuggling (RFC 9112, 11.2): two recipients of one message disagree about its
//! end.
//!
//! Each message contains another request, which one of the two reads as part of the body. It must
//! never get a response: either the message is rejected and the connection closed, or the inner
//! request is read as the body that it is.

use super::{AnyOf, BAD_BODY, BAD_FRAMING, Closes, Http, Keeps, SERVED};
use crate::hostile::shape::Shape;

const INNER: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// The header does not delimit the body; only the length counts.
const BODY_BY_LENGTH: Http = AnyOf(&[SERVED, Closes(&[200]), BAD_FRAMING]);

pub fn shapes() -> Vec<Shape<Http>> {
    let mut shapes = Vec::new();
    // The length covers all, the chunks end before the inner request (CL.TE), in many spellings of
    // one header.
    for (name, coding, answer) in CODINGS {
        let body = format!("0\r\n\r\n{INNER}");
        let length = body.len();
        for (order, lines) in [
            (
                "length first",
                format!("Content-Length: {length}\r\n{coding}\r\n"),
            ),
            (
                "coding first",
                format!("{coding}\r\nContent-Length: {length}\r\n"),
            ),
        ] {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
            shapes.push(Shape::new(
                format!("CL.TE, {name}, {order}"),
                "9112, 6.3",
                text,
                *answer,
            ));
        }
    }
    // The length covers the first line, the chunk contains the inner request (TE.CL).
    for (name, coding, answer) in CODINGS {
        let size = format!("{:x}\r\n", INNER.len());
        let body = format!("{size}{INNER}\r\n0\r\n\r\n");
        let length = size.len();
        if matches!(answer, AnyOf(_)) {
            // By the length, the rest is a separate request, and rightly gets a response.
            continue;
        }
        let lines = format!("{coding}\r\nContent-Length: {length}\r\n");
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}");
        shapes.push(Shape::new(
            format!("TE.CL, {name}"),
            "9112, 6.3",
            text,
            *answer,
        ));
    }
    // Two lengths (CL.CL), and lengths that some recipients do not see.
    for (name, line, answer) in LENGTHS {
        let line = line.replace("{}", &INNER.len().to_string());
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n{INNER}");
        shapes.push(Shape::new(*name, "9112, 6.3", text, *answer));
    }
    // One of the two is longer than any valid one.
    let coding = "Transfer-Encoding: chunked";
    for (name, lines) in [
        (
            "a length behind spaces",
            format!("Content-Length:{}5\r\n{coding}", " ".repeat(300)),
        ),
        (
            "a length of zeros",
            format!("Content-Length: {}5\r\n{coding}", "0".repeat(300)),
        ),
        (
            "a coding behind spaces",
            format!(
                "Content-Length: 5\r\nTransfer-Encoding:{}chunked",
                " ".repeat(300)
            ),
        ),
    ] {
        let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n0\r\n\r\n{INNER}");
        shapes.push(Shape::new(
            format!("CL.TE, {name}"),
            "9112, 6.3",
            text,
            BAD_FRAMING,
        ));
    }
    // After other requests on the same connection, which may confuse a parser that looks for two
    // lengths.
    for (name, before, answer) in BEFORE {
        let text = format!(
            "{before}POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
             Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{INNER}"
        );
        shapes.push(Shape::new(
            format!("CL.TE behind {name}"),
            "9112, 6.3",
            text,
            *answer,
        ));
    }
    // An invalid chunk: nothing after it is a request.
    for (name, start) in CHUNKS {
        let text = format!(
            "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{start}{INNER}{INNER}"
        );
        shapes.push(Shape::new(*name, "9112, 7.1", text, BAD_BODY));
    }
    shapes
}

#[rustfmt::skip]
const CODINGS: &[(&str, &str, Http)] = &[
    ("plain", "Transfer-Encoding: chunked", BAD_FRAMING),
    ("large letters", "TRANSFER-ENCODING: CHUNKED", BAD_FRAMING),
    ("no space", "Transfer-Encoding:chunked", BAD_FRAMING),
    ("a tab", "Transfer-Encoding:\tchunked", BAD_FRAMING),
    ("spaces behind", "Transfer-Encoding: chunked  ", BAD_FRAMING),
    ("a space before the colon", "Transfer-Encoding : chunked", BAD_FRAMING),
    ("a tab before the colon", "Transfer-Encoding\t: chunked", BAD_FRAMING),
    ("a space before the name", " Transfer-Encoding: chunked", BAD_FRAMING),
    ("a folded value", "Transfer-Encoding:\r\n chunked", BAD_FRAMING),
    ("LF before the name", "X: y\nTransfer-Encoding: chunked", BAD_FRAMING),
    ("CR before the name", "X: y\rTransfer-Encoding: chunked", BAD_FRAMING),
    ("LF behind the name", "Transfer-Encoding\n: chunked", BAD_FRAMING),
    ("CR behind the value", "Transfer-Encoding: chunked\r", BAD_FRAMING),
    ("a vertical tab", "Transfer-Encoding: \u{b}chunked", BAD_FRAMING),
    ("NUL behind the value", "Transfer-Encoding: chunked\0", BAD_FRAMING),
    ("xchunked", "Transfer-Encoding: xchunked", BAD_CODING),
    ("quotes", "Transfer-Encoding: \"chunked\"", BAD_CODING),
    ("a parameter", "Transfer-Encoding: chunked;x", BAD_CODING),
    ("identity behind", "Transfer-Encoding: chunked, identity", BAD_CODING),
    ("another line before", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked", BAD_CODING),
    ("another line behind", "Transfer-Encoding: chunked\r\nTransfer-encoding: x", BAD_CODING),
    (
        "the same line twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        BAD_FRAMING,
    ),
    ("an underscore", "Transfer_Encoding: chunked", BODY_BY_LENGTH),
    ("a letter less", "Transfer-Encodin: chunked", BODY_BY_LENGTH),
    ("in another header's value", "X: Transfer-Encoding: chunked", BODY_BY_LENGTH),
];

/// An unknown coding is rejected as such, or because of the length beside it.
const BAD_CODING: Http = BAD_FRAMING;

#[rustfmt::skip]
const LENGTHS: &[(&str, &str, Http)] = &[
    ("CL.0: a body that nobody reads", "Content-Length: {}", SERVED),
    ("CL.CL: 0, then the length", "Content-Length: 0\r\nContent-Length: {}", BAD_FRAMING),
    ("CL.CL: the length, then 0", "Content-Length: {}\r\nContent-Length: 0", BAD_FRAMING),
    ("CL.CL: a list", "Content-Length: {}, 0", BAD_FRAMING),
    ("0.CL: a space before the colon", "Content-Length : {}", BAD_FRAMING),
    ("0.CL: a space before the name", " Content-Length: {}", BAD_FRAMING),
    ("0.CL: a folded value", "Content-Length:\r\n {}", BAD_FRAMING),
    ("0.CL: a plus", "Content-Length: +{}", BAD_FRAMING),
    ("0.CL: CR before the name", "X: y\rContent-Length: {}", BAD_FRAMING),
    ("0.CL: LF before the name", "X: y\nContent-Length: {}", BODY_BY_LENGTH),
    ("0.CL: an expectation", "Expect: 100-continue\r\nContent-Length: {}", EXPECTED),
    ("0.CL: an unknown expectation", "Expect: y 100-continue\r\nContent-Length: {}", EXPECTED),
    (
        "0.CL: a connection option",
        "Connection: Content-Length\r\nContent-Length: {}",
        BODY_BY_LENGTH,
    ),
    (
        "0.CL: an upgrade to h2c",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: {}",
        BODY_BY_LENGTH,
    ),
    (
        "0.CL: a method override",
        "X-HTTP-Method-Override: GET\r\nContent-Length: {}",
        BODY_BY_LENGTH,
    ),
];

/// The client does not wait for 100 Continue, so the body may be read or the connection closed.
const EXPECTED: Http = AnyOf(&[
    Keeps(&[200]),
    Keeps(&[100, 200]),
    Closes(&[200]),
    Closes(&[417]),
]);

#[rustfmt::skip]
const BEFORE: &[(&str, &str, Http)] = &[
    ("a page", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", TWO),
    ("a HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", TWO),
    ("lines that end in LF", "GET / HTTP/1.1\nHost: a\n\n", AnyOf(&[TWO, BAD_FRAMING])),
    ("empty lines", "\r\n\r\n", BAD_FRAMING),
    ("a body", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", TWO),
    ("a body of LFs", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\n\n\n\n", TWO),
    ("a length of zeros", "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n\r\n", TWO),
    (
        "a length twice",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n\r\n",
        TWO,
    ),
    (
        "chunks with extensions and trailers",
        "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         2;a=\"b\"\r\n\r\n\r\n00\r\nX: y\r\n\r\n",
        TWO,
    ),
    (
        "a head of two lengths in a body",
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n\
         POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n",
        TWO,
    ),
    (
        "an upgrade that is rejected",
        "GET /ws/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        AnyOf(&[Closes(&[426]), Closes(&[426, 400])]),
    ),
    (
        "an expectation without a body",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
        TWO,
    ),
    (
        "a folded line",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 5\r\n\r\n",
        BAD_FRAMING,
    ),
];

/// The first request gets its response, the second is rejected.
const TWO: Http = Closes(&[200, 400]);

#[rustfmt::skip]
const CHUNKS: &[(&str, &str)] = &[
    ("TERM.EXT: LF ends an extension", "2;\nxx\r\n"),
    ("EXT.TERM: LF inside an extension", "2;x=\nx\r\nxx\r\n0\r\n\r\n"),
    ("a size that ends in LF", "2\nxx\r\n0\r\n\r\n"),
    ("a size that ends in CR", "2\rxx\r\n0\r\n\r\n"),
    ("a wrong size", "0x2\r\nxx\r\n0\r\n\r\n"),
    ("a size that overflows to 0", "10000000000000000\r\n\r\n"),
    ("a size that overflows to 2", "10000000000000002\r\nxx\r\n0\r\n\r\n"),
    ("no line end behind a chunk", "2\r\nxx0\r\n\r\n"),
    ("two letters in place of a line end", "2\r\nxxyy0\r\n\r\n"),
];
