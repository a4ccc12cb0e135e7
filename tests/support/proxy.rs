//! A TCP proxy that can stall, delay, lose and reset connections.
//!
//! With one proxy per process, each process has its own network. Connections to Redis are
//! distinguished by their commands: one that has sent `SUBSCRIBE`, `PSUBSCRIBE` or `BZPOPMIN` is a
//! [`Side::Subscriber`].

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{redis::Redis, server::Server};

/// The size of a read in bytes.
const CHUNK: usize = 64 * 1024;

/// The chunks in flight per direction; at the bound the proxy stops reading.
const CHUNKS_UNDER_WAY: usize = 16 * 1024;

/// A proxy that forwards everything from its port to a server, as its wires allow.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server: u16,
    wires: Arc<watch::Sender<Wires>>,
    accepting: JoinHandle<()>,
}

/// How the proxy treats the bytes of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// Forwards them at once.
    #[default]
    Open,
    /// Holds them until the wire changes; none is lost.
    Stalled,
    /// Drops them; both ends consider them sent.
    Losing,
    /// Puts the length of a value of RESP of 50 MB before the server's bytes: less than a client
    /// accepts.
    Corrupt,
    /// Adds this much to every round trip, half of it in each direction.
    Late(Duration),
    /// Limits the server's bytes to this many per second.
    Narrow(u32),
    /// Resets open connections, and new ones as soon as they are known to be of this [`Side`].
    Cut,
}

/// A kind of connections of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those that subscribe, or read a queue.
    Subscriber,
    /// All others. Every connection starts as one of these.
    Publisher,
}

/// The state of both wires, and the number of resets.
#[derive(Clone, Copy, Debug, Default)]
struct Wires {
    subscriber: Wire,
    publisher: Wire,
    resets: u64,
    /// Connections that were opened before are stalled.
    held_before: Option<Instant>,
}

