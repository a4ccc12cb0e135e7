//! Shapes of pipelined requests (RFC 9112, 9.3.2): one response each, in order, and none after an
//! invalid one.

use super::{AnyOf, Closes, Http, Keeps};
use crate::hostile::shape::Shape;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
const NOT_FOUND_OR_BAD: &str = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const OLD: &str = "GET / HTTP/1.0\r\n\r\n";
const HUNDRED: &[u16] = &[200; 100];

pub fn shapes() -> Vec<Shape<Http>> {
    [
        ("two", "9.3.2", GET.repeat(2), Keeps(&[200, 200])),
        ("a hundred", "9.3.2", GET.repeat(100), Keeps(HUNDRED)),
        ("a hundred bodies", "9.3.2", POST.repeat(100), Keeps(HUNDRED)),
        ("three kinds", "9.3.2", [POST, NOT_FOUND_OR_BAD, GET].concat(), Keeps(&[200, 404, 200])),
        ("empty lines between two", "2.2", format!("{GET}\r\n\r\n{GET}"), Keeps(&[200, 200])),
        ("junk behind one", "2.2", format!("{GET}junk\r\n\r\n"), Closes(&[200, 400])),
        ("junk between two", "2.2", format!("{GET}junk\r\n\r\n{GET}"), Closes(&[200, 400])),
        ("NUL behind one", "2.2", format!("{GET}\0"), Closes(&[200, 400])),
        ("one behind the last", "9.6", [LAST, GET].concat(), Closes(&[200])),
        ("a hundred behind the last", "9.6", LAST.to_owned() + &GET.repeat(100), Closes(&[200])),
        ("one behind an HTTP/1.0 request", "9.3", [OLD, GET].concat(), Closes(&[200])),
        (
            "one behind a request without Host",
            "3.2",
            format!("GET / HTTP/1.1\r\n\r\n{GET}"),
            AnyOf(&[Closes(&[400]), Keeps(&[400, 200])]),
        ),
        (
            "one behind a length and a coding",
            "6.3",
            format!(
                "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET}"
            ),
            Closes(&[400]),
        ),
        (
            "one behind a body over the limit",
            "9.6",
            format!("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n{GET}"),
            Closes(&[413]),
        ),
        ("a thousand", "9.3.2", GET.repeat(1_000), Keeps(&[200; 1_000])),
        (
            "one behind a CONNECT",
            "9.3.2",
            format!("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n{GET}"),
            AnyOf(&[
                Closes(&[405]),
                Closes(&[501]),
                Closes(&[400]),
                Keeps(&[405, 200]),
                Keeps(&[501, 200]),
            ]),
        ),
        (
            "one behind an upgrade that is rejected",
            "9.3.2",
            format!(
                "GET /ws/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 8\r\n\r\n{GET}"
            ),
            AnyOf(&[Closes(&[426]), Keeps(&[426, 200])]),
        ),
    ]
    .map(|(name, rule, text, answer)| Shape::new(name, rule, text, answer))
    .into()
}
