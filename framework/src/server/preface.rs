//! The first bytes of a connection, which distinguish HTTP/1 and HTTP/2.

use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113, 3.4). No HTTP/1 request starts with
/// them.
const HTTP_2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The most that is read to detect the version, in bytes: the head of most requests fits, so that
/// it takes one read, and is parsed once.
const CAPACITY: usize = 1024;

/// The first bytes of a connection: read once to detect the version, then replayed to hyper.
#[derive(Debug)]
pub(super) struct Preface {
    /// What was not replayed yet.
    bytes: Bytes,
    is_http_2: bool,
}

impl Preface {
    /// Reads until the version is known. It reads the whole preface of HTTP/2: hyper would wait for
    /// the rest of it without a timeout.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the client closes the connection before.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = Vec::new();
        loop {
            let seen = bytes.len().min(HTTP_2.len());
            if bytes[..seen] != HTTP_2[..seen] || seen == HTTP_2.len() {
                return Ok(Self {
                    is_http_2: bytes.starts_with(HTTP_2),
                    bytes: bytes.into(),
                });
            }
            bytes.reserve_exact(CAPACITY - bytes.len());
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) fn is_http_2(&self) -> bool {
        self.is_http_2
    }

    /// Returns whether all bytes were replayed.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Replays as many of the remaining bytes as `buffer` has room for.
    pub(super) fn replay(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.bytes.len().min(buffer.remaining());
        buffer.put_slice(&self.bytes.split_to(count));
        if self.is_empty() {
            // Its memory is no longer needed.
            self.bytes = Bytes::new();
        }
    }
}
