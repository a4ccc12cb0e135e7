//! Clients that stall: they stop in the middle of a request's head, or send it byte by byte without
//! end. The server closes their connections at `head_timeout`.

use super::{shape::assert_unharmed, target::Target};
use futures_util::future::join_all;
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::{future::pending, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{interval, timeout},
};

/// What a client sends at once, and what it then repeats; nothing if it falls silent.
pub struct Stall {
    pub name: &'static str,
    pub start: &'static [u8],
    pub repeat: &'static [u8],
}

/// How often a client repeats itself: far more often than the limit.
const REPEAT: Duration = Duration::from_millis(20);

const fn stall(name: &'static str, start: &'static [u8], repeat: &'static [u8]) -> Stall {
    Stall {
        name,
        start,
        repeat,
    }
}

#[rustfmt::skip]
pub const STALLS: &[Stall] = &[
    stall("nothing at all", b"", b""),
    stall("a letter", b"G", b""),
    stall("a request line", b"GET / HTTP/1.1\r\n", b""),
    stall(
        "a head without its end",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"",
    ),
    stall(
        "a page, and then nothing",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"",
    ),
    stall(
        "a page, and then half a request",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET",
        b"",
    ),
    stall(
        "half a handshake",
        b"GET /ws/echo HTTP/1.1\r\nUpgrade: websocket\r\n",
        b"",
    ),
    stall("a letter of the preface of HTTP/2", b"P", b""),
    stall("PRI", b"PRI", b""),
    stall("half the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\n", b""),
    stall(
        "all but the end of the preface",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        b"",
    ),
    stall("letters of a method, one by one", b"", b"G"),
    stall("letters of a target, one by one", b"GET /", b"x"),
    stall("letters of a name, one by one", b"GET / HTTP/1.1\r\n", b"x"),
    stall(
        "letters of a value, one by one",
        b"GET / HTTP/1.1\r\nX: ",
        b"x",
    ),
    stall("headers, one by one", b"GET / HTTP/1.1\r\n", b"X: y\r\n"),
    stall("empty lines, one by one", b"", b"\r\n"),
    stall(
        "letters of a second request, one by one",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G",
    ),
];

/// Tries all at once, on a server with a short limit.
pub async fn examine() {
    let mut target = Target::start(&["--head-timeout", "0.5"]).await;
    let port = target.port();
    let attacks = join_all(STALLS.iter().map(|stall| end_of(stall, port)));

    let ends = target.serves_others_during("slow clients", attacks).await;

    let connected = ends.into_iter().flatten();
    let connected = connected.map(|name| format!("still connected: {name}"));
    assert_unharmed(connected.collect(), target).await;
}

/// Returns the name of the shape if the server does not close the connection.
async fn end_of(stall: &Stall, port: u16) -> Option<&'static str> {
    let mut client = RawClient::connect(port).await;
    client.write(stall.start).await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let write = async {
        let mut pause = interval(REPEAT);
        while !stall.repeat.is_empty() {
            pause.tick().await;
            if outgoing.write_all(stall.repeat).await.is_err() {
                break;
            }
        }
        // The connection is closed when the reader says so.
        pending::<()>().await;
    };
    let read = async {
        let mut received = Vec::new();
        // A reset is an end as well.
        _ = incoming.read_to_end(&mut received).await;
    };
    let ended = timeout(DEADLINE, async {
        tokio::select! {
            () = write => {}
            () = read => {}
        }
    });
    ended.await.is_err().then_some(stall.name)
}
