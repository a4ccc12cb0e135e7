//! A client's keep-alive connection with sequential requests.

use std::io::{Error, ErrorKind, Result};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::socket::connect;

const READ_BYTES: usize = 4 * 1024;

/// A connection that repeats one request.
pub(crate) struct Requests {
    stream: TcpStream,
    request: String,
    read: BytesMut,
}

impl Requests {
    /// Opens a connection for requests of this path.
    pub(crate) async fn open(port: u16, path: &str) -> Result<Self> {
        let stream = connect(port).await?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
        Ok(Self {
            stream,
            request,
            read: BytesMut::new(),
        })
    }

    /// Sends a request and waits for the complete response, which must be a 200.
    pub(crate) async fn exchange(&mut self) -> Result<()> {
        self.stream.write_all(self.request.as_bytes()).await?;
        loop {
            self.read.reserve(READ_BYTES);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(Error::new(
                    ErrorKind::UnexpectedEof,
                    "the server cut a connection",
                ));
            }
            if let Some(length) = answer_length(&self.read).map_err(Error::other)?
                && length <= self.read.len()
            {
                self.read.advance(length);
                return Ok(());
            }
        }
    }
}

/// Returns the length of the response at the start of these bytes; `None` while its head is
/// incomplete.
fn answer_length(bytes: &[u8]) -> std::result::Result<Option<usize>, &'static str> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "an answer's head is not text")?;
    let mut lines = head.lines();
    if !lines
        .next()
        .is_some_and(|status| status.starts_with("HTTP/1.1 200"))
    {
        return Err("a request was not answered with 200");
    }
    let body = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let body = body.ok_or("an answer does not say how long it is")?;
    Ok(Some(end + 4 + body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_head_says() {
        for (bytes, length) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
                Ok(Some(43)),
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(Some(38))),
            ("HTTP/1.1 200 OK\r\ncontent-le", Ok(None)),
            (
                "HTTP/1.1 404 Not Found\r\n\r\n",
                Err("a request was not answered with 200"),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n",
                Err("an answer does not say how long it is"),
            ),
        ] {
            assert_eq!(answer_length(bytes.as_bytes()), length, "{bytes:?}");
        }
    }
}
