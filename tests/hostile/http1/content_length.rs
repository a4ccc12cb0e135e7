//! Shapes of Content-Length (RFC 9112, 6.3; RFC 9110, 8.6): digits, duplicates, and the handling of
//! the body.

use super::{AnyOf, BAD_BODY, BAD_FRAMING, Closes, Http, Keeps, SERVED};
use crate::hostile::{shape::Shape, target::MAX_BODY};

/// Several fields or a list of equal values: a recipient may accept the value or refuse the
/// message.
const EQUAL: Http = AnyOf(&[SERVED, BAD_FRAMING]);
/// More than the page accepts. The connection is kept only if the whole body has arrived (RFC 9110,
/// 15.5.14).
const TOO_LARGE: Http = AnyOf(&[Closes(&[413]), Keeps(&[413])]);
/// A length that no message has.
const ENORMOUS: Http = AnyOf(&[Closes(&[400]), Closes(&[413]), Closes(&[431])]);

pub fn shapes() -> Vec<Shape<Http>> {
    let post = |lines: &str, body: &str| {
        format!("POST /body HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n{body}")
    };
    let mut shapes: Vec<_> = LINES
        .iter()
        .map(|(name, lines, answer)| Shape::new(*name, "9112, 6.3", post(lines, "hello"), *answer))
        .collect();
    let sized = |length: usize| post(&format!("Content-Length: {length}"), &"x".repeat(length));
    let cut = post("Content-Length: 10", "hello");
    #[rustfmt::skip]
    let rows = [
        ("100 leading zeros", post(&format!("Content-Length: {:0>100}", 5), "hello"), SERVED),
        ("a body of exactly the limit", sized(MAX_BODY), SERVED),
        ("a body one over the limit", sized(MAX_BODY + 1), TOO_LARGE),
        ("a body of 1 MB over the limit", sized(1_000_000), TOO_LARGE),
        ("a length over the limit and no body", post("Content-Length: 1001", ""), TOO_LARGE),
        ("a length of 2^63 and no body", post("Content-Length: 9223372036854775808", ""), ENORMOUS),
        (
            "a body behind a length of 0",
            post("Content-Length: 0", "hello\r\n\r\n"),
            Closes(&[200, 400]),
        ),
        ("a body behind no length", post("X: y", "hello\r\n\r\n"), Closes(&[200, 400])),
        (
            "a body longer than its length",
            post("Content-Length: 2", "hello\r\n\r\n"),
            Closes(&[200, 400]),
        ),
        ("a GET with a body that nobody reads", with_body("GET / HTTP/1.1"), SERVED),
        ("a HEAD with a body that nobody reads", with_body("HEAD / HTTP/1.1"), SERVED),
        ("a body in HTTP/1.0", with_body("POST /body HTTP/1.0"), Closes(&[200])),
        ("a body for a page that is not there", with_body("POST /nowhere HTTP/1.1"), Keeps(&[404])),
        (
            "an expectation, and the body at once",
            post("Expect: 100-continue\r\nContent-Length: 5", "hello"),
            AnyOf(&[SERVED, Keeps(&[100, 200])]),
        ),
        (
            "an expectation, and a length over the limit",
            post("Expect: 100-continue\r\nContent-Length: 1001", ""),
            TOO_LARGE,
        ),
    ];
    for (name, text, answer) in rows {
        shapes.push(Shape::new(name, "9112, 6.3", text, answer));
    }
    for (name, text) in [
        ("a body that ends early", cut.as_str()),
        (
            "a body that never begins",
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
        ),
    ] {
        shapes.push(Shape::new(name, "9112, 8", text, BAD_BODY).half_close());
    }
    shapes.push(
        Shape::new(
            "a body that ends early and that nobody reads",
            "9112, 8",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello",
            AnyOf(&[Closes(&[200]), BAD_BODY]),
        )
        .half_close(),
    );
    shapes
}

fn with_body(line: &str) -> String {
    format!("{line}\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
}

#[rustfmt::skip]
const LINES: &[(&str, &str, Http)] = &[
    ("spaces before it", "Content-Length:    5", SERVED),
    ("tabs around it", "Content-Length:\t5\t", SERVED),
    ("leading zeros", "Content-Length: 0005", SERVED),
    ("the same twice", "Content-Length: 5\r\nContent-Length: 5", EQUAL),
    ("a list of the same", "Content-Length: 5, 5", EQUAL),
    ("two differing", "Content-Length: 5\r\nContent-Length: 6", BAD_FRAMING),
    ("two differing, the first is 0", "Content-Length: 0\r\nContent-Length: 5", BAD_FRAMING),
    ("two, one of them junk", "Content-Length: 5\r\nContent-Length: x", BAD_FRAMING),
    ("a list of two differing", "Content-Length: 5, 6", BAD_FRAMING),
    ("an empty list member", "Content-Length: 5,", BAD_FRAMING),
    ("empty", "Content-Length:", BAD_FRAMING),
    ("a word", "Content-Length: five", BAD_FRAMING),
    ("negative", "Content-Length: -5", BAD_FRAMING),
    ("negative zero", "Content-Length: -0", BAD_FRAMING),
    ("a plus", "Content-Length: +5", BAD_FRAMING),
    ("hexadecimal", "Content-Length: 0x5", BAD_FRAMING),
    ("hexadecimal digits", "Content-Length: a", BAD_FRAMING),
    ("a fraction", "Content-Length: 5.0", BAD_FRAMING),
    ("an exponent", "Content-Length: 5e0", BAD_FRAMING),
    ("an underscore", "Content-Length: 0_5", BAD_FRAMING),
    ("two numbers", "Content-Length: 5 5", BAD_FRAMING),
    ("a semicolon", "Content-Length: 5;", BAD_FRAMING),
    ("quotes", "Content-Length: \"5\"", BAD_FRAMING),
    ("a byte over 0x7f", "Content-Length: 5\u{a0}", BAD_FRAMING),
    ("a vertical tab", "Content-Length: \u{b}5", BAD_FRAMING),
    ("NUL", "Content-Length: 5\0", BAD_FRAMING),
    ("a space before the colon", "Content-Length : 5", BAD_FRAMING),
    ("a folded line", "Content-Length:\r\n 5", BAD_FRAMING),
    ("2^64", "Content-Length: 18446744073709551616", ENORMOUS),
    ("2^64 + 5", "Content-Length: 18446744073709551621", ENORMOUS),
    ("2^64 - 1", "Content-Length: 18446744073709551615", ENORMOUS),
    ("2^64 - 2", "Content-Length: 18446744073709551614", ENORMOUS),
    ("2^63", "Content-Length: 9223372036854775808", ENORMOUS),
    (
        "60 digits",
        "Content-Length: 999999999999999999999999999999999999999999999999999999999999",
        ENORMOUS,
    ),
];
