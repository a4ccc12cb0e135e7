//! Floods over HTTP/1 and WebSockets: many messages, and responses that the client does not read.

use super::{
    shape::{Shape, assert_unharmed},
    target::{MAX_MESSAGE, Target},
    websocket::{
        FIRST_TEXT, LAST, NEXT, PING, PONG, Pong, Replies, TEXT, Text, close, echoes, ends, frame,
        replies,
    },
};
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The duration of a write after which the server counts as not reading.
const STALLED: Duration = Duration::from_secs(1);

/// The bytes that a client can send to a server that does not read: the kernel buffers of both
/// sides.
pub const UNREAD: usize = 32 * 1024 * 1024;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Runs the floods one after the other.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    let port = target.port();
    let mut wrong = Vec::new();
    for shape in messages() {
        let attack = exchange(&shape, port);
        let outcome = target.serves_others_during(&shape.name, attack).await;
        let difference = outcome.err();
        wrong.extend(difference.map(|difference| format!("{}: {difference}", shape.name)));
    }
    for WriteOnly {
        name,
        is_socket,
        bytes,
        stalls,
    } in write_only()
    {
        let mut client = match is_socket {
            true => target.socket().await,
            false => target.client().await,
        };
        let attack = write_on(&mut client, &bytes);
        let taken = target.serves_others_during(name, attack).await;
        if stalls && taken > UNREAD {
            wrong.push(format!("{name}: {taken} bytes were taken"));
        }
        client.reset();
    }
    assert_unharmed(wrong, target).await;
}

/// Returns floods of frames, with the replies to each.
pub fn messages() -> Vec<Shape<Replies>> {
    let texts = |text: &str| vec![Text(text.into()); 20_000];
    let then = |frames: Vec<u8>| [frames, frame(TEXT, "done")].concat();
    let in_bytes = |count: usize| {
        let next = frame(NEXT, "x").repeat(count - 1);
        [frame(FIRST_TEXT, ""), next, frame(LAST, "x")].concat()
    };
    let behind = |announced: u64| {
        let header = [&[LAST, 0xff], &announced.to_be_bytes()[..], &[0; 4]].concat();
        [frame(FIRST_TEXT, [b'x'; 64]), header, vec![b'x'; UNREAD]].concat()
    };
    [
        (
            "20,000 pings",
            then(frame(PING, [7; 125]).repeat(20_000)),
            echoes("done"),
        ),
        (
            "20,000 pongs",
            then(frame(PONG, [7; 125]).repeat(20_000)),
            echoes("done"),
        ),
        (
            "20,000 messages of one byte",
            frame(TEXT, "x").repeat(20_000),
            [texts("x"), ends(1000)].concat(),
        ),
        (
            "20,000 empty messages",
            frame(TEXT, "").repeat(20_000),
            [texts(""), ends(1000)].concat(),
        ),
        (
            "100,000 empty fragments",
            [
                frame(FIRST_TEXT, ""),
                frame(NEXT, "").repeat(100_000),
                frame(LAST, ""),
            ]
            .concat(),
            echoes(""),
        ),
        (
            "more empty fragments than a message may have",
            [frame(FIRST_TEXT, ""), frame(NEXT, "").repeat(128 * 1024)].concat(),
            ends(1009),
        ),
        (
            "as many fragments of one byte as the limit has",
            in_bytes(MAX_MESSAGE),
            echoes("x".repeat(MAX_MESSAGE)),
        ),
        (
            "one fragment of one byte more",
            in_bytes(MAX_MESSAGE + 1),
            ends(1009),
        ),
        (
            "32 MiB behind a length that wraps",
            behind(u64::MAX - 63),
            ends(1002),
        ),
    ]
    .map(|(name, bytes, answer)| Shape::of_bytes(name, "10.4", bytes, answer))
    .into()
}

/// A client that writes and never reads.
pub struct WriteOnly {
    pub name: &'static str,
    is_socket: bool,
    bytes: Vec<u8>,
    /// Whether the server must stop reading, so that its replies do not accumulate.
    stalls: bool,
}

pub fn write_only() -> [WriteOnly; 3] {
    [
        WriteOnly {
            name: "messages whose echoes are not read",
            is_socket: true,
            bytes: frame(TEXT, "x".repeat(60_000)),
            stalls: true,
        },
        // Pongs may be sent for the newest pings only (RFC 6455, 5.5.3), so no stall is needed.
        WriteOnly {
            name: "pings whose pongs are not read",
            is_socket: true,
            bytes: frame(PING, [7; 125]).repeat(500),
            stalls: false,
        },
        WriteOnly {
            name: "requests whose responses are not read",
            is_socket: false,
            bytes: GET.repeat(1_000).into_bytes(),
            stalls: true,
        },
    ]
}

/// Sends a flood of frames and reads concurrently. Pongs are not counted: a server may reply to the
/// newest ping alone (RFC 6455, 5.5.3).
async fn exchange(shape: &Shape<Replies>, port: u16) -> Result<(), String> {
    let mut client = RawClient::connect(port).await;
    client.upgrade("/ws/echo", "").await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let write = async {
        for bytes in [&shape.bytes, &close(1000, "")] {
            // The server may close midway; what it sent before is still read.
            if outgoing.write_all(bytes).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut received = Vec::new();
        // A reset also ends the connection.
        _ = incoming.read_to_end(&mut received).await;
        received
    };
    let ended = timeout(DEADLINE, async { tokio::join!(write, read) }).await;
    let Ok(((), received)) = ended else {
        return Err(format!("no end in {DEADLINE:?}"));
    };
    let mut replies = replies(&received).ok_or("half a frame")?;
    replies.retain(|reply| !matches!(reply, Pong(_)));
    if replies == shape.answer {
        return Ok(());
    }
    let (count, last) = (replies.len(), replies.last());
    Err(format!("{count} frames, the last: {last:?}"))
}

/// Writes and never reads, until the server stops reading, closes the connection, or has read too
/// much; returns the number of bytes that it read.
pub async fn write_on(client: &mut RawClient, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken <= UNREAD {
        match timeout(STALLED, client.write(bytes)).await {
            Ok(true) => taken += bytes.len(),
            Ok(false) | Err(_) => break,
        }
    }
    taken
}
