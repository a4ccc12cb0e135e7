//! Hostile WebSocket frames, with the parser of the server's frames, and a table for each part of
//! RFC 6455.

pub mod close;
pub mod frames;
pub mod handshake;
pub mod lengths;
pub mod opening;
pub mod utf8;

use super::shape::{PATIENCE, Reply, Shape};
use seaway_tests::support::{RawClient, raw};
use tokio::time::timeout;

/// The frames of the server up to its close frame; then the connection ends.
pub type Replies = Vec<ServerFrame>;

/// A frame from the server.
#[derive(Clone, PartialEq)]
pub enum ServerFrame {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16),
    /// A close frame without a code.
    CloseWithout,
}

pub use ServerFrame::{Binary, Close, CloseWithout, Pong, Text};

pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const CLOSE: u8 = 0x88;
pub const PING: u8 = 0x89;
pub const PONG: u8 = 0x8a;
/// A fragment that is not the last; `NEXT` and `LAST` continue it.
pub const FIRST_TEXT: u8 = 0x01;
pub const FIRST_BINARY: u8 = 0x02;
pub const NEXT: u8 = 0x00;
pub const LAST: u8 = 0x80;

/// The code of the client's own close frame, with which each shape ends.
const NORMAL: u16 = 1000;

/// Encodes a masked frame, as a client must send it.
pub fn frame(first_byte: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    raw::frame(first_byte, payload.as_ref())
}

/// Encodes a close frame of the client.
pub fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_ref()].concat())
}

/// Expects only a close frame with this code.
pub fn ends(code: u16) -> Replies {
    vec![Close(code)]
}

/// Expects an echo of the text, and a connection that remains open.
pub fn echoes(text: impl AsRef<[u8]>) -> Replies {
    vec![Text(text.as_ref().to_vec()), Close(NORMAL)]
}

impl Reply for Replies {
    /// Sends the shape followed by a close frame, whose code ends each shape that is not rejected.
    async fn check(shape: &Shape<Self>, port: u16) -> Result<(), String> {
        let mut client = RawClient::connect(port).await;
        let status = client.upgrade("/ws/echo", "").await;
        if status != 101 {
            return Err(format!("the handshake was answered {status}"));
        }
        let talk = async {
            shape.send(&mut client).await;
            if !shape.half_closes {
                client.write(&close(NORMAL, "")).await;
            }
            let mut received = Vec::new();
            while client.read(&mut received).await {}
            received
        };
        let Ok(received) = timeout(PATIENCE, talk).await else {
            return Err(format!("no end in {PATIENCE:?}; due: {:?}", shape.answer));
        };
        let replies = replies(&received).ok_or_else(|| format!("no frames: {received:?}"))?;
        if replies == shape.answer {
            return Ok(());
        }
        Err(format!("{replies:?} instead of {:?}", shape.answer))
    }
}

/// Parses the server's bytes; `None` unless they are complete frames that a server may send.
pub fn replies(mut bytes: &[u8]) -> Option<Replies> {
    let mut replies = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u16::from_be_bytes(*length).into(), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*length).try_into().ok()?, rest)
            }
            length => (usize::from(*length), rest),
        };
        let (payload, rest) = rest.split_at_checked(length)?;
        replies.push(match (*first, payload) {
            (TEXT, text) => Text(text.to_vec()),
            (BINARY, bytes) => Binary(bytes.to_vec()),
            (PONG, bytes) => Pong(bytes.to_vec()),
            (CLOSE, []) => CloseWithout,
            (CLOSE, [high, low, ..]) => Close(u16::from_be_bytes([*high, *low])),
            _ => return None,
        });
        bytes = rest;
    }
    bytes.is_empty().then_some(replies)
}

/// Shows only the beginning of a long payload.
impl std::fmt::Debug for ServerFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, payload) = match self {
            Text(payload) => ("Text", payload),
            Binary(payload) => ("Binary", payload),
            Pong(payload) => ("Pong", payload),
            Close(code) => return write!(f, "Close({code})"),
            CloseWithout => return f.write_str("CloseWithout"),
        };
        let start = String::from_utf8_lossy(&payload[..payload.len().min(20)]);
        write!(f, "{name}({} bytes: {start:?})", payload.len())
    }
}
