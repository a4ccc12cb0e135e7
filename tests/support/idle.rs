//! Connections that do nothing but respond to pings.

use std::{
    io::Result,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use super::{
    load::{Frame, PING, PONG, handshake},
    raw::frame,
};

/// The number of concurrent handshakes.
const HANDSHAKES: usize = 32;

/// The clients of idle connections.
#[derive(Debug)]
pub struct Idle {
    open: Arc<AtomicUsize>,
    _clients: JoinSet<()>,
}

impl Idle {
    /// Opens this many connections to the arena.
    ///
    /// # Panics
    /// If one cannot be opened.
    pub async fn open(port: u16, connections: usize) -> Self {
        let open = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        let mut opening = JoinSet::new();
        for number in 0..connections + HANDSHAKES {
            if number < connections {
                let socket = TcpSocket::new_v4().expect("a socket");
                opening.spawn(handshake(socket, port, "/ws/echo"));
            }
            if number >= HANDSHAKES.min(connections)
                && let Some(opened) = opening.join_next().await
            {
                let stream = opened.expect("a connection");
                let open = open.clone();
                open.fetch_add(1, Ordering::Relaxed);
                clients.spawn(async move {
                    _ = stay(stream).await;
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
        Self {
            open,
            _clients: clients,
        }
    }

    /// Returns how many of the connections are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// Responds to pings until the connection ends.
async fn stay(mut stream: TcpStream) -> Result<()> {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await? > 0 {
        let mut read = 0;
        while let Some(message) = Frame::read(&buffer[read..]) {
            read += message.length;
            if message.opcode == PING {
                let pong = frame(0x80 | PONG, message.payload);
                stream.write_all(&pong).await?;
            }
        }
        buffer.drain(..read);
    }
    Ok(())
}
