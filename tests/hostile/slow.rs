//! Clients that stall: no request is finished, or bytes trickle. Each ends at `head_timeout`, and costs nothing meanwhile.

use super::{shape::none_wrong, target::Target};
use futures_util::future::join_all;
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::time::Duration;
use tokio::time::{interval, timeout};

/// What a client sends at once, and what it then repeats.
pub struct Stall {
    pub name: &'static str,
    pub start: &'static [u8],
    pub trickle: &'static [u8],
}

/// How often a trickle goes on: far below the limit.
const DRIP: Duration = Duration::from_millis(20);

const fn stall(name: &'static str, start: &'static [u8], trickle: &'static [u8]) -> Stall {
    Stall {
        name,
        start,
        trickle,
    }
}

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

/// All at once, on a server with a short limit.
pub async fn examine() {
    let mut target = Target::start(&["--head-timeout", "0.5"]).await;
    let port = target.port();
    let attacks = join_all(STALLS.iter().map(|stall| end_of(stall, port)));

    let ends = target.serves_others_during("slow clients", attacks).await;

    let connected = ends.into_iter().flatten();
    let connected = connected.map(|name| format!("still connected: {name}"));
    none_wrong(connected.collect(), target).await;
}

/// The client's name, if the server does not close its connection.
async fn end_of(stall: &Stall, port: u16) -> Option<&'static str> {
    let mut client = RawClient::connect(port).await;
    client.write(stall.start).await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let trickle = async {
        let mut drip = interval(DRIP);
        while !stall.trickle.is_empty() {
            drip.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut outgoing, stall.trickle)
                .await
                .is_err()
            {
                break;
            }
        }
        // The other half decides.
        std::future::pending::<()>().await;
    };
    let end = async {
        let mut heard = Vec::new();
        // A reset is an end as well.
        _ = tokio::io::AsyncReadExt::read_to_end(&mut incoming, &mut heard).await;
    };
    let ended = timeout(DEADLINE, async {
        tokio::select! {
            () = trickle => {}
            () = end => {}
        }
    });
    ended.await.is_err().then_some(stall.name)
}
