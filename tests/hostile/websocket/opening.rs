//! The expected responses to handshakes, and their parser.

use super::{Replies, TEXT, close, echoes, frame, replies};
use crate::hostile::shape::{PATIENCE, Reply, Shape};
use seaway_tests::support::RawClient;
use tokio::time::timeout;

/// The expected response to a handshake.
#[derive(Clone, Debug)]
pub enum Opening {
    /// A WebSocket that echoes, without extensions and subprotocols.
    Opens,
    /// One of these statuses, without a WebSocket.
    Refuses(&'static [u16]),
    /// Invalid, and harmless: a WebSocket that echoes, or one of these statuses.
    OpensOrRefuses(&'static [u16]),
    /// A WebSocket, and these frames in reply to the bytes right after the handshake.
    Then(Replies),
}

pub use Opening::{Opens, OpensOrRefuses, Refuses, Then};

impl Reply for Opening {
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String> {
        let mut client = RawClient::connect(port).await;
        let talk = open(&mut client, shape);
        let Ok(seen) = timeout(PATIENCE, talk).await else {
            return Err(format!(
                "no answer in {PATIENCE:?}; due: {:?}",
                shape.answer
            ));
        };
        match (seen?, &shape.answer) {
            (Seen::Replies(seen), Then(frames)) if seen == *frames => Ok(()),
            (Seen::Replies(seen), Opens | OpensOrRefuses(_)) if seen == echoes("ahoy") => Ok(()),
            (Seen::Status(seen), Refuses(statuses) | OpensOrRefuses(statuses))
                if statuses.contains(&seen) =>
            {
                Ok(())
            }
            (seen, answer) => Err(format!("{seen:?} instead of {answer:?}")),
        }
    }
}

/// The received response: a status, or frames.
#[derive(Debug)]
enum Seen {
    Status(u16),
    Replies(Replies),
}

/// Sends the handshake; if it is accepted, also a text, unless the shape has frames already, and a
/// close frame.
async fn open(client: &mut RawClient, shape: &Shape<Opening>) -> Result<Seen, String> {
    shape.send(client).await;
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if !client.read(&mut received).await {
            return Err("no response".to_owned());
        }
    };
    let mut frames = received.split_off(end + 4);
    let head = String::from_utf8_lossy(&received).to_lowercase();
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no response: {head:?}"))?;
    if status != 101 {
        return Ok(Seen::Status(status));
    }
    for header in ["sec-websocket-extensions", "sec-websocket-protocol"] {
        if head.contains(header) {
            return Err(format!("accepted with {header}: {head:?}"));
        }
    }
    if !matches!(shape.answer, Then(_)) {
        client.write(&frame(TEXT, "ahoy")).await;
    }
    client.write(&close(1000, "")).await;
    while client.read(&mut frames).await {}
    let frames = replies(&frames).ok_or_else(|| format!("no frames: {frames:?}"))?;
    Ok(Seen::Replies(frames))
}
