//! Thousands of clients that publish in a closed loop and count what they receive.
//!
//! Every message contains its sender and its number, so each client knows which one it must receive
//! next from each sender: lost, duplicate and reordered messages are detected at once, without a
//! log.

use std::{
    fmt,
    io::Result,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use super::{
    raw::{frame, text_frame},
    wait::{DEADLINE, POLL},
};

/// The size of a read in bytes.
const CHUNK: usize = 64 * 1024;

/// The number of concurrent handshakes.
const HANDSHAKES: usize = 64;

/// After this time without a further delivery, missing messages count as lost.
const QUIET: Duration = Duration::from_secs(3);

/// The number of clients, and what they do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The number of rooms; each has the same number of members, spread over the processes.
    pub rooms: usize,
    /// The number of members per room.
    pub members: usize,
    /// The number of members that publish.
    pub senders: usize,
    /// The minimum size of a message in bytes.
    pub bytes: usize,
    /// How long they publish; each sends at least one message.
    pub lasts: Duration,
    /// How long one waits before it publishes again, once its message has come back to it.
    pub pause: Duration,
}

/// The clients of a load, joined to their rooms.
#[derive(Debug)]
pub struct LoadRun {
    load: Load,
    /// How long it took until all had joined.
    pub joined: Duration,
    is_open: watch::Sender<bool>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    tally: Arc<Mutex<Tally>>,
    running: JoinHandle<()>,
}

/// The counts of one client.
#[derive(Debug, Default)]
struct Tally {
    sent: u32,
    received: usize,
    /// The number of the next expected message from each sender of the room.
    next: Vec<u32>,
    /// Missing messages before a later one of the same sender.
    skipped: usize,
    /// Messages that arrived again, or after a later one.
    repeated: usize,
    /// Texts that are no message of this room.
    strange: usize,
    /// The time from sending to receiving each message, in microseconds.
    delays: Vec<u32>,
    /// Whether the connection has ended, with the code if there was a close frame.
    closed: Option<Option<u16>>,
}

/// The sum of all counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages that were sent.
    pub messages: usize,
    /// Expected deliveries.
    pub due: usize,
    /// Deliveries that happened.
    pub delivered: usize,
    /// Duplicate or reordered deliveries, and unknown texts.
    pub wrong: usize,
    /// The close codes of ended connections.
    pub closed: Vec<Option<u16>>,
    /// The time from the first message to the last delivery.
    pub took: Duration,
    /// The median time of a delivery, and that which 99 of 100 do not exceed.
    pub delays: [Duration; 2],
}

impl LoadRun {
    /// Joins all clients of a load to their rooms in these processes.
    ///
    /// # Panics
    /// If one cannot join.
    pub async fn join(ports: &[u16], load: Load) -> Self {
        let start = Instant::now();
        let is_open = watch::Sender::new(false);
        let mut clients: Vec<Option<Client>> = Vec::new();
        clients.resize_with(load.rooms * load.members, || None);
        let mut joining = JoinSet::new();
        for number in 0..clients.len() {
            if joining.len() >= HANDSHAKES {
                let (number, client) = joined(&mut joining).await;
                clients[number] = Some(client);
            }
            let (room, index) = (number % load.rooms, number / load.rooms);
            let member = Member {
                room,
                index,
                load,
                start,
                is_open: is_open.subscribe(),
                tally: Arc::new(Mutex::new(Tally {
                    next: vec![0; load.senders],
                    ..Tally::default()
                })),
            };
            let port = ports[(room + index) % ports.len()];
            joining.spawn(async move {
                let socket = TcpSocket::new_v4().expect("a socket");
                let socket = handshake(socket, port, &room_path(room)).await;
                (number, member.start(socket))
            });
        }
        while !joining.is_empty() {
            let (number, client) = joined(&mut joining).await;
            clients[number] = Some(client);
        }
        Self {
            load,
            joined: start.elapsed(),
            is_open,
            clients: clients.into_iter().flatten().collect(),
        }
    }

