//! Floods over HTTP/2: much work for few bytes. The server closes the connection or processes them
//! all, and serves other clients meanwhile.

use super::{
    ACK, AnyOf, CALM, COMPRESSION, CONTINUATION, Closes, Continues, DATA, END_HEADERS, END_STREAM,
    GET, HEADERS, Http2, MARK, PING, POST, PRIORITY, PROTOCOL, RESET, SETTINGS, Seen, WHOLE,
    WINDOW_UPDATE, frame, hello, next,
};
use crate::hostile::{
    shape::{Shape, assert_unharmed},
    target::Target,
};
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::future::pending;
use tokio::{io::AsyncWriteExt, time::timeout};

/// A limit on this is allowed, and not required.
const CLOSES_OR_CONTINUES: Http2 = AnyOf(&[Closes(&[CALM]), Continues]);

pub fn shapes() -> Vec<Shape<Http2>> {
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
            Closes(&[CALM]),
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
            Closes(&[CALM]),
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
            // h2 closes the connection at the first one.
            Closes(&[CALM, PROTOCOL]),
        ),
        (
            "continuations without an end",
            "CVE-2024-27316",
            [
                headers.clone(),
                frame(CONTINUATION, 0, 1, b"\0\x01x\x01y".repeat(3_000)).repeat(2_000),
            ]
            .concat(),
            Closes(&[CALM, PROTOCOL, COMPRESSION]),
        ),
        (
            "empty continuations",
            "CVE-2019-9518",
            [headers, frame(CONTINUATION, 0, 1, []).repeat(100_000)].concat(),
            Closes(&[CALM, PROTOCOL]),
        ),
        (
            "settings",
            "CVE-2019-9515",
            frame(SETTINGS, 0, 0, []).repeat(50_000),
            CLOSES_OR_CONTINUES,
        ),
        (
            "pings",
            "CVE-2019-9512",
            frame(PING, 0, 0, [7; 8]).repeat(50_000),
            CLOSES_OR_CONTINUES,
        ),
        (
            "pongs",
            "10.5",
            frame(PING, ACK, 0, [7; 8]).repeat(50_000),
            CLOSES_OR_CONTINUES,
        ),
        (
            "empty data",
            "CVE-2019-9518",
            [body.clone(), frame(DATA, 0, 1, []).repeat(100_000)].concat(),
            Closes(&[CALM]),
        ),
        (
            "data of one byte",
            "10.5",
            [body.clone(), frame(DATA, 0, 1, "x").repeat(100_000)].concat(),
            CLOSES_OR_CONTINUES,
        ),
        (
            "priorities",
            "CVE-2019-9513",
            (0..50_000u32)
                .flat_map(|index| frame(PRIORITY, 0, index * 2 + 1, [0, 0, 0, 0, 1]))
                .collect(),
            CLOSES_OR_CONTINUES,
        ),
        (
            "window updates",
            "10.5",
            [
                body,
                frame(WINDOW_UPDATE, 0, 1, [0, 0, 0, 1]).repeat(50_000),
            ]
            .concat(),
            CLOSES_OR_CONTINUES,
        ),
        (
            "frames that nobody knows",
            "5.5",
            frame(0x42, 0, 0, [7; 8]).repeat(50_000),
            CLOSES_OR_CONTINUES,
        ),
        (
            "malformed requests",
            "8.1.1",
            open(10_000, &|stream| frame(HEADERS, WHOLE, stream, b"\x82")),
            Closes(&[CALM, PROTOCOL]),
        ),
        (
            "requests whose answers have no window",
            "CVE-2019-9517",
            [
                frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]),
                open(5_000, &|stream| frame(HEADERS, WHOLE, stream, GET)),
            ]
            .concat(),
            CLOSES_OR_CONTINUES,
        ),
    ]
    .map(|(name, rule, bytes, answer)| Shape::of_bytes(name, rule, bytes, answer))
    .into()
}

/// Runs the floods one after the other.
pub async fn examine() {
    let mut target = Target::start(&[]).await;
    let mut wrong = Vec::new();
    for shape in shapes() {
        let attack = exchange(&shape, target.port());
        let seen = target.serves_others_during(&shape.name, attack).await;
        if !seen.as_ref().is_some_and(|seen| shape.answer.allows(seen)) {
            let Shape {
                name, rule, answer, ..
            } = shape;
            wrong.push(format!("{name} ({rule}): {seen:?} instead of {answer:?}"));
        }
    }
    assert_unharmed(wrong, target).await;
}

/// Sends a flood and a ping, and reads concurrently; returns the frame that ended it, if any.
async fn exchange(shape: &Shape<Http2>, port: u16) -> Option<Seen> {
    let client = RawClient::connect(port).await;
    let (mut incoming, mut outgoing) = client.into_inner().into_split();
    let write = async {
        for bytes in [&hello(), &shape.bytes, &frame(PING, 0, 0, MARK)] {
            // The server may close midway; its last frame has the reason.
            if outgoing.write_all(bytes).await.is_err() {
                break;
            }
        }
        pending().await
    };
    let read = async {
        let mut received = Vec::new();
        loop {
            match next(&mut incoming, &mut received).await {
                // Responses to the flood itself.
                Seen::Status(_) | Seen::Reset(_) => {}
                seen => return seen,
            }
        }
    };
    let ended = timeout(DEADLINE, async {
        tokio::select! {
            seen = write => seen,
            seen = read => seen,
        }
    });
    ended.await.ok()
}
