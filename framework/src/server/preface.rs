//! The first bytes of a connection, which distinguish HTTP/1 and HTTP/2.

use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

/// The first bytes of HTTP/2 with prior knowledge (RFC 9113, 3.4). No HTTP/1 request starts with
/// them.
const HTTP_2: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection: read once to detect the version, then replayed to hyper.
#[derive(Debug)]
pub(super) struct Preface {
    bytes: [u8; HTTP_2.len()],
    end: usize,
    /// Number of bytes that were replayed.
    start: usize,
}

impl Preface {
    /// Reads until the version is known. It reads the whole preface of HTTP/2: hyper would wait for
    /// the rest of it without a timeout.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the client closes the connection before.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = [0; HTTP_2.len()];
        let mut end = 0;
        while end < HTTP_2.len() && bytes[..end] == HTTP_2[..end] {
            match stream.read(&mut bytes[end..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => end += count,
            }
        }
        Ok(Self {
            bytes,
            end,
            start: 0,
        })
    }

    pub(super) fn is_http_2(&self) -> bool {
        self.bytes == *HTTP_2
    }

    /// Returns whether all bytes were replayed.
    pub(super) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Replays as many of the remaining bytes as `buffer` has room for.
    pub(super) fn replay(&mut self, buffer: &mut ReadBuf<'_>) {
        let rest = &self.bytes[self.start..self.end];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        self.start += count;
    }
}
