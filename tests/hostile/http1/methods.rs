//! Shapes of methods (RFC 9110, 9): unknown ones get 405 or 501, and open no tunnel.

use super::{AnyOf, BAD_FRAMING, Closes, Http, Keeps, SERVED};
use crate::hostile::shape::Shape;

/// Not allowed or not implemented (RFC 9110, 9.1).
const NOT_ALLOWED: Http = AnyOf(&[Keeps(&[405]), Closes(&[405]), Keeps(&[501]), Closes(&[501])]);
/// The target does not have the form that the method requires.
const NOT_ALLOWED_OR_BAD: Http = AnyOf(&[NOT_ALLOWED, Keeps(&[400]), Closes(&[400])]);
/// A known method, which the page may accept or not.
const SERVED_OR_NOT_ALLOWED: Http = AnyOf(&[SERVED, NOT_ALLOWED]);

pub fn shapes() -> Vec<Shape<Http>> {
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut shapes: Vec<_> = LINES
        .iter()
        .map(|(name, line, answer)| Shape::new(*name, "9110, 9.1", request(line), *answer))
        .collect();
    for method in UNKNOWN {
        let line = format!("{method} /events/room/a");
        let name = format!("{method} at an HTTP consumer");
        shapes.push(Shape::new(name, "9110, 9.1", request(&line), NOT_ALLOWED));
        let name = format!("{method} at a page that takes all");
        shapes.push(Shape::new(
            name,
            "9110, 9.1",
            request(&format!("{method} /")),
            SERVED_OR_NOT_ALLOWED,
        ));
    }
    shapes.push(Shape::new(
        "a method of 10,000 letters",
        "9110, 9.1",
        request(&format!("{} /events/room/a", "A".repeat(10_000))),
        NOT_ALLOWED_OR_BAD,
    ));
    shapes
}

const UNKNOWN: &[&str] = &[
    "TRACE",
    "TRACK",
    "BREW",
    "get",
    "GETX",
    "PRI",
    "0",
    "!#$%&'*+-.^_`|~",
];

#[rustfmt::skip]
const LINES: &[(&str, &str, Http)] = &[
    ("HEAD", "HEAD /", SERVED),
    ("HEAD for a page that is not there", "HEAD /nowhere", Keeps(&[404])),
    ("PUT", "PUT /", SERVED_OR_NOT_ALLOWED),
    ("DELETE", "DELETE /", SERVED_OR_NOT_ALLOWED),
    ("PATCH", "PATCH /", SERVED_OR_NOT_ALLOWED),
    ("OPTIONS", "OPTIONS /", SERVED_OR_NOT_ALLOWED),
    (
        "OPTIONS for the server",
        "OPTIONS *",
        AnyOf(&[SERVED_OR_NOT_ALLOWED, Keeps(&[204]), Keeps(&[404]), Keeps(&[400])]),
    ),
    ("CONNECT", "CONNECT a:80", NOT_ALLOWED),
    ("CONNECT to this machine", "CONNECT 127.0.0.1:22", NOT_ALLOWED),
    ("CONNECT to a path", "CONNECT /", NOT_ALLOWED_OR_BAD),
    ("CONNECT to a URL", "CONNECT http://a/", NOT_ALLOWED_OR_BAD),
    ("CONNECT to a socket's route", "CONNECT /ws/echo", NOT_ALLOWED_OR_BAD),
    ("CONNECT to nothing", "CONNECT *", NOT_ALLOWED_OR_BAD),
    ("TRACE of a page that is not there", "TRACE /nowhere", AnyOf(&[NOT_ALLOWED, Keeps(&[404])])),
    (
        "an unknown method for a page that is not there",
        "BREW /nowhere",
        AnyOf(&[NOT_ALLOWED, Keeps(&[404])]),
    ),
    ("a slash in the method", "GE/T /", BAD_FRAMING),
    ("a colon in the method", "GET: /", BAD_FRAMING),
    ("a quote in the method", "\"GET\" /", BAD_FRAMING),
    ("NUL in the method", "G\0ET /", BAD_FRAMING),
    ("a control byte in the method", "G\u{1}ET /", BAD_FRAMING),
    ("a byte over 0x7f in the method", "G\u{c9}T /", BAD_FRAMING),
];
