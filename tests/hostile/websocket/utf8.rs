//! Shapes of invalid UTF-8 in texts (RFC 6455, 5.6 and 8.1; RFC 3629), in one frame, in fragments
//! and byte by byte.

use super::{
    BINARY, Binary, Close, FIRST_BINARY, FIRST_TEXT, LAST, NEXT, Replies, TEXT, close, echoes,
    ends, frame,
};
use crate::hostile::shape::Shape;

#[rustfmt::skip]
const BROKEN: &[(&str, &[u8])] = &[
    ("a byte that begins nothing", b"\x80"),
    ("another byte that begins nothing", b"\xbf"),
    ("0xfe", b"\xfe"),
    ("0xff", b"\xff"),
    ("0xf8, which once began five bytes", b"\xf8\x88\x80\x80\x80"),
    ("0xfc, which once began six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("0xc0", b"\xc0"),
    ("0xf5", b"\xf5\x80\x80\x80"),
    ("an overlong slash in two bytes", b"\xc0\xaf"),
    ("an overlong slash in three bytes", b"\xe0\x80\xaf"),
    ("an overlong slash in four bytes", b"\xf0\x80\x80\xaf"),
    ("an overlong NUL", b"\xc0\x80"),
    ("the last overlong of two bytes", b"\xc1\xbf"),
    ("the last overlong of three bytes", b"\xe0\x9f\xbf"),
    ("the last overlong of four bytes", b"\xf0\x8f\xbf\xbf"),
    ("the first surrogate", b"\xed\xa0\x80"),
    ("the last surrogate", b"\xed\xbf\xbf"),
    ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
    ("a half surrogate in a text", b"a\xed\xa0\xbdb"),
    ("U+110000", b"\xf4\x90\x80\x80"),
    ("U+1FFFFF", b"\xf7\xbf\xbf\xbf"),
    ("two bytes cut to one", b"\xc3"),
    ("three bytes cut to one", b"\xe2"),
    ("three bytes cut to two", b"\xe2\x82"),
    ("four bytes cut to one", b"\xf0"),
    ("four bytes cut to two", b"\xf0\x9f"),
    ("four bytes cut to three", b"\xf0\x9f\x98"),
    ("a letter in place of a second byte", b"\xc3a"),
    ("a letter in place of a third byte", b"\xe2\x82a"),
    ("a letter in place of a fourth byte", b"\xf0\x9f\x98a"),
    ("a byte too much behind a character", b"\xc3\xa9\xa9"),
    ("a cut character behind a text", b"all is well, and then \xe2\x82"),
    ("a wrong byte behind a text", b"all is well, and then \xff"),
    ("Latin-1", b"caf\xe9"),
    ("UTF-16", b"\xff\xfeh\0i\0"),
];

#[rustfmt::skip]
const VALID: &[(&str, &str)] = &[
    ("NUL", "\0"),
    ("DEL", "\u{7f}"),
    ("U+0080", "\u{80}"),
    ("U+07FF", "\u{7ff}"),
    ("U+0800", "\u{800}"),
    ("U+D7FF", "\u{d7ff}"),
    ("U+E000", "\u{e000}"),
    ("a byte order mark", "\u{feff}"),
    ("a replacement character", "\u{fffd}"),
    ("U+FFFF, which is no character", "\u{ffff}"),
    ("U+10000", "\u{10000}"),
    ("U+10FFFF", "\u{10ffff}"),
    ("a text to the right", "\u{202e}txt"),
    ("a thousand accents", "e\u{301}\u{301}\u{301}\u{301}"),
];

pub fn shapes() -> Vec<Shape<Replies>> {
    let mut shapes = Vec::new();
    for (name, bytes) in BROKEN {
        for (form, frames) in forms(bytes) {
            let name = format!("{name}, {form}");
            shapes.push(Shape::of_bytes(name, "8.1", frames, ends(1007)));
        }
    }
    for (name, text) in VALID {
        for (form, frames) in forms(text.as_bytes()) {
            let name = format!("{name}, {form}");
            shapes.push(Shape::of_bytes(name, "8.1", frames, echoes(text)));
        }
    }
    let (cut, rest) = ("\u{e9}".as_bytes()).split_at(1);
    #[rustfmt::skip]
    let rows = [
        // The last fragment never arrives: the error is detected at once.
        ("a wrong byte in a first fragment", "8.1", frame(FIRST_TEXT, b"\xff"), ends(1007)),
        (
            "a wrong byte in a middle fragment",
            "8.1",
            [frame(FIRST_TEXT, "a"), frame(NEXT, b"\xff")].concat(),
            ends(1007),
        ),
        (
            "a character begun in a text and ended in the next",
            "8.1",
            [frame(TEXT, cut), frame(TEXT, rest)].concat(),
            ends(1007),
        ),
        (
            "a wrong byte in a binary message",
            "5.6",
            frame(BINARY, b"\xff"),
            vec![Binary(b"\xff".to_vec()), Close(1000)],
        ),
        (
            "a wrong byte in a binary fragment",
            "5.6",
            [frame(FIRST_BINARY, b"\xff"), frame(LAST, "")].concat(),
            vec![Binary(b"\xff".to_vec()), Close(1000)],
        ),
        ("a wrong byte in a close reason", "5.5.1", close(1000, b"\xff"), ends(1007)),
        ("an overlong slash in a close reason", "5.5.1", close(1000, b"\xc0\xaf"), ends(1007)),
        ("a surrogate in a close reason", "5.5.1", close(1000, b"\xed\xa0\x80"), ends(1007)),
        ("a cut character in a close reason", "5.5.1", close(1000, b"bye\xe2\x82"), ends(1007)),
        ("U+110000 in a close reason", "5.5.1", close(1000, b"\xf4\x90\x80\x80"), ends(1007)),
    ];
    for (name, rule, bytes, answer) in rows {
        shapes.push(Shape::of_bytes(name, rule, bytes, answer));
    }
    shapes
}

/// Returns a text in one frame, in two fragments split in the middle, and in a fragment for each
/// byte.
fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let (start, end) = text.split_at(text.len() / 2);
    let halves = [frame(FIRST_TEXT, start), frame(LAST, end)].concat();
    let mut bytes = frame(FIRST_TEXT, "");
    for byte in text {
        bytes.extend(frame(NEXT, [*byte]));
    }
    bytes.extend(frame(LAST, ""));
    let mut forms = vec![("whole", frame(TEXT, text)), ("byte by byte", bytes)];
    if text.len() > 1 {
        forms.push(("in two fragments", halves));
    }
    forms
}
