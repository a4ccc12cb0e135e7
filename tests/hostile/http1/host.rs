//! Shapes of the Host header (RFC 9112, 3.2; RFC 9110, 7.2): exactly one, with a host and an
//! optional port.

use super::{BAD_REQUEST, Closes, Http, SERVED, SERVED_OR_REJECTED};
use crate::hostile::shape::Shape;

pub fn shapes() -> Vec<Shape<Http>> {
    let mut shapes: Vec<_> = VALUES
        .iter()
        .map(|(name, value, answer)| {
            let text = format!("GET / HTTP/1.1\r\nHost: {value}\r\n\r\n");
            Shape::new(*name, "9112, 3.2", text, *answer)
        })
        .collect();
    shapes.extend(HEADS.iter().map(|(name, head, answer)| {
        Shape::new(*name, "9112, 3.2", format!("{head}\r\n\r\n"), *answer)
    }));
    shapes.push(Shape::new(
        "a host of 10,000 letters",
        "9112, 3.2",
        format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "a".repeat(10_000)),
        SERVED_OR_REJECTED,
    ));
    shapes
}

#[rustfmt::skip]
const VALUES: &[(&str, &str, Http)] = &[
    ("spaces around it", "  a  ", SERVED),
    ("a port", "a:80", SERVED),
    ("an IPv4 address", "127.0.0.1:80", SERVED),
    ("an IPv6 address", "[::1]", SERVED),
    ("an IPv6 address with a port", "[::1]:80", SERVED),
    ("an empty value", "", SERVED_OR_REJECTED),
    ("an empty port", "a:", SERVED_OR_REJECTED),
    ("port 0", "a:0", SERVED_OR_REJECTED),
    ("an encoded letter", "%61", SERVED_OR_REJECTED),
    ("an underscore", "a_b", SERVED_OR_REJECTED),
    ("user info", "u@a", BAD_REQUEST),
    ("user info with a password", "u:p@a", BAD_REQUEST),
    ("empty user info", "@a", BAD_REQUEST),
    ("two at signs", "u@b@a", BAD_REQUEST),
    ("a space inside", "a b", BAD_REQUEST),
    ("a tab inside", "a\tb", BAD_REQUEST),
    ("a space before the port", "a :80", BAD_REQUEST),
    ("a space behind the colon", "a: 80", BAD_REQUEST),
    ("a port of letters", "a:b", BAD_REQUEST),
    ("a port over 65,535", "a:99999", BAD_REQUEST),
    ("a port of 30 digits", "a:888888888888888888888888888888", BAD_REQUEST),
    ("a negative port", "a:-1", BAD_REQUEST),
    ("a port with a plus", "a:+80", BAD_REQUEST),
    ("two ports", "a:80:80", BAD_REQUEST),
    ("a port without a host", ":80", BAD_REQUEST),
    ("a path", "a/b", BAD_REQUEST),
    ("a query", "a?b", BAD_REQUEST),
    ("a fragment", "a#b", BAD_REQUEST),
    ("a backslash", "a\\b", BAD_REQUEST),
    ("a URL", "http://a", BAD_REQUEST),
    ("a list", "a, b", BAD_REQUEST),
    ("a list without a space", "a,b", SERVED_OR_REJECTED),
    ("quotes", "\"a\"", BAD_REQUEST),
    ("angle brackets", "<a>", BAD_REQUEST),
    ("a broken encoding", "%zz", BAD_REQUEST),
    ("UTF-8", "\u{c3}\u{a4}", BAD_REQUEST),
    ("no UTF-8", "\u{ff}", BAD_REQUEST),
    ("NUL", "a\0", Closes(&[400])),
    ("a control byte", "a\u{1}", Closes(&[400])),
    ("an open bracket", "[::1", BAD_REQUEST),
    ("a closed bracket", "::1]", BAD_REQUEST),
    ("an IPv6 address without brackets", "::1", BAD_REQUEST),
    ("letters in brackets", "[zz]", BAD_REQUEST),
    ("empty brackets", "[]", BAD_REQUEST),
    ("letters behind brackets", "[::1]x", BAD_REQUEST),
];

#[rustfmt::skip]
const HEADS: &[(&str, &str, Http)] = &[
    ("none", "GET / HTTP/1.1", BAD_REQUEST),
    ("none, in absolute form", "GET http://a/ HTTP/1.1", BAD_REQUEST),
    ("none, for a POST", "POST /body HTTP/1.1\r\nContent-Length: 0", BAD_REQUEST),
    ("none, for a page that is not there", "GET /nowhere HTTP/1.1", BAD_REQUEST),
    ("none in HTTP/1.0", "GET / HTTP/1.0", Closes(&[200])),
    ("the same twice", "GET / HTTP/1.1\r\nHost: a\r\nHost: a", BAD_REQUEST),
    ("two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b", BAD_REQUEST),
    ("two in different letters", "GET / HTTP/1.1\r\nHost: a\r\nhOST: b", BAD_REQUEST),
    ("two, one of them empty", "GET / HTTP/1.1\r\nHost:\r\nHost: a", BAD_REQUEST),
    ("two in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b", Closes(&[400])),
    ("user info in HTTP/1.0", "GET / HTTP/1.0\r\nHost: u@a", Closes(&[400])),
    ("another name for it", "GET / HTTP/1.1\r\nX-Forwarded-Host: a", BAD_REQUEST),
];
