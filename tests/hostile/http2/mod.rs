//! Hostile HTTP/2 (RFC 9113) in raw frames, with the parser of the server's frames, and tables for
//! frames, header lists and floods.

pub mod floods;
pub mod frames;
pub mod hpack;

use super::shape::{PATIENCE, Reply, Shape};
use seaway_tests::support::RawClient;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

/// The expected reaction of the server.
#[derive(Clone, Copy, Debug)]
pub enum Http2 {
    /// It closes the connection, with a GOAWAY of one of these codes if it sends a reason (RFC
    /// 9113, 5.4.1).
    Closes(&'static [u32]),
    /// It resets the stream with one of these codes (RFC 9113, 5.4.2), or closes the connection
    /// with one: an endpoint may treat a stream error as a connection error.
    Resets(&'static [u32]),
    /// It responds to the request with one of these statuses.
    Answers(&'static [u16]),
    /// It acknowledges a ping that follows.
    Continues,
    AnyOf(&'static [Http2]),
}

pub use Http2::{Answers, AnyOf, Closes, Continues, Resets};

pub const PROTOCOL: u32 = 1;
pub const FLOW_CONTROL: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const COMPRESSION: u32 = 9;
pub const CALM: u32 = 11;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RESET: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 0x20;
/// The flags of a request without a body in a single frame.
pub const WHOLE: u8 = END_STREAM | END_HEADERS;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// `GET http://a/`, by the static table.
pub const GET: &[u8] = b"\x82\x86\x84\x41\x01a";
/// `POST http://a/body`.
pub const POST: &[u8] = b"\x83\x86\x04\x05/body\x41\x01a";

/// Encodes a frame (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    announced(payload.len(), kind, flags, stream, payload)
}

/// Encodes a frame whose length field differs from that of its payload.
pub fn announced(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(length).expect("24 bits").to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// Encodes the client's connection preface with empty settings.
pub fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, [])].concat()
}

/// A frame of the server that shows its reaction.
#[derive(Debug)]
pub enum Seen {
    GoAway(u32),
    Reset(u32),
    Status(u16),
    /// The acknowledgement of our own ping.
    Pong,
    /// The connection has ended, without a reason.
    End,
}

/// The payload of our own ping.
pub const MARK: &[u8; 8] = b"hostile?";

impl Reply for Http2 {
    /// Sends the shape followed by a ping.
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String> {
        let mut client = RawClient::connect(port).await;
        let talk = async {
            shape.send(&mut client).await;
            client.write(&frame(PING, 0, 0, MARK)).await;
            let mut client = client.into_inner();
            let mut received = Vec::new();
            loop {
                let seen = next(&mut client, &mut received).await;
                // A ping may be acknowledged before the request that preceded it.
                if !matches!(seen, Seen::Pong) || shape.answer.allows(&seen) {
                    return seen;
                }
            }
        };
        let Ok(seen) = timeout(PATIENCE, talk).await else {
            return Err(format!("no end in {PATIENCE:?}; due: {:?}", shape.answer));
        };
        if shape.answer.allows(&seen) {
            return Ok(());
        }
        Err(format!("{seen:?} instead of {:?}", shape.answer))
    }
}

impl Http2 {
    pub fn allows(&self, seen: &Seen) -> bool {
        match (self, seen) {
            (AnyOf(answers), seen) => answers.iter().any(|answer| answer.allows(seen)),
            (Closes(_), Seen::End) => true,
            // The response to a request of the shape may arrive before the pong.
            (Continues, Seen::Pong | Seen::Status(200)) => true,
            (Closes(codes) | Resets(codes), Seen::GoAway(code)) => codes.contains(code),
            (Resets(codes), Seen::Reset(code)) => codes.contains(code),
            (Answers(statuses), Seen::Status(status)) => statuses.contains(status),
            _ => false,
        }
    }
}

/// Waits for the next frame that shows the reaction, and skips others. `received` keeps the bytes
/// after it.
pub async fn next(client: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Seen {
    loop {
        while let Some((kind, flags, payload)) = take(received) {
            let code = |at: usize| {
                payload
                    .get(at..at + 4)?
                    .try_into()
                    .ok()
                    .map(u32::from_be_bytes)
            };
            match kind {
                GOAWAY => return Seen::GoAway(code(4).unwrap_or(u32::MAX)),
                RESET => return Seen::Reset(code(0).unwrap_or(u32::MAX)),
                HEADERS => return Seen::Status(status(&payload)),
                PING if flags == ACK && payload == MARK => return Seen::Pong,
                _ => {}
            }
        }
        if !matches!(client.read_buf(received).await, Ok(1..)) {
            return Seen::End;
        }
    }
}

/// Removes a complete frame; returns its type, flags and payload.
fn take(received: &mut Vec<u8>) -> Option<(u8, u8, Vec<u8>)> {
    let [a, b, c, kind, flags, ..] = received[..] else {
        return None;
    };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if received.len() < 9 + length {
        return None;
    }
    let frame: Vec<u8> = received.drain(..9 + length).collect();
    Some((kind, flags, frame[9..].to_vec()))
}

/// Returns the status at the beginning of a header block: from the static table (RFC 7541, A), or
/// three digits.
fn status(block: &[u8]) -> u16 {
    match block {
        // A dynamic table size update may come first (RFC 7541, 6.3).
        [0x20..=0x3f, rest @ ..] => status(rest),
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]
        }
        [0x08 | 0x48, length, rest @ ..] if length & 0x80 != 0 => huffman_digits(rest),
        [0x08 | 0x48, 3, digits @ ..] => {
            let digits = digits.iter().take(3);
            digits.fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
        }
        _ => 0,
    }
}

/// Decodes three digits in the Huffman code: 0 to 2 have five bits, 3 to 9 six (RFC 7541, B).
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes
        .iter()
        .take(3)
        .fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    let mut bits = bits << 8;
    let mut status = 0;
    for _ in 0..3 {
        let (digit, width) = match bits >> 27 {
            digit @ 0..3 => (digit, 5),
            _ => ((bits >> 26) - 0b01_1001 + 3, 6),
        };
        bits <<= width;
        status = status * 10 + digit as u16;
    }
    status
}
