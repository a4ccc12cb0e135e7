//! Shapes of request lines: the method, the forms of the target, and the version (RFC 9112, 2.3, 3
//! and 3.2).

use super::{AnyOf, BAD_FRAMING, BAD_REQUEST, Closes, Http, Keeps, NOT_FOUND_OR_BAD, SERVED};
use super::{SERVED_OR_REJECTED, TOO_LARGE};
use crate::hostile::shape::Shape;

/// A version that is not supported here (RFC 9110, 15.6.6).
const OTHER_VERSION: Http = AnyOf(&[Closes(&[400]), Closes(&[505])]);

pub fn shapes() -> Vec<Shape<Http>> {
    let line = |(name, rule, line, answer): (&str, _, &str, _)| {
        Shape::new(name, rule, format!("{line}\r\nHost: a\r\n\r\n"), answer)
    };
    let long = |length: usize| format!("/{}", "x".repeat(length - 1));
    let sized = |length, answer| {
        let text = format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", long(length));
        Shape::new(
            format!("a target of {length} bytes"),
            "9112, 3",
            text,
            answer,
        )
    };
    let mut shapes: Vec<_> = SEPARATORS.iter().copied().map(line).collect();
    shapes.extend(TARGETS.iter().copied().map(line));
    shapes.extend(VERSIONS.iter().copied().map(line));
    shapes.extend([
        sized(8_000, Keeps(&[404])),
        sized(60_000, NOT_FOUND_OR_BAD),
        sized(65_535, AnyOf(&[Closes(&[414]), Closes(&[431])])),
        sized(200_000, AnyOf(&[Closes(&[414]), Closes(&[431])])),
        Shape::new(
            "a query of 60,000 bytes",
            "9112, 3",
            format!("GET /?{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(60_000)),
            SERVED,
        ),
        Shape::new(
            "an empty line before the request",
            "9112, 2.2",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            SERVED,
        ),
        Shape::new(
            "100,000 empty lines",
            "9112, 2.2",
            "\r\n".repeat(100_000),
            AnyOf(&[Closes(&[400]), Closes(&[431]), Closes(&[])]),
        ),
        Shape::new(
            "lines that end in LF alone",
            "9112, 2.2",
            "GET / HTTP/1.1\nHost: a\n\n",
            SERVED_OR_REJECTED,
        ),
        Shape::new(
            "lines that end in CR alone",
            "9112, 2.2",
            "GET / HTTP/1.1\rHost: a\r\r",
            BAD_FRAMING,
        ),
        Shape::new(
            "lines that end in CR CR LF",
            "9112, 2.2",
            "GET / HTTP/1.1\r\r\nHost: a\r\r\n\r\r\n",
            BAD_FRAMING,
        ),
        Shape::new("HTTP/0.9", "9112, 2.3", "GET /\r\n", OTHER_VERSION),
        Shape::new(
            "a request line of 200,000 letters",
            "9112, 3",
            "x".repeat(200_000),
            AnyOf(&[Closes(&[400]), Closes(&[414]), TOO_LARGE]),
        ),
        Shape::of_bytes(
            "a TLS ClientHello",
            "9112, 3",
            [
                &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
                &[7; 500],
            ]
            .concat(),
            BAD_FRAMING,
        ),
        Shape::new("an SSH banner", "9112, 3", "SSH-2.0-x\r\n", BAD_FRAMING),
        Shape::new(
            "a Redis command",
            "9112, 3",
            "*1\r\n$4\r\nPING\r\n",
            BAD_FRAMING,
        ),
        Shape::of_bytes("zeros", "9112, 3", vec![0; 1_000], BAD_FRAMING),
    ]);
    shapes
}

type Row = (&'static str, &'static str, &'static str, Http);

#[rustfmt::skip]
const SEPARATORS: &[Row] = &[
    ("two spaces before the target", "9112, 3", "GET  / HTTP/1.1", BAD_FRAMING),
    ("two spaces before the version", "9112, 3", "GET /  HTTP/1.1", BAD_FRAMING),
    ("a tab before the target", "9112, 3", "GET\t/ HTTP/1.1", BAD_FRAMING),
    ("a tab before the version", "9112, 3", "GET /\tHTTP/1.1", BAD_FRAMING),
    ("a vertical tab before the target", "9112, 3", "GET\u{b}/ HTTP/1.1", BAD_FRAMING),
    ("a space before the method", "9112, 3", " GET / HTTP/1.1", BAD_FRAMING),
    ("a space behind the version", "9112, 3", "GET / HTTP/1.1 ", BAD_FRAMING),
    ("no target", "9112, 3", "GET HTTP/1.1", BAD_FRAMING),
    ("nothing but a version", "9112, 3", "HTTP/1.1", BAD_FRAMING),
    ("no version and a space", "9112, 3", "GET / ", BAD_FRAMING),
    ("four words", "9112, 3", "GET / / HTTP/1.1", BAD_FRAMING),
    ("a byte order mark", "9112, 3", "\u{ef}\u{bb}\u{bf}GET / HTTP/1.1", BAD_FRAMING),
    ("a response", "9112, 2.1", "HTTP/1.1 200 OK", BAD_FRAMING),
];

#[rustfmt::skip]
const TARGETS: &[Row] = &[
    ("absolute form", "9112, 3.2.2", "GET http://a/ HTTP/1.1", SERVED),
    ("absolute form without a path", "9112, 3.2.2", "GET http://a HTTP/1.1", SERVED),
    // The target's host applies, and the Host header is ignored.
    ("absolute form of another host", "9112, 3.2.2", "GET http://b/ HTTP/1.1", SERVED_OR_REJECTED),
    ("absolute form with user info", "9110, 4.2.4", "GET http://u:p@a/ HTTP/1.1", BAD_REQUEST),
    ("absolute form without a host", "9110, 4.2.1", "GET http:/// HTTP/1.1", BAD_REQUEST),
    ("absolute form with a bad port", "9110, 4.2.1", "GET http://a:b/ HTTP/1.1", BAD_REQUEST),
    ("authority form of a GET", "9112, 3.2.3", "GET a:80 HTTP/1.1", NOT_FOUND_OR_BAD),
    ("asterisk form of a GET", "9112, 3.2.4", "GET * HTTP/1.1", NOT_FOUND_OR_BAD),
    ("an asterisk and more", "9112, 3.2.4", "OPTIONS *x HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a path without its slash", "9112, 3.2.1", "GET healthz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a query without a path", "9112, 3.2.1", "GET ?a=b HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a fragment", "9112, 3.2", "GET /#x HTTP/1.1", SERVED_OR_REJECTED),
    ("a space in the path", "9112, 3.2", "GET /a b HTTP/1.1", BAD_FRAMING),
    ("NUL in the path", "9112, 3.2", "GET /\0 HTTP/1.1", BAD_FRAMING),
    ("a control byte in the path", "9112, 3.2", "GET /\u{1} HTTP/1.1", BAD_FRAMING),
    ("DEL in the path", "9112, 3.2", "GET /\u{7f} HTTP/1.1", BAD_FRAMING),
    ("CR in the path", "9112, 3.2", "GET /\r HTTP/1.1", BAD_FRAMING),
    ("LF in the path", "9112, 3.2", "GET /\n HTTP/1.1", BAD_FRAMING),
    ("UTF-8 in the path", "9112, 3.2", "GET /\u{c3}\u{a9} HTTP/1.1", NOT_FOUND_OR_BAD),
    ("no UTF-8 in the path", "9112, 3.2", "GET /\u{ff} HTTP/1.1", NOT_FOUND_OR_BAD),
    ("no UTF-8 in the query", "9112, 3.2", "GET /?\u{ff} HTTP/1.1", SERVED_OR_REJECTED),
    ("a percent sign alone", "3986, 2.1", "GET /% HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a percent sign and no digits", "3986, 2.1", "GET /%zz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("an encoded NUL", "3986, 2.1", "GET /%00 HTTP/1.1", NOT_FOUND_OR_BAD),
    ("an encoded CR LF", "3986, 2.1", "GET /%0d%0aX:y HTTP/1.1", NOT_FOUND_OR_BAD),
    ("no UTF-8 in a parameter", "3986, 2.5", "GET /events/room/%ff HTTP/1.1", NOT_FOUND_OR_BAD),
    ("an encoded slash in a parameter", "3986, 2.2", "GET /events/room/a%2fb HTTP/1.1", NOT_FOUND_OR_BAD),
    ("dots up", "3986, 6.2.2.3", "GET /../healthz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("encoded dots up", "3986, 6.2.2.3", "GET /%2e%2e/healthz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("two slashes", "3986, 3.3", "GET //healthz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a backslash", "3986, 2", "GET /\\healthz HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a quote and angle brackets", "3986, 2", "GET /<\"> HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a file's address", "9110, 4.2", "GET file:///etc/passwd HTTP/1.1", NOT_FOUND_OR_BAD),
    ("a script's address", "9110, 4.2", "GET javascript:alert(1) HTTP/1.1", NOT_FOUND_OR_BAD),
];

#[rustfmt::skip]
const VERSIONS: &[Row] = &[
    ("HTTP/1.0", "9112, 9.3", "GET / HTTP/1.0", Closes(&[200])),
    ("HTTP/0.9 by name", "9112, 2.3", "GET / HTTP/0.9", OTHER_VERSION),
    ("HTTP/1.2", "9110, 2.5", "GET / HTTP/1.2", OTHER_VERSION),
    ("HTTP/1.10", "9112, 2.3", "GET / HTTP/1.10", OTHER_VERSION),
    ("HTTP/1.1.1", "9112, 2.3", "GET / HTTP/1.1.1", OTHER_VERSION),
    ("HTTP/01.1", "9112, 2.3", "GET / HTTP/01.1", OTHER_VERSION),
    ("HTTP/1", "9112, 2.3", "GET / HTTP/1", OTHER_VERSION),
    ("HTTP/1.", "9112, 2.3", "GET / HTTP/1.", OTHER_VERSION),
    ("HTTP/1.x", "9112, 2.3", "GET / HTTP/1.x", OTHER_VERSION),
    ("HTTP/-1.1", "9112, 2.3", "GET / HTTP/-1.1", OTHER_VERSION),
    ("HTTP/2.0", "9112, 2.3", "GET / HTTP/2.0", OTHER_VERSION),
    ("HTTP/3.0", "9112, 2.3", "GET / HTTP/3.0", OTHER_VERSION),
    ("HTTP/9.9", "9112, 2.3", "GET / HTTP/9.9", OTHER_VERSION),
    ("http/1.1 in small letters", "9112, 2.3", "GET / http/1.1", OTHER_VERSION),
    ("HTTPS/1.1", "9112, 2.3", "GET / HTTPS/1.1", OTHER_VERSION),
    ("RTSP/1.0", "9112, 2.3", "GET / RTSP/1.0", OTHER_VERSION),
    ("HTTP-1.1", "9112, 2.3", "GET / HTTP-1.1", OTHER_VERSION),
    ("a space inside the version", "9112, 2.3", "GET / HTTP/ 1.1", OTHER_VERSION),
    ("junk for a version", "9112, 2.3", "GET / %s%n%x", OTHER_VERSION),
    (
        "a version of 1,000 digits is told by the first",
        "9112, 2.3",
        "GET / HTTP/11111111111111",
        OTHER_VERSION,
    ),
];
