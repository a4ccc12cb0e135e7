//! A client's stream of server-sent events: an endless chunked response.

use std::io::{Error, ErrorKind, Result};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{label::Label, socket::connect};

/// The maximum size of one read, in bytes.
const READ_BYTES: usize = 4 * 1024;

/// An open stream.
pub(crate) struct Stream {
    stream: TcpStream,
    read: BytesMut,
    /// The content of chunks that is not yet a complete event.
    text: BytesMut,
}

impl Stream {
    /// Opens a stream at this path.
    pub(crate) async fn open(port: u16, path: &str) -> Result<Self> {
        let mut stream = Self {
            stream: connect(port).await?,
            read: BytesMut::new(),
            text: BytesMut::new(),
        };
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: text/event-stream\r\n\r\n"
        );
        stream.stream.write_all(request.as_bytes()).await?;
        let head = loop {
            stream.fill().await?;
            let end = stream.read.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                break stream.read.split_to(end + 4);
            }
        };
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        if head.starts_with("http/1.1 200 ") && head.contains("transfer-encoding: chunked") {
            return Ok(stream);
        }
        let status = head.lines().next().unwrap_or_default();
        Err(Error::other(format!(
            "the stream at {path} was answered with {status}"
        )))
    }

    /// Waits until bytes have arrived, and reads them.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.read.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the server cut a stream",
            )),
            _ => Ok(()),
        }
    }

    /// Returns the next event that was read; skips comments.
    pub(crate) fn take(&mut self) -> Result<Option<Label>> {
        while let Some((length, chunk)) = chunk(&self.read).map_err(Error::other)? {
            self.text.extend_from_slice(chunk);
            self.read.advance(length);
        }
        while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
            let event = self.text.split_to(end + 2);
            if let Some(data) = event.strip_prefix(b"data: ") {
                let label = data
                    .strip_suffix(b"\n\n")
                    .and_then(|text| Label::decode(text, &[]));
                let label = label.ok_or_else(|| Error::other("an event came changed"))?;
                return Ok(Some(label));
            }
        }
        Ok(None)
    }
}

/// Returns the first chunk and its length including the framing; `None` while it is incomplete.
fn chunk(bytes: &[u8]) -> std::result::Result<Option<(usize, &[u8])>, &'static str> {
    let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else {
        return Ok(None);
    };
    let size = std::str::from_utf8(&bytes[..line]).ok();
    let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
    let size = size.ok_or("a chunk does not say how long it is")?;
    if size == 0 {
        return Err("the server ended a stream");
    }
    let (start, end) = (line + 2, line + 2 + size);
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    Ok(Some((end + 2, &bytes[start..end])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_taken_once_it_is_whole() {
        for (bytes, taken) in [
            ("", Ok(None)),
            ("5\r", Ok(None)),
            ("5\r\nhello\r", Ok(None)),
            ("5\r\nhello\r\n6\r\n", Ok(Some((10, &b"hello"[..])))),
            (
                "five\r\nhello\r\n",
                Err("a chunk does not say how long it is"),
            ),
            ("0\r\n\r\n", Err("the server ended a stream")),
        ] {
            assert_eq!(chunk(bytes.as_bytes()), taken, "{bytes:?}");
        }
    }
}
