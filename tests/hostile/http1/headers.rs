//! Shapes of header fields: names, values, line ends, and their size (RFC 9112, 5; RFC 9110, 5.5).

use super::{AnyOf, BAD_FRAMING, Closes, Http, Keeps, SERVED, SERVED_OR_REJECTED, TOO_LARGE};
use crate::hostile::shape::Shape;

pub fn shapes() -> Vec<Shape<Http>> {
    let get = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let many = |count: usize| get(&"X: y\r\n".repeat(count));
    let mut shapes: Vec<_> = LINES
        .iter()
        .map(|(name, rule, line, answer)| {
            Shape::new(*name, rule, get(&format!("{line}\r\n")), *answer)
        })
        .collect();
    #[rustfmt::skip]
    let rows = [
        ("99 headers more", many(99), SERVED),
        ("100 headers more", many(100), TOO_LARGE),
        ("10,000 headers more", many(10_000), TOO_LARGE),
        ("a value of 60,000 bytes", get(&format!("X: {}\r\n", "x".repeat(60_000))), SERVED),
        ("a value of 1 MB", get(&format!("X: {}\r\n", "x".repeat(1_000_000))), TOO_LARGE),
        ("a name of 1 MB", get(&format!("{}: y\r\n", "x".repeat(1_000_000))), TOO_LARGE),
        (
            "a name of 60,000 bytes",
            get(&format!("{}: y\r\n", "x".repeat(60_000))),
            AnyOf(&[SERVED_OR_REJECTED, TOO_LARGE]),
        ),
        ("a value of 1 MB of spaces", get(&format!("X:{}y\r\n", " ".repeat(1_000_000))), TOO_LARGE),
        ("cookies of 60,000 bytes", get(&format!("Cookie: {}\r\n", "a=b;".repeat(15_000))), SERVED),
    ];
    for (name, lines, answer) in rows {
        shapes.push(Shape::new(name, "6585, 5", lines, answer));
    }
    shapes.push(Shape::new(
        "a space before the first header",
        "9112, 2.2",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        BAD_FRAMING,
    ));
    shapes
}

#[rustfmt::skip]
const LINES: &[(&str, &str, &str, Http)] = &[
    ("a folded line", "9112, 5.2", "X: y\r\n z", BAD_FRAMING),
    ("a line folded by a tab", "9112, 5.2", "X: y\r\n\tz", BAD_FRAMING),
    ("a folded line of spaces", "9112, 5.2", "X: y\r\n   ", BAD_FRAMING),
    ("a space before the colon", "9112, 5.1", "X : y", BAD_FRAMING),
    ("a tab before the colon", "9112, 5.1", "X\t: y", BAD_FRAMING),
    ("no colon", "9112, 5", "X", BAD_FRAMING),
    ("an empty name", "9110, 5.1", ": y", BAD_FRAMING),
    ("a space in the name", "9110, 5.1", "X Y: z", BAD_FRAMING),
    ("a parenthesis in the name", "9110, 5.6.2", "X(: y", BAD_FRAMING),
    ("an at sign in the name", "9110, 5.6.2", "X@: y", BAD_FRAMING),
    ("a quote in the name", "9110, 5.6.2", "\"X\": y", BAD_FRAMING),
    ("a byte over 0x7f in the name", "9110, 5.6.2", "X\u{ff}: y", BAD_FRAMING),
    ("NUL in the name", "9110, 5.6.2", "X\0: y", BAD_FRAMING),
    ("a control byte in the name", "9110, 5.6.2", "X\u{1}: y", BAD_FRAMING),
    ("a name of all letters", "9110, 5.6.2", "!#$%&'*+-.^_`|~09: y", SERVED),
    ("no value", "9110, 5.5", "X:", SERVED),
    ("spaces around the value", "9112, 5.1", "X: \t y \t ", SERVED),
    ("bytes over 0x7f in the value", "9110, 5.5", "X: \u{80}\u{ff}", SERVED),
    ("bytes over 0x7f in a cookie", "9110, 5.5", "Cookie: name=Zo\u{c3}\u{ab}; id=1", SERVED),
    ("NUL in the value", "9110, 5.5", "X: a\0b", BAD_FRAMING),
    ("CR in the value", "9110, 5.5", "X: a\rb", BAD_FRAMING),
    ("a control byte in the value", "9110, 5.5", "X: a\u{1}b", BAD_FRAMING),
    ("a vertical tab in the value", "9110, 5.5", "X: a\u{b}b", BAD_FRAMING),
    ("an escape in the value", "9110, 5.5", "X: \u{1b}[2J", BAD_FRAMING),
    ("DEL in the value", "9110, 5.5", "X: a\u{7f}b", BAD_FRAMING),
    ("LF in the value, and no header behind it", "9112, 2.2", "X: a\nb", BAD_FRAMING),
    ("LF in the value, and a header behind it", "9112, 2.2", "X: a\nY: b", SERVED_OR_REJECTED),
    ("CR before the line's end", "9112, 2.2", "X: a\r", BAD_FRAMING),
    (
        "an unknown expectation",
        "9110, 10.1.1",
        "Expect: x",
        AnyOf(&[SERVED, Keeps(&[417]), Closes(&[417])]),
    ),
    ("an expectation without a body", "9110, 10.1.1", "Expect: 100-continue", SERVED),
    (
        "an upgrade to h2c",
        "9113, 3.1",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        SERVED,
    ),
    ("an upgrade to TLS", "9110, 7.8", "Connection: Upgrade\r\nUpgrade: TLS/1.0", SERVED),
    ("an upgrade to anything", "9110, 7.8", "Connection: Upgrade\r\nUpgrade: \u{ff}, , ;", SERVED),
    ("close and keep-alive", "9112, 9.3", "Connection: close, keep-alive", Closes(&[200])),
    (
        "keep-alive, and close on another line",
        "9112, 9.3",
        "Connection: keep-alive\r\nConnection: close",
        Closes(&[200]),
    ),
    ("a connection option that is Host", "9110, 7.6.1", "Connection: Host", SERVED),
    ("an endless range", "9110, 14.2", "Range: bytes=0-18446744073709551616,-1,--", SERVED),
    ("a coding that is no text", "9110, 12.5.3", "Accept-Encoding: \u{ff};q=9e999", SERVED),
];