impl Proxy {
    /// Starts a proxy in front of a server.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn before(server: &Server) -> Self {
        Self::before_port(server.port()).await
    }

    /// Starts a proxy in front of a Redis.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn before_redis(redis: &Redis) -> Self {
        Self::before_port(redis.port()).await
    }

    async fn before_port(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port for the proxy");
        let port = listener.local_addr().expect("its port").port();
        let wires = Arc::new(watch::Sender::new(Wires::default()));
        let accepting = tokio::spawn(accept(listener, server, wires.clone()));
        Self {
            port,
            server,
            wires,
            accepting,
        }
    }

    /// Returns its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL of a page of the server, through the proxy.
    #[must_use]
    pub fn page(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sets the behaviour of all connections.
    pub fn set(&self, wire: Wire) {
        self.wires.send_modify(|wires| {
            wires.subscriber = wire;
            wires.publisher = wire;
            wires.held_before = None;
        });
    }

    /// Stalls the open connections, and forwards new ones, until [`restore`](Self::restore).
    pub fn hold(&self) {
        let now = Some(Instant::now());
        self.wires.send_modify(|wires| wires.held_before = now);
    }

    /// Sets the behaviour of the connections of one side.
    pub fn set_side(&self, side: Side, wire: Wire) {
        self.wires.send_modify(|wires| match side {
            Side::Subscriber => wires.subscriber = wire,
            Side::Publisher => wires.publisher = wire,
        });
    }

    /// Resets the open connections; new ones are forwarded.
    pub fn reset(&self) {
        self.wires.send_modify(|wires| wires.resets += 1);
    }

    /// Resets all connections, and new ones at once, until [`restore`](Self::restore).
    pub fn cut(&self) {
        self.set(Wire::Cut);
    }

    /// Refuses new connections, until [`accept`](Self::accept); the open ones stay.
    pub async fn refuse(&mut self) {
        self.accepting.abort();
        // Then the listener is closed.
        _ = (&mut self.accepting).await;
    }

    /// Accepts connections again.
    ///
    /// # Panics
    /// If the port has been taken.
    pub async fn accept(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await;
        let listener = listener.expect("the port of the proxy");
        self.accepting = tokio::spawn(accept(listener, self.server, self.wires.clone()));
    }

    /// Forwards everything again.
    pub fn restore(&self) {
        self.set(Wire::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Wires {
    fn of(&self, side: Side) -> Wire {
        match side {
            Side::Subscriber => self.subscriber,
            Side::Publisher => self.publisher,
        }
    }
}

async fn accept(listener: TcpListener, server: u16, wires: Arc<watch::Sender<Wires>>) {
    while let Ok((client, _)) = listener.accept().await {
        let control = Control {
            side: Arc::new(watch::Sender::new(Side::Publisher)),
            wires: wires.subscribe(),
            opened_at: Instant::now(),
        };
        tokio::spawn(carry(client, server, control));
    }
}

/// Forwards a connection until both ends have closed it or the proxy resets both.
async fn carry(mut client: TcpStream, server: u16, control: Control) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", server)).await else {
        reset(client);
        return;
    };
    for end in [&client, &server] {
        _ = end.set_nodelay(true);
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();

    let there = pump(from_client, to_server, control.clone(), Direction::ToServer);
    let back = pump(from_server, to_client, control.clone(), Direction::ToClient);
    let is_cut = tokio::select! {
        biased;
        () = control.cut() => true,
        _ = async { tokio::join!(there, back) } => false,
    };
    if is_cut {
        reset(client);
        reset(server);
    }
}

fn reset(end: TcpStream) {
    // This fails only if the connection is closed already.
    _ = end.set_zero_linger();
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

/// A connection's view of the proxy's wires.
#[derive(Clone)]
struct Control {
    side: Arc<watch::Sender<Side>>,
    wires: watch::Receiver<Wires>,
    opened_at: Instant,
}

impl Control {
    fn side(&self) -> Side {
        *self.side.borrow()
    }

    fn wire(&self) -> Wire {
        self.wire_of(&self.wires.borrow())
    }

    fn wire_of(&self, wires: &Wires) -> Wire {
        match wires.held_before {
            Some(at) if self.opened_at < at => Wire::Stalled,
            _ => wires.of(self.side()),
        }
    }

    /// Waits while the wire is stalled.
    async fn moving(&mut self) {
        self.until(|_, wire| wire != Wire::Stalled).await;
    }

    /// Waits until this connection must be reset.
    async fn cut(mut self) {
        let first = self.wires.borrow().resets;
        self.until(|resets, wire| resets != first || wire == Wire::Cut)
            .await;
    }

    /// Waits until the number of resets and the connection's wire match.
    async fn until(&mut self, wanted: impl Fn(u64, Wire) -> bool) {
        let mut sides = self.side.subscribe();
        loop {
            let resets = self.wires.borrow_and_update().resets;
            sides.borrow_and_update();
            if wanted(resets, self.wire()) {
                return;
            }
            tokio::select! {
                // Once the proxy is dropped nothing changes any more.
                changed = self.wires.changed() => if changed.is_err() { return },
                _ = sides.changed() => {}
            }
        }
    }
}

/// Forwards one direction, and its end.
async fn pump(from: ReadHalf<'_>, to: WriteHalf<'_>, control: Control, direction: Direction) {
    let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
    tokio::join!(
        read(from, sender, control.clone(), direction),
        write(to, receiver, control),
    );
}

/// Reads chunks, and computes the time at which each is due at the other end.
async fn read(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<(Instant, Vec<u8>)>,
    mut control: Control,
    direction: Direction,
) {
    let mut buffer = vec![0; CHUNK];
    let mut watched = Watched::default();
    let mut last_due = Instant::now();
    loop {
        control.moving().await;
        let Ok(length @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        let mut chunk = buffer[..length].to_vec();
        if direction == Direction::ToServer
            && control.side() == Side::Publisher
            && watched.subscribes(&chunk)
        {
            control.side.send_replace(Side::Subscriber);
        }
        let late = match control.wire() {
            Wire::Losing => continue,
            Wire::Corrupt if direction == Direction::ToClient => {
                chunk.splice(..0, *b"$50000000\r\n");
                Duration::ZERO
            }
            // No further byte is read; `cut` resets the connection.
            Wire::Cut => std::future::pending().await,
            Wire::Late(late) => late / 2,
            Wire::Narrow(rate) if direction == Direction::ToClient => {
                let takes = Duration::from_secs(1) * u32::try_from(length).expect("a chunk") / rate;
                last_due.saturating_duration_since(Instant::now()) + takes
            }
            Wire::Narrow(_) | Wire::Corrupt | Wire::Open | Wire::Stalled => Duration::ZERO,
        };
        last_due = Instant::now() + late;
        if chunks.send((last_due, chunk)).await.is_err() {
            return;
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut chunks: mpsc::Receiver<(Instant, Vec<u8>)>,
    mut control: Control,
) {
    while let Some((due, chunk)) = chunks.recv().await {
        sleep_until(due).await;
        control.moving().await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // The other end may have closed first.
    _ = to.shutdown().await;
}

/// A detector of subscriptions in a stream of commands.
#[derive(Default)]
struct Watched {
    /// The end of the previous chunk: the command may be split.
    tail: Vec<u8>,
}

impl Watched {
    fn subscribes(&mut self, chunk: &[u8]) -> bool {
        /// `PSUBSCRIBE` ends with the first too, and so does `UNSUBSCRIBE`, which only subscribers
        /// send.
        const WORDS: [&[u8]; 2] = [b"SUBSCRIBE\r\n", b"BZPOPMIN\r\n"];
        const LONGEST: usize = WORDS[0].len();

        let mut seen = mem::take(&mut self.tail);
        seen.extend_from_slice(chunk);
        let is_there = WORDS
            .iter()
            .any(|word| seen.windows(word.len()).any(|window| window == *word));
        self.tail = seen.split_off(seen.len().saturating_sub(LONGEST - 1));
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_recognized_across_chunks() {
        for (chunks, expected) in [
            (&["*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"][..], true),
            (&["*2\r\n$10\r\nPSUBSC", "RIBE", "\r\n$1\r\na\r\n"], true),
            (&["*3\r\n$8\r\nBZPOPMIN\r\n$1\r\na\r\n"], true),
            (
                &["*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n", "$9\r\nSUBSCRIBES\r\n"],
                false,
            ),
        ] {
            let mut watched = Watched::default();

            let subscribes = chunks
                .iter()
                .any(|chunk| watched.subscribes(chunk.as_bytes()));

            assert_eq!(subscribes, expected, "{chunks:?}");
        }
    }
}
