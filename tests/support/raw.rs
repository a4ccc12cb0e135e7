//! A client that writes arbitrary bytes, to test how a server handles them.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::wait::DEADLINE;

const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A bare TCP connection.
#[derive(Debug)]
pub struct RawClient(TcpStream);

impl RawClient {
    /// Connects to a loopback port. Each write is sent at once, in its own segment.
    ///
    /// # Panics
    /// If no process listens.
    pub async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.expect("the server listens");
        stream.set_nodelay(true).expect("an open socket");
        Self(stream)
    }

    /// Uses an open connection.
    #[must_use]
    pub fn from(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Requests a WebSocket and returns the status of the response.
    pub async fn upgrade(&mut self, path: &str, more_headers: &str) -> u16 {
        let host = self.0.peer_addr().expect("a connected socket");
        self.write(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more_headers}\r\n"
            )
            .as_bytes(),
        )
        .await;
        self.status().await.expect("an answer to the handshake")
    }

    /// Writes bytes; returns false if the server has closed the connection, which is not an error
    /// here.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Reads frames up to the close frame, and returns its code and reason.
    ///
    /// # Panics
    /// If the connection ends without one.
    pub async fn close_code(&mut self) -> (u16, String) {
        loop {
            let mut head = [0; 2];
            self.read_exact(&mut head).await;
            assert!(head[1] < 126, "a short frame, unmasked, from the server");
            let mut payload = vec![0; usize::from(head[1])];
            self.read_exact(&mut payload).await;
            if head[0] == CLOSE {
                let (code, reason) = payload.split_at(2);
                return (
                    u16::from_be_bytes([code[0], code[1]]),
                    String::from_utf8_lossy(reason).into_owned(),
                );
            }
        }
    }

    /// Waits until the server has closed the connection; skips bytes before that.
    ///
    /// # Panics
    /// If it does not.
    pub async fn hung_up(&mut self) {
        let mut rest = Vec::new();
        let end = timeout(DEADLINE, self.0.read_to_end(&mut rest)).await;
        // A reset also ends the connection.
        drop(end.expect("the server hangs up"));
    }

    /// Half-closes the connection: nothing more is written.
    pub async fn half_close(&mut self) {
        // A server that has closed the connection is not an error here.
        let _ = self.0.shutdown().await;
    }

    /// Resets the connection, as the kernel does for a client that crashes.
    ///
    /// # Panics
    /// If the socket option cannot be set.
    pub fn reset(self) {
        self.0.set_zero_linger().expect("an open socket of ours");
    }

    /// Waits for bytes and reads them; `false` once the server has closed the connection.
    pub async fn read(&mut self, received: &mut Vec<u8>) -> bool {
        matches!(self.0.read_buf(received).await, Ok(1..))
    }

    /// Returns the stream, to read and write concurrently.
    #[must_use]
    pub fn into_inner(self) -> TcpStream {
        self.0
    }

    /// Returns the status of the response; `None` if the server closes the connection without one.
    async fn status(&mut self) -> Option<u16> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8_lossy(&head);
        head.split(' ').nth(1)?.parse().ok()
    }

    async fn read_exact(&mut self, bytes: &mut [u8]) {
        let read = timeout(DEADLINE, self.0.read_exact(bytes)).await;
        read.expect("bytes in time")
            .expect("bytes before the end of the connection");
    }
}

/// Returns the status of a page, if the server responds.
pub async fn get(port: u16, path: &str) -> Option<u16> {
    let mut client = RawClient(TcpStream::connect(("127.0.0.1", port)).await.ok()?);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    client.write(request.as_bytes()).await;
    timeout(DEADLINE, client.status()).await.ok()?
}

/// Sends a request with this first line, headers and body, and returns the whole response; invalid
/// UTF-8 in it is replaced.
///
/// # Panics
/// If there is no response.
pub async fn ask(port: u16, line: &str, headers: &[&str], body: &str) -> String {
    let mut client = RawClient::connect(port).await;
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{headers}\r\n{body}"
    );
    client.write(request.as_bytes()).await;
    let mut answer = Vec::new();
    let reading = timeout(DEADLINE, client.0.read_to_end(&mut answer)).await;
    reading
        .expect("an answer in time")
        .expect("an answer to its end");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Encodes a masked text frame, as a client must send it.
#[must_use]
pub fn text_frame(payload: &[u8]) -> Vec<u8> {
    frame(TEXT, payload)
}

/// Encodes a masked frame with any first byte.
#[must_use]
pub fn frame(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first_byte];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length as u8),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// Encodes a text frame without a mask, which only a server may send.
#[must_use]
pub fn unmasked_text_frame(payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len())
        .ok()
        .filter(|length| *length < 126)
        .expect("a short payload");
    [&[TEXT, length], payload].concat()
}