    /// Makes the senders publish, waits until no more messages arrive, and counts.
    pub async fn run(self) -> Count {
        let start = Instant::now();
        self.is_open.send_replace(true);
        sleep(self.load.lasts).await;
        self.is_open.send_replace(false);

        let mut last = (Count::default(), start);
        loop {
            let count = self.count();
            let is_everything = count.missing() == 0 && !count.is_early(self.load);
            let is_quiet = last.1.elapsed() > QUIET;
            if count == last.0 && (is_everything || is_quiet) {
                return Count {
                    took: last.1 - start,
                    delays: self.delays(),
                    ..count
                };
            }
            if count != last.0 {
                last = (count, Instant::now());
            }
            assert!(
                start.elapsed() < self.load.lasts + 3 * DEADLINE,
                "no end: {}",
                last.0
            );
            sleep(POLL * 5).await;
        }
    }

    fn delays(&self) -> [Duration; 2] {
        let tallies = self.clients.iter().map(|client| lock(&client.tally));
        let mut delays: Vec<u32> = tallies.flat_map(|tally| tally.delays.clone()).collect();
        delays.sort_unstable();
        [50, 99].map(|percent| {
            let delay = delays.get(delays.len() * percent / 100).copied();
            Duration::from_micros(delay.unwrap_or_default().into())
        })
    }

    fn count(&self) -> Count {
        let mut count = Count::default();
        let mut sent = vec![0; self.load.rooms];
        for (number, client) in self.clients.iter().enumerate() {
            let tally = lock(&client.tally);
            sent[number % self.load.rooms] += tally.sent as usize;
            count.messages += tally.sent as usize;
            count.delivered += tally.received;
            count.wrong += tally.repeated + tally.strange;
            count.closed.extend(tally.closed);
        }
        count.due = sent.iter().map(|sent| sent * self.load.members).sum();
        count
    }
}

async fn joined(joining: &mut JoinSet<(usize, Client)>) -> (usize, Client) {
    let next = joining.join_next().await.expect("one is under way");
    next.expect("a client that joins")
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        for client in &self.clients {
            client.running.abort();
        }
    }
}

impl Count {
    /// Returns whether a sender has not sent its first message yet.
    fn is_early(&self, load: Load) -> bool {
        self.messages < load.rooms * load.senders
    }

    /// Returns the number of expected deliveries that did not happen.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.due.saturating_sub(self.delivered)
    }

    /// # Panics
    /// If anything is missing or wrong, or a connection has ended.
    pub fn is_complete(&self) {
        let is_complete = self.missing() == 0 && self.wrong == 0 && self.closed.is_empty();
        assert!(is_complete, "{self}");
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.delivered as f64 / self.took.as_secs_f64();
        write!(
            f,
            "{} messages, {} deliveries due: {} missing, {} wrong; closed {:?}; {:.2?}, {rate:.0}/s; delays {:.1?} (p50), {:.1?} (p99)",
            self.messages,
            self.due,
            self.missing(),
            self.wrong,
            self.closed,
            self.took,
            self.delays[0],
            self.delays[1],
        )
    }
}

fn room_path(room: usize) -> String {
    format!("/ws/room/{room}")
}

/// Opens a WebSocket on this path.
///
/// # Panics
/// If the server does not accept it.
pub(super) async fn handshake(socket: TcpSocket, port: u16, path: &str) -> TcpStream {
    let open = async {
        let mut stream = socket.connect(([127, 0, 0, 1], port).into()).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        Result::Ok((stream, head))
    };
    let (stream, head) = open.await.expect("an answer to the handshake");
    let head = String::from_utf8_lossy(&head);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally
        .lock()
        .expect("no code panics while it holds this lock")
}

/// One client, before it runs.
struct Member {
    room: usize,
    index: usize,
    load: Load,
    /// The beginning of the clock of all members.
    start: Instant,
    is_open: watch::Receiver<bool>,
    tally: Arc<Mutex<Tally>>,
}

