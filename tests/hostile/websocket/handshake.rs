//! Shapes of handshakes (RFC 6455, 4.2.1): each header missing, duplicated and invalid; methods,
//! versions, bodies, extensions, subprotocols, origins.

use super::{
    PING, TEXT, Text, close, echoes, ends, frame,
    opening::{Opening, Opens, OpensOrRefuses, Refuses, Then},
};
use crate::hostile::{shape::Shape, target::MAX_MESSAGE};
use seaway_tests::support::raw::unmasked_text_frame;

const GOOD: [(&str, &str); 5] = [
    ("Host", "a"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

const GET: &str = "GET /ws/echo HTTP/1.1";

/// Returns a valid handshake, in which these lines replace the header of that name.
fn handshake(line: &str, header: &str, lines: &str) -> String {
    let others = GOOD.iter().filter(|(name, _)| *name != header);
    let others: String = others
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let lines = if lines.is_empty() {
        String::new()
    } else {
        format!("{lines}\r\n")
    };
    format!("{line}\r\n{others}{lines}\r\n")
}

pub fn shapes() -> Vec<Shape<Opening>> {
    let mut shapes = Vec::new();
    for (name, lines, answer) in HEADERS {
        let header = lines.split(':').next().unwrap_or_default();
        let header = header.strip_prefix('-').unwrap_or(header);
        let lines = if lines.starts_with('-') { "" } else { lines };
        let text = handshake(GET, header, lines);
        shapes.push(Shape::new(*name, "4.2.1", text, answer.clone()));
    }
    for (name, key) in KEYS {
        let text = handshake(
            GET,
            "Sec-WebSocket-Key",
            &format!("Sec-WebSocket-Key: {key}"),
        );
        shapes.push(Shape::new(
            format!("a key {name}"),
            "4.1",
            text,
            Refuses(&[400]),
        ));
    }
    for (name, version) in VERSIONS {
        let text = handshake(
            GET,
            "Sec-WebSocket-Version",
            &format!("Sec-WebSocket-Version: {version}"),
        );
        shapes.push(Shape::new(
            format!("version {name}"),
            "4.4",
            text,
            Refuses(&[400, 426]),
        ));
    }
    for (name, line, answer) in LINES {
        shapes.push(Shape::new(
            *name,
            "4.1",
            handshake(line, "", ""),
            answer.clone(),
        ));
    }
    for (name, line, answer) in OFFERS {
        shapes.push(Shape::new(
            *name,
            "4.2.2",
            handshake(GET, "", line),
            answer.clone(),
        ));
    }
    for (name, origin, answer) in ORIGINS {
        let text = handshake(GET, "", &format!("Origin: {origin}"));
        shapes.push(Shape::new(
            format!("origin: {name}"),
            "10.2",
            text,
            answer.clone(),
        ));
    }
    let many: String = (0..10_000).map(|number| format!("p{number},")).collect();
    let long = "x".repeat(60_000);
    #[rustfmt::skip]
    let rows = [
        (
            "two origins",
            "10.2",
            handshake(GET, "", "Origin: http://a\r\nOrigin: http://a"),
            Refuses(&[400, 403]),
        ),
        (
            "10,000 subprotocols",
            "4.1",
            handshake(GET, "", &format!("Sec-WebSocket-Protocol: {many}x")),
            OPENS_OR_BAD,
        ),
        (
            "an extension of 60,000 bytes",
            "9.1",
            handshake(GET, "", &format!("Sec-WebSocket-Extensions: {long}")),
            OPENS_OR_BAD,
        ),
        (
            "an origin of 60,000 bytes",
            "10.2",
            handshake(GET, "", &format!("Origin: http://{long}")),
            Refuses(&[400, 403]),
        ),
        (
            "a head over the limit",
            "10.4",
            handshake(GET, "", &format!("X: {}", long.repeat(4))),
            Refuses(&[431]),
        ),
        // The name of a group has at most 99 characters.
        (
            "a parameter of 200 bytes",
            "4.1",
            handshake(&format!("GET /ws/room/{} HTTP/1.1", "x".repeat(200)), "", ""),
            BAD,
        ),
        ("101 headers", "10.4", handshake(GET, "", &["X: y"; 101].join("\r\n")), Refuses(&[431])),
    ];
    for (name, rule, text, answer) in rows {
        shapes.push(Shape::new(name, rule, text, answer));
    }
    let again = handshake(GET, "", "").into_bytes();
    let texts = vec![Text(b"hi".to_vec()); 100];
    let longest = "x".repeat(MAX_MESSAGE);
    #[rustfmt::skip]
    let rows = [
        ("a text", frame(TEXT, "hi"), echoes("hi")),
        ("a hundred texts", frame(TEXT, "hi").repeat(100), [texts, ends(1000)].concat()),
        ("the longest text", frame(TEXT, &longest), echoes(&longest)),
        ("a text over the limit", frame(TEXT, longest.clone() + "x"), ends(1009)),
        ("a close frame", close(1001, ""), ends(1001)),
        ("a ping of 126 bytes", frame(PING, [0; 126]), ends(1002)),
        ("a text without a mask", unmasked_text_frame(b"hi"), ends(1002)),
        ("a request", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), ends(1002)),
        ("another handshake", again.clone(), ends(1002)),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), ends(1002)),
    ];
    for (name, behind, frames) in rows {
        let name = format!("{name} right behind it");
        shapes.push(Shape::of_bytes(
            name,
            "4.1",
            [again.clone(), behind].concat(),
            Then(frames),
        ));
    }
    shapes
}

