//! Shapes of the closing handshake: codes, reasons, and frames after it (RFC 6455, 5.5.1, 7.1.5 and
//! 7.4).

use super::{
    CLOSE, Close, CloseWithout, FIRST_TEXT, LAST, PING, Replies, TEXT, Text, close, ends, frame,
};
use crate::hostile::shape::Shape;

/// Codes that a close frame may have: they are echoed.
const VALID: &[u16] = &[
    1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
];

/// Codes that are reserved, that must not be sent, or that are undefined.
const INVALID: &[u16] = &[
    0, 1, 100, 500, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768,
    65535,
];

pub fn shapes() -> Vec<Shape<Replies>> {
    let mut shapes = Vec::new();
    for code in VALID {
        let name = format!("code {code}");
        shapes.push(Shape::of_bytes(
            name,
            "7.4.1",
            close(*code, ""),
            ends(*code),
        ));
    }
    for code in INVALID {
        let name = format!("code {code}");
        shapes.push(Shape::of_bytes(name, "7.4.1", close(*code, ""), ends(1002)));
    }
    let without = frame(CLOSE, "");
    let reason = "x".repeat(123);
    #[rustfmt::skip]
    let rows = [
        ("no code", "7.1.5", without.clone(), vec![CloseWithout]),
        ("half a code", "5.5.1", frame(CLOSE, [3]), ends(1002)),
        ("a reason of 123 bytes", "5.5", close(1000, &reason), ends(1000)),
        ("a reason of 124 bytes", "5.5", close(1000, reason.clone() + "x"), ends(1002)),
        ("a reason and a wrong code", "7.4.1", close(1005, "bye"), ends(1002)),
        ("a text behind it", "5.5.1", [close(1001, ""), frame(TEXT, "hi")].concat(), ends(1001)),
        ("a ping behind it", "5.5.1", [close(1001, ""), frame(PING, "hi")].concat(), ends(1001)),
        ("another behind it", "5.5.1", [close(1001, ""), close(1003, "")].concat(), ends(1001)),
        (
            "a wrong one behind it",
            "5.5.1",
            [close(1001, ""), frame(CLOSE, [3])].concat(),
            ends(1001),
        ),
        ("junk behind it", "5.5.1", [close(1001, ""), vec![0xff; 100]].concat(), ends(1001)),
        (
            "1 MB of junk behind it",
            "5.5.1",
            [close(1001, ""), vec![0; 1_000_000]].concat(),
            ends(1001),
        ),
        (
            "a text behind one without a code",
            "5.5.1",
            [without, frame(TEXT, "hi")].concat(),
            vec![CloseWithout],
        ),
        (
            "a text before it",
            "5.5.1",
            [frame(TEXT, "hi"), close(1001, "")].concat(),
            vec![Text(b"hi".to_vec()), Close(1001)],
        ),
        (
            "a first fragment before it",
            "5.5.1",
            [frame(FIRST_TEXT, "hi"), close(1001, "")].concat(),
            ends(1001),
        ),
        (
            "a last fragment behind it",
            "5.5.1",
            [frame(FIRST_TEXT, "hi"), close(1001, ""), frame(LAST, "")].concat(),
            ends(1001),
        ),
    ];
    for (name, rule, bytes, answer) in rows {
        shapes.push(Shape::of_bytes(name, rule, bytes, answer));
    }
    shapes
}
