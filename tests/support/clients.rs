//! Clients in rooms, each of which sends numbered messages and logs what it sends and receives.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

use super::{
    delivery_report::{Entry, Log, MessageId},
    wait::{DEADLINE, until},
};

/// The delay before a client reconnects after a disconnect or a failed handshake.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a client waits for the end of the connection after the close frame.
const FAREWELL: Duration = Duration::from_secs(1);

/// Clients of the arena that reconnect after each disconnect.
#[derive(Debug)]
pub struct RoomClients {
    started: Instant,
    /// The interval between two messages of a client.
    every: Duration,
    is_sending: watch::Sender<bool>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    log: Arc<Mutex<Log>>,
    running: JoinHandle<()>,
}

impl RoomClients {
    /// Returns a clients without clients, each of which will send a message at this interval.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self {
            started: Instant::now(),
            every,
            is_sending: watch::Sender::new(false),
            members: Vec::new(),
        }
    }

    /// Adds a client of the server on this port; it starts to connect to its room.
    pub fn add(&mut self, port: u16, room: u32) {
        let number = u32::try_from(self.members.len()).expect("a clients of a sensible size");
        let log = Arc::new(Mutex::new(Log {
            client: number,
            room,
            entries: Vec::new(),
        }));
        let client = Client {
            number,
            port,
            path: format!("/ws/room/{room}"),
            started: self.started,
            every: self.every,
            is_sending: self.is_sending.subscribe(),
            log: log.clone(),
        };
        let running = tokio::spawn(client.run());
        self.members.push(Member { log, running });
    }

    /// Waits until every client has joined its room at least once.
    pub async fn joined(&self) {
        until("every client in its room", DEADLINE, async || {
            let mut members = self.members.iter();
            members
                .all(|member| {
                    let log = lock(&member.log);
                    log.entries.iter().any(|(_, entry)| *entry == Entry::Joined)
                })
                .then_some(())
        })
        .await;
    }

    /// Starts the clients' sending, spread evenly over their interval.
    pub fn start_sending(&self) {
        self.is_sending.send_replace(true);
    }

    /// Stops the clients' sending; they continue to receive.
    pub fn stop_sending(&self) {
        self.is_sending.send_replace(false);
    }

    /// Returns the current time of the logs.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the logs so far.
    #[must_use]
    pub fn logs(&self) -> Vec<Log> {
        let members = self.members.iter();
        members.map(|member| lock(&member.log).clone()).collect()
    }
}

impl Drop for RoomClients {
    fn drop(&mut self) {
        for member in &self.members {
            member.running.abort();
        }
    }
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().expect("no code panics while it holds this lock")
}

/// One client.
struct Client {
    number: u32,
    port: u16,
    path: String,
    started: Instant,
    every: Duration,
    is_sending: watch::Receiver<bool>,
    log: Arc<Mutex<Log>>,
}

type Socket = WebSocketStream<TcpStream>;

impl Client {
    async fn run(mut self) {
        let mut connection = 0;
        loop {
            match self.connect().await {
                Ok(socket) => {
                    self.note(Entry::Joined);
                    let code = self.stay(socket, connection).await;
                    self.note(Entry::Closed(code));
                    connection += 1;
                }
                Err(status) => self.note(Entry::Refused(status)),
            }
            sleep(PAUSE).await;
        }
    }

    async fn connect(&self) -> Result<Socket, Option<u16>> {
        let open = async {
            let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
            socket.set_nodelay(true)?;
            client_async(format!("ws://127.0.0.1:{}{}", self.port, self.path), socket).await
        };
        match timeout(DEADLINE, open).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(Error::Http(response))) => Err(Some(response.status().as_u16())),
            Ok(Err(_)) | Err(_) => Err(None),
        }
    }

    /// Sends and receives until the connection ends; returns the code of its close frame.
    async fn stay(&mut self, mut socket: Socket, connection: u32) -> Option<u16> {
        let mut sequence = 0;
        let mut turns = self.turns();
        loop {
            tokio::select! {
                _ = turns.tick() => {
                    if !*self.is_sending.borrow() {
                        continue;
                    }
                    // Logged before the write, as the message may arrive from then on.
                    self.note(Entry::Sent(sequence));
                    let text = format!("{} {connection} {sequence}", self.number);
                    sequence += 1;
                    // The next read returns how the connection has ended.
                    _ = socket.send(Message::text(text)).await;
                }
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.note(read(text.as_str())),
                    Some(Ok(Message::Close(frame))) => {
                        let end = async { while let Some(Ok(_)) = socket.next().await {} };
                        _ = timeout(FAREWELL, end).await;
                        return frame.map(|frame| frame.code.into());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        }
    }

    /// Returns the times at which this client sends. Those during a disconnect are skipped.
    fn turns(&self) -> Interval {
        /// Clients per interval: neighbours of one number do not all send at once.
        const SPREAD: u32 = 40;

        let phase = self.every / SPREAD * (self.number % SPREAD);
        let mut turns = interval_at(self.started + phase, self.every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Skip);
        turns
    }

    fn note(&self, entry: Entry) {
        lock(&self.log)
            .entries
            .push((self.started.elapsed(), entry));
    }
}

fn read(text: &str) -> Entry {
    let mut numbers = text.split(' ').map(str::parse);
    match (
        numbers.next(),
        numbers.next(),
        numbers.next(),
        numbers.next(),
    ) {
        (Some(Ok(client)), Some(Ok(connection)), Some(Ok(sequence)), None) => {
            Entry::Received(MessageId {
                client,
                connection,
                sequence,
            })
        }
        _ => Entry::Strange(text.to_owned()),
    }
}