impl Member {
    fn start(self, socket: TcpStream) -> Client {
        let tally = self.tally.clone();
        let running = tokio::spawn(async move {
            let tally = self.tally.clone();
            // Without a close frame, the cause of the end is irrelevant.
            let code = self.stay(socket).await.unwrap_or(None);
            lock(&tally).closed = Some(code);
        });
        Client { tally, running }
    }

    /// Receives, and publishes while the load lasts, until the connection ends; returns the code of
    /// its close frame.
    async fn stay(mut self, mut socket: TcpStream) -> Result<Option<u16>> {
        let (mut from, mut to) = socket.split();
        if self.index < self.load.senders {
            // Nothing arrives before a member publishes.
            _ = self.is_open.wait_for(|is_open| *is_open).await;
            self.publish(&mut to).await?;
        }
        let mut buffer = Vec::with_capacity(CHUNK);
        loop {
            if from.read_buf(&mut buffer).await? == 0 {
                return Ok(None);
            }
            let mut read = 0;
            let mut heard_itself = false;
            let mut pongs = Vec::new();
            {
                let mut tally = lock(&self.tally);
                while let Some(message) = Frame::read(&buffer[read..]) {
                    read += message.length;
                    match message.opcode {
                        TEXT => heard_itself |= self.take(message.payload, &mut tally),
                        PING => pongs.extend(frame(0x80 | PONG, message.payload)),
                        CLOSE => return Ok(message.code()),
                        _ => {}
                    }
                }
            }
            to.write_all(&pongs).await?;
            buffer.drain(..read);
            buffer.reserve(CHUNK);
            if heard_itself && *self.is_open.borrow() {
                sleep(self.load.pause).await;
                self.publish(&mut to).await?;
            }
        }
    }

    /// Counts a text; returns whether it is this client's own.
    fn take(&self, text: &[u8], tally: &mut Tally) -> bool {
        let Some([room, index, sequence, sent]) = numbers(text) else {
            tally.strange += 1;
            return false;
        };
        let (room, index) = (room as usize, index as usize);
        let Some(next) = tally.next.get_mut(index).filter(|_| room == self.room) else {
            tally.strange += 1;
            return false;
        };
        if sequence < *next {
            tally.repeated += 1;
            return false;
        }
        tally.skipped += (sequence - *next) as usize;
        *next = sequence + 1;
        tally.received += 1;
        tally.delays.push(self.clock().saturating_sub(sent));
        index == self.index
    }

    /// Returns the time since the start, in microseconds; a load lasts less than an hour.
    fn clock(&self) -> u32 {
        u32::try_from(self.start.elapsed().as_micros()).unwrap_or(u32::MAX)
    }

    async fn publish(&self, to: &mut (impl AsyncWriteExt + Unpin)) -> Result<()> {
        let sequence = {
            let mut tally = lock(&self.tally);
            tally.sent += 1;
            tally.sent - 1
        };
        let sent = self.clock();
        let mut text = format!("{} {} {sequence} {sent} ", self.room, self.index).into_bytes();
        text.resize(text.len().max(self.load.bytes), b'.');
        to.write_all(&text_frame(&text)).await
    }
}

/// Parses the first four numbers of a text.
fn numbers(text: &[u8]) -> Option<[u32; 4]> {
    let text = str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let mut next = || words.next()?.parse().ok();
    Some([next()?, next()?, next()?, next()?])
}

const TEXT: u8 = 1;
const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// An unmasked, unfragmented frame from the server.
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) payload: &'a [u8],
    pub(super) length: usize,
}

