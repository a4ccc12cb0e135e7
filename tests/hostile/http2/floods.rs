//! Floods over HTTP/2: much work for few bytes. Each ends by itself or is ended; others are served meanwhile.

use super::{
    ACK, CALM, CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, HEADERS, PING, POST, PRIORITY,
    PROTOCOL, RESET, SETTINGS, Seen, WHOLE, WINDOW_UPDATE, frame, hello, next,
};
use crate::hostile::{shape::none_wrong, target::Target};
use seaway_tests::support::wait::DEADLINE;
use tokio::{io::AsyncWriteExt, time::timeout};

/// How a flood ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// The server ends the connection, with one of these codes if it says why.
    Ended(&'static [u32]),
    /// The same as `Ended(&[CALM])`, or it takes all of it and answers a ping behind: a limit is allowed, not demanded.
    EndedOrTaken,
}

pub use End::{Ended, EndedOrTaken};

pub struct Flood {
    pub name: &'static str,
    /// The section of RFC 9113, or the report.
    pub rule: &'static str,
    pub bytes: Vec<u8>,
    pub end: End,
}

pub fn floods() -> Vec<Flood> {
    let open = |streams: u32, each: &dyn Fn(u32) -> Vec<u8>| {
        (0..streams)
            .flat_map(|index| each(index * 2 + 1))
            .collect::<Vec<_>>()
    };
    let cancel = 8u32.to_be_bytes();
    let body = frame(HEADERS, END_HEADERS, 1, POST);
    let headers = frame(HEADERS, END_STREAM, 1, GET);
    [
        (
            "rapid reset",
            "CVE-2023-44487",
            open(10_000, &|stream| {
                [
                    frame(HEADERS, WHOLE, stream, GET),
                    frame(RESET, 0, stream, cancel),
                ]
                .concat()
            }),
            Ended(&[CALM]),
        ),
        (
            "rapid reset of open requests",
            "CVE-2023-44487",
            open(10_000, &|stream| {
                [
                    frame(HEADERS, END_HEADERS, stream, POST),
                    frame(RESET, 0, stream, cancel),
                ]
                .concat()
            }),
            Ended(&[CALM]),
        ),
        (
            "resets that the server is made to send",
            "CVE-2025-8671",
            open(10_000, &|stream| {
                [
                    frame(HEADERS, END_HEADERS, stream, POST),
                    frame(WINDOW_UPDATE, 0, stream, [0; 4]),
                ]
                .concat()
            }),
            // h2 ends the connection at the first.
            Ended(&[CALM, PROTOCOL]),
        ),
        (
            "continuations without an end",
            "CVE-2024-27316",
            [
                headers.clone(),
                frame(CONTINUATION, 0, 1, b"\0\x01x\x01y".repeat(3_000)).repeat(2_000),
            ]
            .concat(),
            Ended(&[CALM, PROTOCOL, super::COMPRESSION]),
        ),
        (
            "empty continuations",
            "CVE-2019-9518",
            [headers, frame(CONTINUATION, 0, 1, []).repeat(100_000)].concat(),
            Ended(&[CALM, PROTOCOL]),
        ),
        (
            "settings",
            "CVE-2019-9515",
            frame(SETTINGS, 0, 0, []).repeat(50_000),
            EndedOrTaken,
        ),
        (
            "pings",
            "CVE-2019-9512",
            frame(PING, 0, 0, [7; 8]).repeat(50_000),
            EndedOrTaken,
        ),
        (
            "pongs",
            "10.5",
            frame(PING, ACK, 0, [7; 8]).repeat(50_000),
            EndedOrTaken,
        ),
        (
            "empty data",
            "CVE-2019-9518",
            [body.clone(), frame(DATA, 0, 1, []).repeat(100_000)].concat(),
            Ended(&[CALM]),
        ),
        (
            "data of one byte",
            "10.5",
            [body.clone(), frame(DATA, 0, 1, "x").repeat(100_000)].concat(),
            EndedOrTaken,
        ),
        (
            "priorities",
            "CVE-2019-9513",
            (0..50_000u32)
                .flat_map(|index| frame(PRIORITY, 0, index * 2 + 1, [0, 0, 0, 0, 1]))
                .collect(),
            EndedOrTaken,
        ),
        (
            "window updates",
            "10.5",
            [
                body,
                frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]).repeat(50_000),
            ]
            .concat(),
            EndedOrTaken,
        ),
        (
            "frames that nobody knows",
            "5.5",
            frame(0x42, 0, 0, [7; 8]).repeat(50_000),
            EndedOrTaken,
        ),
        (
            "malformed requests",
            "8.1.1",
            open(10_000, &|stream| frame(HEADERS, WHOLE, stream, b"\x82")),
            Ended(&[CALM, PROTOCOL]),
        ),
        (
            "requests whose answers have no window",
            "CVE-2019-9517",
            [
                frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]),
                open(5_000, &|stream| frame(HEADERS, WHOLE, stream, GET)),
            ]
            .concat(),
            EndedOrTaken,
        ),
    ]
    .map(|(name, rule, bytes, end)| Flood {
        name,
        rule,
        bytes,
        end,
    })
    .into()
}

/// One after the other.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    let mut wrong = Vec::new();
    for flood in floods() {
        let attack = attack(&flood, target.port());
        let seen = target.serves_others_during(flood.name, attack).await;
        let is_right = match (flood.end, &seen) {
            (Ended(_), Some(Seen::End)) => true,
            (Ended(codes), Some(Seen::GoAway(code))) => codes.contains(code),
            (EndedOrTaken, Some(Seen::End | Seen::GoAway(CALM) | Seen::Pong)) => true,
            _ => false,
        };
        if !is_right {
            wrong.push(format!(
                "{} ({}): {seen:?} instead of {:?}",
                flood.name, flood.rule, flood.end
            ));
        }
    }
    none_wrong(wrong, target).await;
}

/// Sends all of it and a ping, while it reads; returns what ended it.
async fn attack(flood: &Flood, port: u16) -> Option<Seen> {
    let client = seaway_tests::support::RawClient::connect(port).await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let write = async {
        for bytes in [&hello(), &flood.bytes, &frame(PING, 0, 0, super::MARK)] {
            // Ended in the middle: the other half tells why.
            if outgoing.write_all(bytes).await.is_err() {
                break;
            }
        }
        std::future::pending::<Option<Seen>>().await
    };
    let read = async {
        let mut heard = Vec::new();
        loop {
            match next(&mut incoming, &mut heard).await {
                // Answers to what the flood is made of.
                Seen::Status(_) | Seen::Reset(_) => {}
                seen => return Some(seen),
            }
        }
    };
    let ended = timeout(DEADLINE, async {
        tokio::select! {
            seen = write => seen,
            seen = read => seen,
        }
    });
    ended.await.ok().flatten()
}
