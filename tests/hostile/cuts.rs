//! Attacks by clients that leave midway: at each stage of a request, a handshake and a message, by
//! FIN, close and reset.

use super::{shape::assert_unharmed, target::Target};
use seaway_tests::support::RawClient;

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
pub enum Leave {
    /// It half-closes the connection (FIN), and reads until the server closes it.
    HalfClose,
    /// It closes.
    Close,
    /// It resets the connection.
    Reset,
}

/// A stage: the bytes that were sent before the client leaves.
pub struct Stage {
    pub name: &'static str,
    pub opens_socket: bool,
    pub bytes: &'static [u8],
}

pub const LEAVES: [Leave; 3] = [Leave::HalfClose, Leave::Close, Leave::Reset];

const fn page(name: &'static str, bytes: &'static [u8]) -> Stage {
    Stage {
        name,
        opens_socket: false,
        bytes,
    }
}

const fn socket(name: &'static str, bytes: &'static [u8]) -> Stage {
    Stage {
        name,
        opens_socket: true,
        bytes,
    }
}

#[rustfmt::skip]
pub const STAGES: &[Stage] = &[
    page("nothing", b""),
    page("a letter", b"G"),
    page("a method", b"GET"),
    page("a target", b"GET /"),
    page("a request line", b"GET / HTTP/1.1\r\n"),
    page("half a header", b"GET / HTTP/1.1\r\nHost: a"),
    page("a head without its end", b"GET / HTTP/1.1\r\nHost: a\r\n\r"),
    page("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    page("a request and a half", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT"),
    page("half a body", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell"),
    page("half a chunk size", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5"),
    page("half a chunk", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    page("a wait for 100", b"POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
    page("a stream of events", b"GET /events/room/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    page("half a handshake", b"GET /ws/echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgr"),
    page("a letter of the preface of HTTP/2", b"P"),
    page("PRI", b"PRI"),
    page("half the preface of HTTP/2", b"PRI * HTTP/2.0\r\n"),
    page("all but the end of the preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"),
    page("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    page("half a SETTINGS frame", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"),
    page("half a HEADERS frame", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82"),
    page("headers without their end", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x01\x82"),
    page(
        "a request over HTTP/2 without its body",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
          \0\0\x06\x01\x04\0\0\0\x01\x83\x86\x84\x41\x01a",
    ),
    socket("a handshake", b""),
    socket("one byte of a frame", b"\x81"),
    socket("half a length", b"\x81\xfe\x01"),
    socket("half a long length", b"\x81\xff\0\0\0\0\0\x01"),
    socket("half a mask", b"\x81\x85\x37\xfa"),
    socket("a frame's header", b"\x81\x85\x37\xfa\x21\x3d"),
    socket("half a payload", b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f"),
    socket("a first fragment", b"\x01\x82\0\0\0\0he"),
    socket("a message", b"\x81\x82\0\0\0\0he"),
    socket("a ping", b"\x89\x82\0\0\0\0he"),
    socket("a close frame", b"\x88\x82\0\0\0\0\x03\xe8"),
    socket("a frame that is wrong", b"\xff\xff\xff\xff"),
];

/// Runs each stage with each way to leave.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    for stage in STAGES {
        for leave in LEAVES {
            let name = format!("{}, then {leave:?}", stage.name);
            let mut client = match stage.opens_socket {
                true => target.socket().await,
                false => target.client().await,
            };
            client.write(stage.bytes).await;
            end(client, leave).await;
            target.serves_others(&name).await;
        }
    }
    assert_unharmed(Vec::new(), target).await;
}

async fn end(mut client: RawClient, leave: Leave) {
    match leave {
        Leave::HalfClose => {
            client.half_close().await;
            client.hung_up().await;
        }
        Leave::Close => drop(client),
        Leave::Reset => client.reset(),
    }
}