impl<'a> Frame<'a> {
    /// Parses the first frame of these bytes, once it is complete.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, length) = match *bytes.get(..2)? {
            [_, 126] => (
                4,
                u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(),
            ),
            [_, 127] => {
                let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
                (10, usize::try_from(length).ok()?)
            }
            [_, length] => (2, usize::from(length)),
            _ => return None,
        };
        let payload = bytes[head..].get(..length)?;
        Some(Self {
            opcode: bytes[0] & 0x0f,
            payload,
            length: head + length,
        })
    }

    /// Returns the code of a close frame.
    fn code(&self) -> Option<u16> {
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().ok()?))
    }
}

/// A client that reads nothing until it is asked to.
#[derive(Debug)]
pub struct SlowReader(TcpStream);

impl SlowReader {
    /// Joins a room, with a small receive buffer.
    ///
    /// # Panics
    /// If it cannot join.
    pub async fn join(port: u16, room: usize) -> Self {
        /// The receive buffer in bytes; the server's kernel buffers some megabytes more.
        const RECEIVE_BUFFER: u32 = 4096;

        let socket = TcpSocket::new_v4().expect("a socket");
        let set = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        set.expect("a receive buffer of that size");
        Self(handshake(socket, port, &room_path(room)).await)
    }

    /// Reads up to the close frame, and returns its code.
    ///
    /// # Panics
    /// If the connection ends without one.
    pub async fn close_code(mut self) -> Option<u16> {
        let mut buffer = Vec::new();
        loop {
            let mut read = 0;
            while let Some(frame) = Frame::read(&buffer[read..]) {
                if frame.opcode == CLOSE {
                    return frame.code();
                }
                read += frame.length;
            }
            buffer.drain(..read);
            buffer.reserve(CHUNK);
            let length = tokio::time::timeout(DEADLINE, self.0.read_buf(&mut buffer)).await;
            let length = length.expect("something in time").expect("a connection");
            assert_ne!(length, 0, "a close frame before the end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally_of(texts: &[&str]) -> Tally {
        let (_, is_open) = watch::channel(false);
        let member = Member {
            room: 7,
            index: 1,
            load: Load {
                rooms: 8,
                members: 2,
                senders: 2,
                bytes: 0,
                lasts: Duration::ZERO,
                pause: Duration::ZERO,
            },
            start: Instant::now(),
            is_open,
            tally: Arc::default(),
        };
        let mut tally = Tally {
            next: vec![0; 2],
            ..Tally::default()
        };
        for text in texts {
            member.take(text.as_bytes(), &mut tally);
        }
        tally
    }

    #[test]
    fn lost_duplicate_reordered_and_unknown_messages_are_counted() {
        for (texts, received, skipped, repeated, strange) in [
            (&["7 0 0 0 ", "7 1 0 0 ", "7 0 1 0 "][..], 3, 0, 0, 0),
            (&["7 0 0 0 ", "7 0 2 0 "], 2, 1, 0, 0),
            (&["7 0 0 0 ", "7 0 0 0 "], 1, 0, 1, 0),
            (&["7 0 1 0 ", "7 0 0 0 "], 1, 1, 1, 0),
            (&["6 0 0 0 ", "7 2 0 0 ", "7 0 0", "hello"], 0, 0, 0, 4),
        ] {
            let tally = tally_of(texts);

            let counted = (tally.received, tally.skipped, tally.repeated, tally.strange);
            assert_eq!(counted, (received, skipped, repeated, strange), "{texts:?}");
        }
    }

    #[test]
    fn frames_of_each_length_form_are_parsed() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = vec![0x81];
            match length {
                0..=125 => bytes.push(length as u8),
                126..=65_535 => {
                    bytes.push(126);
                    bytes.extend((length as u16).to_be_bytes());
                }
                _ => {
                    bytes.push(127);
                    bytes.extend((length as u64).to_be_bytes());
                }
            }
            bytes.resize(bytes.len() + length, b'a');

            assert!(Frame::read(&bytes[..bytes.len() - 1]).is_none());
            let frame = Frame::read(&bytes).expect("a frame");
            assert_eq!(
                (frame.opcode, frame.payload.len(), frame.length),
                (TEXT, length, bytes.len())
            );
        }
    }
}
