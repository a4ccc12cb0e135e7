//! Floods over HTTP/1 and WebSockets: many connections, many messages, and answers that nobody reads.

use super::{
    http1::{Http, Keeps},
    shape::{Answer, Shape, none_wrong},
    target::{MAX_MESSAGE, Target},
    websocket::{
        Close, FIRST_TEXT, Frames, LAST, NEXT, PING, PONG, Pong, TEXT, Text, close, echoes, ends,
        frame, said,
    },
};
use futures_util::future::join_all;
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::time::Duration;
use tokio::{io::AsyncWriteExt, time::timeout};

/// How long a write may take before the server is seen to read no more.
const STALLED: Duration = Duration::from_secs(1);

/// What a client may have sent to a server that does not read: the kernel's buffers on both sides.
const UNREAD: usize = 32 * 1024 * 1024;

/// What each flood is, for the count.
pub const FLOODS: &[&str] = &[
    "20,000 pings",
    "20,000 pongs",
    "20,000 messages of one byte",
    "20,000 empty messages",
    "100,000 empty fragments",
    "as many fragments of one byte as the limit has",
    "one fragment of one byte more",
    "32 MiB behind a length that wraps",
    "a frame byte by byte",
    "messages whose echoes nobody reads",
    "pings whose pongs nobody reads",
    "requests whose answers nobody reads",
    "1,000 requests in one write",
    "500 connections that say nothing",
    "500 connections that leave at once",
    "500 connections that are reset",
    "300 sockets at once, all reset in the middle of a frame",
    "1,000 handshakes of a foreign origin",
    "1,000 broken requests",
    "ten bodies that never end",
];

/// One after the other.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    let port = target.port();
    let mut wrong = Vec::new();
    for (name, bytes, answer) in messages() {
        let shape = Shape::of_bytes(name, "10.4", bytes, answer);
        let outcome = target
            .serves_others_during(name, exchange(&shape, port))
            .await;
        wrong.extend(
            outcome
                .err()
                .map(|difference| format!("{name}: {difference}")),
        );
    }
    for (name, is_socket, bytes, limit) in [
        (
            "messages whose echoes nobody reads",
            true,
            frame(TEXT, "x".repeat(60_000)),
            UNREAD,
        ),
        // Read on: the newest ping is the one to answer (RFC 6455, 5.5.3).
        (
            "pings whose pongs nobody reads",
            true,
            frame(PING, [7; 125]).repeat(500),
            usize::MAX,
        ),
        (
            "requests whose answers nobody reads",
            false,
            GET.repeat(1_000).into_bytes(),
            UNREAD,
        ),
    ] {
        let mut client = match is_socket {
            true => target.socket().await,
            false => target.client().await,
        };
        let taken = target
            .serves_others_during(name, unread(&mut client, &bytes))
            .await;
        if taken > limit {
            wrong.push(format!("{name}: {taken} bytes were taken"));
        }
        client.reset();
    }
    let pipelined = Shape::new("", "9112, 9.3.2", GET.repeat(1_000), Keeps(&[200; 1_000]));
    let outcome = target
        .serves_others_during("1,000 requests in one write", Http::check(&pipelined, port))
        .await;
    wrong.extend(outcome.err());
    crowds(&mut target).await;
    none_wrong(wrong, target).await;
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Floods of frames, and what comes of each.
fn messages() -> Vec<(&'static str, Vec<u8>, Frames)> {
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
    vec![
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
        (
            "20,000 pings",
            then(frame(PING, [7; 125]).repeat(20_000)),
            echoes("done"),
        ),
    ]
}