const BAD: Opening = Refuses(&[400]);
const OPENS_OR_BAD: Opening = OpensOrRefuses(&[400]);
/// The upgrade is missing or names something else (RFC 9110, 15.5.22).
const NO_UPGRADE: Opening = Refuses(&[400, 426]);

/// Lines that replace the header of their name, or remove it if the name begins with `-`.
#[rustfmt::skip]
const HEADERS: &[(&str, &str, Opening)] = &[
    ("a good handshake", "Host: a", Opens),
    ("no Host", "-Host", BAD),
    ("no Upgrade", "-Upgrade", NO_UPGRADE),
    ("no Connection", "-Connection", NO_UPGRADE),
    ("no version", "-Sec-WebSocket-Version", NO_UPGRADE),
    ("no key", "-Sec-WebSocket-Key", BAD),
    ("two Hosts", "Host: a\r\nHost: a", BAD),
    ("Host twice in a list", "Host: a, a", BAD),
    ("Upgrade twice", "Upgrade: websocket\r\nUpgrade: websocket", OPENS_OR_BAD),
    ("Connection twice", "Connection: Upgrade\r\nConnection: Upgrade", OPENS_OR_BAD),
    ("the version twice", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13", NO_UPGRADE),
    ("two versions", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8", NO_UPGRADE),
    (
        "the key twice",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        BAD,
    ),
    (
        "two keys",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        BAD,
    ),
    ("Host with user info", "Host: u@a", BAD),
    ("Host with a space", "Host: a b", BAD),
    ("an empty Host", "Host:", OPENS_OR_BAD),
    ("an empty Upgrade", "Upgrade:", NO_UPGRADE),
    ("Upgrade in mixed letters", "Upgrade: WebSocket", Opens),
    ("Upgrade with a version", "Upgrade: websocket/13", NO_UPGRADE),
    ("Upgrade to more than one", "Upgrade: h2c, websocket", OPENS_OR_BAD),
    ("Upgrade to h2c", "Upgrade: h2c", NO_UPGRADE),
    ("Upgrade to websockets", "Upgrade: websockets", NO_UPGRADE),
    ("Upgrade in quotes", "Upgrade: \"websocket\"", NO_UPGRADE),
    ("Upgrade with a byte over 0x7f", "Upgrade: websocket\u{ff}", NO_UPGRADE),
    ("Upgrade beside a byte over 0x7f", "Upgrade: \u{ff}, websocket", OpensOrRefuses(&[400, 426])),
    ("an empty Connection", "Connection:", NO_UPGRADE),
    ("Connection: keep-alive", "Connection: keep-alive", NO_UPGRADE),
    ("Connection: close", "Connection: close", NO_UPGRADE),
    ("Connection: keep-alive, Upgrade", "Connection: keep-alive, Upgrade", Opens),
    ("Connection: upgrades", "Connection: upgrades", NO_UPGRADE),
    ("Connection with spaces for commas", "Connection: keep-alive Upgrade", NO_UPGRADE),
    ("Connection with empty members", "Connection: ,,Upgrade,,", OPENS_OR_BAD),
    ("a folded Upgrade", "Upgrade:\r\n websocket", BAD),
];

#[rustfmt::skip]
const KEYS: &[(&str, &str)] = &[
    ("of nothing", ""),
    ("of 15 bytes", "AAAAAAAAAAAAAAAAAAAA"),
    ("of 17 bytes", "AAAAAAAAAAAAAAAAAAAAAAA="),
    ("of 18 bytes", "AAAAAAAAAAAAAAAAAAAAAAAA"),
    ("without its padding", "dGhlIHNhbXBsZSBub25jZQ"),
    ("with half its padding", "dGhlIHNhbXBsZSBub25jZQ="),
    ("with too much padding", "dGhlIHNhbXBsZSBub25jZQ==="),
    ("with padding inside", "dGhlIHNhbXBs==Bub25jZQ=="),
    ("with a wrong letter", "dGhl!HNhbXBsZSBub25jZQ=="),
    ("in the URL's alphabet", "dGhl-HNhbXBs_SBub25jZQ=="),
    ("with a space inside", "dGhlIHNhbXBs SBub25jZQ=="),
    ("with a comma", "dGhlIHNhbXBsZSBub25jZQ==,"),
    ("with bits behind the last byte", "dGhlIHNhbXBsZSBub25jZR=="),
    ("in quotes", "\"dGhlIHNhbXBsZSBub25jZQ==\""),
    ("with a byte over 0x7f", "dGhlIHNhbXBsZSBub25jZ\u{ff}=="),
    ("of padding alone", "========================"),
    ("in hexadecimal", "000102030405060708090a0b0c0d0e0f"),
    ("and a carriage return", "dGhlIHNhbXBsZSBub25jZQ==\r"),
    ("and NUL", "dGhlIHNhbXBsZSBub25jZQ==\0"),
];

#[rustfmt::skip]
const VERSIONS: &[(&str, &str)] = &[
    ("of nothing", ""),
    ("0", "0"),
    ("7", "7"),
    ("8", "8"),
    ("12", "12"),
    ("14", "14"),
    ("255", "255"),
    ("256 + 13", "269"),
    ("-13", "-13"),
    ("+13", "+13"),
    ("013", "013"),
    ("13.0", "13.0"),
    ("13;", "13;"),
    ("0xd", "0xd"),
    ("in letters", "thirteen"),
    ("list", "13, 8, 7"),
    ("of 1,000,000,000,000", "1000000000013"),
];

#[rustfmt::skip]
const LINES: &[(&str, &str, Opening)] = &[
    ("POST", "POST /ws/echo HTTP/1.1", Refuses(&[400, 405])),
    ("HEAD", "HEAD /ws/echo HTTP/1.1", Refuses(&[400, 405])),
    ("PUT", "PUT /ws/echo HTTP/1.1", Refuses(&[400, 405])),
    ("OPTIONS", "OPTIONS /ws/echo HTTP/1.1", Refuses(&[400, 405])),
    ("CONNECT", "CONNECT /ws/echo HTTP/1.1", Refuses(&[400, 405, 501])),
    ("get in small letters", "get /ws/echo HTTP/1.1", Refuses(&[400, 405, 501])),
    ("HTTP/1.0", "GET /ws/echo HTTP/1.0", Refuses(&[400, 426, 505])),
    ("HTTP/1.2", "GET /ws/echo HTTP/1.2", Refuses(&[400, 505])),
    ("HTTP/2.0", "GET /ws/echo HTTP/2.0", Refuses(&[400, 505])),
    ("absolute form", "GET http://a/ws/echo HTTP/1.1", Opens),
    ("absolute form of a socket", "GET ws://a/ws/echo HTTP/1.1", OpensOrRefuses(&[400])),
    ("a query", "GET /ws/echo?a=%ff&b HTTP/1.1", Opens),
    ("a route that is not there", "GET /ws/nowhere HTTP/1.1", Refuses(&[404])),
    ("a page", "GET / HTTP/1.1", Refuses(&[400, 404, 426])),
    ("a slash too much", "GET /ws/echo/ HTTP/1.1", Refuses(&[404])),
    ("two slashes", "GET //ws/echo HTTP/1.1", Refuses(&[400, 404])),
    ("dots up", "GET /ws/x/../echo HTTP/1.1", Refuses(&[400, 404])),
    ("an encoded slash", "GET /ws%2fecho HTTP/1.1", Refuses(&[400, 404])),
    ("an asterisk", "GET * HTTP/1.1", Refuses(&[400, 404])),
    ("a parameter that is no UTF-8", "GET /ws/room/%ff HTTP/1.1", Refuses(&[400, 404])),
    ("a parameter with NUL", "GET /ws/room/%00 HTTP/1.1", Refuses(&[400])),
    ("a parameter with a slash", "GET /ws/room/a%2fb HTTP/1.1", Refuses(&[400])),
    ("a parameter with CR LF", "GET /ws/room/%0d%0a HTTP/1.1", Refuses(&[400])),
    ("an empty parameter", "GET /ws/room/ HTTP/1.1", Refuses(&[404])),
];

#[rustfmt::skip]
const OFFERS: &[(&str, &str, Opening)] = &[
    ("an empty subprotocol", "Sec-WebSocket-Protocol:", OPENS_OR_BAD),
    ("a subprotocol that nobody speaks", "Sec-WebSocket-Protocol: chat", Opens),
    ("the same subprotocol twice", "Sec-WebSocket-Protocol: chat, chat", OPENS_OR_BAD),
    ("empty subprotocols", "Sec-WebSocket-Protocol: ,, ,", OPENS_OR_BAD),
    ("a subprotocol that is no token", "Sec-WebSocket-Protocol: (chat)", OPENS_OR_BAD),
    ("a subprotocol with a space", "Sec-WebSocket-Protocol: a chat", OPENS_OR_BAD),
    ("a subprotocol over 0x7f", "Sec-WebSocket-Protocol: \u{ff}", OPENS_OR_BAD),
    ("subprotocols on two lines", "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b", Opens),
    ("an empty extension", "Sec-WebSocket-Extensions:", OPENS_OR_BAD),
    ("an unknown extension", "Sec-WebSocket-Extensions: x-anything", Opens),
    ("compression", "Sec-WebSocket-Extensions: permessage-deflate", Opens),
    (
        "compression with bad bits",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
        OPENS_OR_BAD,
    ),
    (
        "compression with a parameter twice",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; client_max_window_bits",
        OPENS_OR_BAD,
    ),
    (
        "compression twice",
        "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate",
        OPENS_OR_BAD,
    ),
    ("an extension of punctuation", "Sec-WebSocket-Extensions: ;;;=,=\"", OPENS_OR_BAD),
    ("an extension over 0x7f", "Sec-WebSocket-Extensions: \u{ff}", OPENS_OR_BAD),
    ("an accept header", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", OPENS_OR_BAD),
    ("a cookie over 0x7f", "Cookie: name=Zo\u{c3}\u{ab}; id=1", Opens),
    ("a body", "Content-Length: 5", BAD),
    ("a body of nothing", "Content-Length: 0", OPENS_OR_BAD),
    ("a body in chunks", "Transfer-Encoding: chunked", BAD),
    ("a body that is expected", "Expect: 100-continue\r\nContent-Length: 5", Refuses(&[400, 417])),
    ("a bad length", "Content-Length: x", BAD),
    ("a length and a coding", "Content-Length: 5\r\nTransfer-Encoding: chunked", BAD),
    ("NUL in a header", "X: \0", BAD),
    ("a folded header", "X: y\r\n z", BAD),
    ("a space before a colon", "X : y", BAD),
    ("another upgrade of HTTP/2", "HTTP2-Settings: AAMAAABkAAQAAP__", Opens),
];

const FOREIGN: Opening = Refuses(&[400, 403]);

#[rustfmt::skip]
const ORIGINS: &[(&str, &str, Opening)] = &[
    ("the same", "http://a", Opens),
    ("the same behind a proxy that has taken the TLS off", "https://a", OpensOrRefuses(&[403])),
    ("the same in large letters", "HTTP://A", OpensOrRefuses(&[403])),
    ("the same with its port", "http://a:80", Opens),
    ("another host", "http://b", FOREIGN),
    ("another port", "http://a:8080", FOREIGN),
    ("a host below", "http://x.a", FOREIGN),
    ("a host that begins alike", "http://a.evil.example", FOREIGN),
    ("a host that ends alike", "http://evil-a", FOREIGN),
    ("a dot behind the host", "http://a.", FOREIGN),
    ("null", "null", FOREIGN),
    ("null in large letters", "NULL", FOREIGN),
    ("nothing", "", FOREIGN),
    ("a file", "file://", FOREIGN),
    ("a file with a path", "file:///a", FOREIGN),
    ("no scheme", "a", FOREIGN),
    ("two slashes and no scheme", "//a", FOREIGN),
    ("a scheme alone", "http://", FOREIGN),
    ("a list", "http://a, http://b", FOREIGN),
    ("a list with spaces", "http://a http://b", FOREIGN),
    ("the host as user info", "http://a@b", FOREIGN),
    ("the host as a password", "http://x:a@b", FOREIGN),
    ("the host in a query", "http://b?http://a", FOREIGN),
    ("the host in a fragment", "http://b#http://a", FOREIGN),
    ("the host in a path", "http://b/http://a", FOREIGN),
    ("a backslash", "http://b\\@a", FOREIGN),
    ("a port over 65,535", "http://a:65616", FOREIGN),
    ("a port of letters", "http://a:x", FOREIGN),
    ("digits alone", "http://8:8", FOREIGN),
    ("an IPv6 address", "http://[::1]", FOREIGN),
    ("UTF-8", "http://\u{c3}\u{a4}", FOREIGN),
    ("no UTF-8", "http://a\u{ff}", FOREIGN),
    ("an asterisk", "*", FOREIGN),
];
