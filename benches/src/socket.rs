//! A client's WebSocket: everything queued is sent in one write, everything available is read at
//! once.

use std::{
    io::{Error, ErrorKind, Result},
    net::Ipv4Addr,
    sync::Arc,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    frame::{self, CLOSE, PING, PONG, TEXT},
    inflated::read_inflated,
    label::Label,
};

/// The maximum size of one read beside the padding of a text, in bytes.
const READ_BYTES: usize = 8 * 1024;

/// The close code 1000.
const NORMAL_CLOSURE: u16 = 1000;

/// An open WebSocket.
pub(crate) struct Socket {
    stream: TcpStream,
    read: BytesMut,
    queued: Vec<u8>,
    /// What follows the label in every text.
    padding: Arc<[u8]>,
}

impl Socket {
    /// Opens a WebSocket at this path.
    pub(crate) async fn open(port: u16, path: &str) -> Result<Self> {
        Self::handshake(port, path, "")
            .await
            .map(|(socket, _)| socket)
    }

    /// Opens a WebSocket whose messages the server may compress (RFC 7692).
    ///
    /// # Errors
    ///
    /// If the server does not accept the extension, too.
    pub(crate) async fn open_compressed(port: u16, path: &str) -> Result<Self> {
        let offer = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover\r\n";
        let (socket, head) = Self::handshake(port, path, offer).await?;
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        match head.contains("sec-websocket-extensions: permessage-deflate") {
            true => Ok(socket),
            false => Err(Error::other("the server does not compress messages")),
        }
    }

    /// Opens a WebSocket with these header lines; returns the head of the response, too.
    async fn handshake(port: u16, path: &str, lines: &str) -> Result<(Self, BytesMut)> {
        let stream = connect(port).await?;
        let mut socket = Self {
            stream,
            read: BytesMut::new(),
            queued: Vec::new(),
            padding: Arc::default(),
        };

        // The key of the RFC's example: servers check its form, and this client need not check the
        // response.
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        );
        socket.stream.write_all(request.as_bytes()).await?;
        let head = loop {
            socket.fill().await?;
            if let Some(end) = socket
                .read
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break socket.read.split_to(end + 4);
            }
        };
        if !head.starts_with(b"HTTP/1.1 101 ") {
            let status = String::from_utf8_lossy(&head);
            let status = status.lines().next().unwrap_or_default();
            return Err(Error::other(format!(
                "the handshake at {path} was answered with {status}"
            )));
        }
        Ok((socket, head))
    }

    /// Sends and expects this padding in every text.
    pub(crate) fn padded(mut self, padding: Arc<[u8]>) -> Self {
        self.padding = padding;
        self
    }

    /// Queues a text.
    pub(crate) fn queue(&mut self, label: Label) {
        let text = [&label.encode()[..], &self.padding];
        frame::write(&mut self.queued, TEXT, &text);
    }

    /// Writes everything queued.
    pub(crate) async fn flush(&mut self) -> Result<()> {
        if !self.queued.is_empty() {
            self.stream.write_all(&self.queued).await?;
            self.queued.clear();
        }
        Ok(())
    }

    /// Waits until bytes have arrived, and reads them.
    pub(crate) async fn fill(&mut self) -> Result<()> {
        self.read.reserve(READ_BYTES + self.padding.len());
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(Error::new(
                ErrorKind::UnexpectedEof,
                "the server cut a connection",
            )),
            _ => Ok(()),
        }
    }

    /// Returns the next text that was read; replies to pings meanwhile.
    pub(crate) fn take(&mut self) -> Result<Option<Label>> {
        loop {
            let Some(frame) = frame::parse(&self.read).map_err(Error::other)? else {
                return Ok(None);
            };
            let text = match frame.opcode {
                TEXT => {
                    let decode = |text: &[u8]| Label::decode(text, &self.padding);
                    let label = match frame.is_compressed {
                        true => read_inflated(frame.payload, decode)?,
                        false => decode(frame.payload),
                    };
                    Some(label.ok_or_else(|| Error::other("a text came back changed"))?)
                }
                PING => {
                    frame::write(&mut self.queued, PONG, &[frame.payload]);
                    None
                }
                PONG => None,
                CLOSE => return Err(Error::other("the server closed a connection")),
                other => {
                    return Err(Error::other(format!(
                        "the server sent a frame of opcode {other}"
                    )));
                }
            };
            let length = frame.length;
            self.read.advance(length);
            if text.is_some() {
                return Ok(text);
            }
        }
    }

    /// Sends a text and waits for its echo; skips other texts.
    pub(crate) async fn exchange(&mut self, label: Label) -> Result<()> {
        self.queue(label);
        loop {
            self.flush().await?;
            self.fill().await?;
            while let Some(heard) = self.take()? {
                if heard == label {
                    return self.flush().await;
                }
            }
        }
    }

    /// Sends a closing handshake, and waits until the server has replied and cut the connection.
    ///
    /// The server cuts it first, so the client's port is free at once.
    pub(crate) async fn close(mut self) -> Result<()> {
        frame::write(&mut self.queued, CLOSE, &[&NORMAL_CLOSURE.to_be_bytes()]);
        self.flush().await?;
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await?;
        match rest.first() {
            Some(byte) if byte & 0x0f == CLOSE => Ok(()),
            _ => Err(Error::other(
                "the server cut a connection without a close frame",
            )),
        }
    }
}

/// Connects to a server on this machine.
pub(crate) async fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