/// Sends a flood of frames while it reads; pongs are not counted, since the newest may stand for all (RFC 6455, 5.5.3).
async fn exchange(shape: &Shape<Frames>, port: u16) -> Result<(), String> {
    let mut client = RawClient::connect(port).await;
    client.upgrade("/ws/echo", "").await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let write = async {
        for bytes in [&shape.bytes, &close(1000, "")] {
            // Refused in the middle: the other half tells why.
            if outgoing.write_all(bytes).await.is_err() {
                break;
            }
        }
    };
    let read = async {
        let mut heard = Vec::new();
        // A reset is an end as well.
        _ = tokio::io::AsyncReadExt::read_to_end(&mut incoming, &mut heard).await;
        heard
    };
    let ended = timeout(DEADLINE, async { tokio::join!(write, read) }).await;
    let Ok(((), heard)) = ended else {
        return Err(format!("no end in {DEADLINE:?}"));
    };
    let mut said = said(&heard).ok_or("half a frame")?;
    said.retain(|frame| !matches!(frame, Pong(_)));
    if said == shape.answer {
        return Ok(());
    }
    Err(format!(
        "{} frames, the last: {:?}",
        said.len(),
        said.last()
    ))
}

/// Writes and never reads, until the server takes no more, hangs up, or has taken too much; returns how much it took.
async fn unread(client: &mut RawClient, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while taken <= UNREAD {
        match timeout(STALLED, client.write(bytes)).await {
            Ok(true) => taken += bytes.len(),
            Ok(false) | Err(_) => break,
        }
    }
    taken
}

/// Many clients at once, or one after the other.
async fn crowds(target: &mut Target) {
    let port = target.port();
    let connect = || RawClient::connect(port);

    let silent = join_all((0..500).map(|_| connect())).await;
    target
        .serves_others("500 connections that say nothing")
        .await;
    drop(silent);
    for client in join_all((0..500).map(|_| connect())).await {
        client.reset();
    }
    target.serves_others("500 connections that are reset").await;
    let leaving = async {
        for _ in 0..500 {
            drop(connect().await);
        }
    };
    target
        .serves_others_during("500 connections that leave at once", leaving)
        .await;

    let sockets = join_all((0..300).map(|_| async {
        let mut client = connect().await;
        assert_eq!(client.upgrade("/ws/echo", "").await, 101);
        client.write(&frame(TEXT, "hello")[..7]).await;
        client
    }));
    let sockets = target.serves_others_during("300 sockets", sockets).await;
    sockets.into_iter().for_each(RawClient::reset);
    target
        .serves_others("300 sockets, all reset in the middle of a frame")
        .await;

    let foreign = async {
        for _ in 0..1_000 {
            let status = connect()
                .await
                .upgrade("/ws/echo", "Origin: http://evil.example\r\n")
                .await;
            assert_eq!(status, 403);
        }
    };
    target
        .serves_others_during("1,000 handshakes of a foreign origin", foreign)
        .await;
    let broken = async {
        for _ in 0..1_000 {
            let mut client = connect().await;
            client.write(b"broken\r\n\r\n").await;
            client.hung_up().await;
        }
    };
    target
        .serves_others_during("1,000 broken requests", broken)
        .await;

    let endless = join_all((0..10).map(|_| async {
        let mut client = connect().await;
        client
            .write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let chunk = [&b"100\r\n"[..], &[b'x'; 0x100], b"\r\n"].concat();
        assert!(unread(&mut client, &chunk.repeat(100)).await <= UNREAD);
    }));
    target
        .serves_others_during("ten bodies that never end", endless)
        .await;
    let slow = byte_by_byte(port);
    let echo = target
        .serves_others_during("a frame byte by byte", slow)
        .await;
    assert_eq!(echo, [Text(b"slowly".to_vec()), Close(1000)]);
}

/// Each byte of a message, and of a close frame, in a segment of its own.
async fn byte_by_byte(port: u16) -> Frames {
    let mut client = RawClient::connect(port).await;
    client.upgrade("/ws/echo", "").await;
    let mut client = client.into_inner();
    client.set_nodelay(true).expect("an open socket");
    for byte in [
        frame(FIRST_TEXT, "slow"),
        frame(LAST, "ly"),
        close(1000, ""),
    ]
    .concat()
    {
        client.write_all(&[byte]).await.expect("an open socket");
    }
    let mut heard = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut client, &mut heard);
    timeout(DEADLINE, reading)
        .await
        .expect("an end")
        .expect("no reset");
    said(&heard).expect("whole frames")
}
