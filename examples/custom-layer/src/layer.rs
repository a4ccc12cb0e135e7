//! The layer: the methods of `ChannelLayer`, and the connection to the hub.

use crate::frame::{self, Event, FromHub, Outcome, Payload, Request, What};
use async_trait::async_trait;
use seaway::{
    ChannelName, Error, ErrorKind, GroupName,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
};
use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{Instant, sleep, timeout},
};

type Result<T> = std::result::Result<T, Error>;

/// The time within which the hub must reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of requests that may wait to be written; at the bound, senders wait.
const REQUESTS: usize = 1024;

/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// A channel layer over the Unix socket of a [`Hub`](crate::Hub).
///
/// The hub sends every event to every process, so a group needs no subscription: joining and
/// leaving concern this process alone.
#[derive(Debug)]
pub struct SocketLayer {
    local: LocalChannels,
    /// The beginning of the names of this process' channels.
    process: String,
    link: Arc<Link>,
    supervisor: AbortHandle,
}

/// The connection, which is replaced when it is lost.
#[derive(Debug)]
struct Link {
    path: PathBuf,
    /// `None` while there is no connection.
    current: Mutex<Option<Connection>>,
    requests: AtomicU64,
}

/// One connection.
#[derive(Debug)]
struct Connection {
    requests: mpsc::Sender<Request>,
    /// The requests that the hub has not replied to.
    waiting: HashMap<u64, oneshot::Sender<Outcome>>,
}

impl SocketLayer {
    /// Connects to the hub, and connects again whenever the connection is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if no hub listens there.
    pub async fn connect(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let local = LocalChannels::default();
        let link = Arc::new(Link {
            path,
            current: Mutex::default(),
            requests: AtomicU64::new(0),
        });
        let stream = link.connect().await.map_err(|source| {
            let message = format!("no hub on {}; start it first", link.path.display());
            Error::new(ErrorKind::Layer, message).with_source(source)
        })?;
        let to_write = link.open();
        let running = link.clone().run(stream, to_write, local.clone());
        Ok(Self {
            local,
            process: process_name(),
            link,
            supervisor: tokio::spawn(running).abort_handle(),
        })
    }

    async fn ask(&self, what: What, limit: Duration) -> Result<Outcome> {
        let (requests, request, reply) = self.link.request(what)?;
        let asking = async {
            requests.send(request).await.ok()?;
            reply.await.ok()
        };
        let outcome = timeout(limit, asking).await.ok().flatten();
        outcome.ok_or_else(|| {
            let message = "it is not known whether an event was sent: the hub did not reply";
            Error::new(ErrorKind::Unconfirmed, message)
        })
    }
}

impl Drop for SocketLayer {
    fn drop(&mut self) {
        self.supervisor.abort();
    }
}

#[async_trait]
impl ChannelLayer for SocketLayer {
    fn local(&self) -> &LocalChannels {
        &self.local
    }

    async fn open(&self) -> Result<Mailbox> {
        self.local.open(&self.process)
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        let payload = Payload(envelope.as_bytes().to_vec());
        let what = match channel.is_worker_queue() {
            true => What::AddJob {
                queue: channel.clone(),
                job: payload,
            },
            false => What::Send(Event::Channel(channel.clone(), payload)),
        };
        match self.ask(what, REPLY_TIMEOUT).await? {
            Outcome::Full(message) => Err(Error::new(ErrorKind::ChannelFull, message)),
            Outcome::Done | Outcome::Job(_) => Ok(()),
        }
    }

    async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>> {
        if !channel.is_worker_queue() {
            let message = format!("{channel} is not the name of a worker queue");
            return Err(Error::new(ErrorKind::Name, message));
        }
        let what = What::TakeJob {
            queue: channel.clone(),
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        };
        match self.ask(what, wait.saturating_add(REPLY_TIMEOUT)).await? {
            Outcome::Job(job) => Ok(job.map(|job| Envelope::from_bytes(job.0))),
            Outcome::Done | Outcome::Full(_) => Ok(None),
        }
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.join(group, channel).map(drop)
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
        let payload = Payload(envelope.as_bytes().to_vec());
        let what = What::Send(Event::Group(group.clone(), payload));
        self.ask(what, REPLY_TIMEOUT).await.map(drop)
    }

    fn health(&self) -> Result<()> {
        match *self.link.current() {
            Some(_) => Ok(()),
            None => Err(self.link.unavailable()),
        }
    }
}

impl Link {
    /// Numbers a request, and returns where it is sent and where its reply arrives.
    fn request(
        &self,
        what: What,
    ) -> Result<(mpsc::Sender<Request>, Request, oneshot::Receiver<Outcome>)> {
        let mut current = self.current();
        let Some(connection) = &mut *current else {
            drop(current);
            return Err(self.unavailable());
        };
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let (waiter, reply) = oneshot::channel();
        let waiting = &mut connection.waiting;
        // Those whose caller has stopped waiting go before the table grows.
        if waiting.len() == waiting.capacity() {
            waiting.retain(|_, waiter| !waiter.is_closed());
        }
        waiting.insert(number, waiter);
        Ok((connection.requests.clone(), Request { number, what }, reply))
    }

    /// Connects, and returns once the hub sends events to this process.
    async fn connect(&self) -> io::Result<UnixStream> {
        let connecting = async {
            let mut stream = UnixStream::connect(&self.path).await?;
            match frame::read(&mut stream).await? {
                FromHub::Welcome => Ok(stream),
                other => Err(io::Error::other(format!("{other:?} before the welcome"))),
            }
        };
        timeout(REPLY_TIMEOUT, connecting).await?
    }

    /// Accepts requests, for a connection that writes what the receiver returns.
    fn open(&self) -> mpsc::Receiver<Request> {
        let (requests, to_write) = mpsc::channel(REQUESTS);
        *self.current() = Some(Connection {
            requests,
            waiting: HashMap::new(),
        });
        to_write
    }

    /// Serves one connection after the other. Consumers that may have missed an event are notified.
    async fn run(
        self: Arc<Self>,
        mut stream: UnixStream,
        mut to_write: mpsc::Receiver<Request>,
        local: LocalChannels,
    ) {
        loop {
            let end = self.serve(stream, to_write, &local).await;
            let lost = Instant::now();
            *self.current() = None;
            tracing::warn!(path = %self.path.display(), ?end, "lost the connection to the hub; reconnecting");
            stream = loop {
                match self.connect().await {
                    Ok(stream) => break stream,
                    Err(_) => sleep(PAUSE).await,
                }
            };
            to_write = self.open();
            local.interrupted(lost.elapsed());
        }
    }

    async fn serve(
        &self,
        stream: UnixStream,
        mut to_write: mpsc::Receiver<Request>,
        local: &LocalChannels,
    ) -> io::Result<()> {
        let (mut reader, mut writer) = stream.into_split();
        let writing = async {
            while let Some(request) = to_write.recv().await {
                frame::write(&mut writer, &request).await?;
            }
            Ok(())
        };
        let reading = async {
            loop {
                match frame::read(&mut reader).await? {
                    FromHub::Welcome => {}
                    FromHub::Event(Event::Group(group, payload)) => {
                        local.deliver_group(&group, &Envelope::from_bytes(payload.0));
                    }
                    FromHub::Event(Event::Channel(channel, payload)) => {
                        local.deliver(&channel, Envelope::from_bytes(payload.0));
                    }
                    FromHub::Reply { number, outcome } => self.replied(number, outcome),
                }
            }
        };
        tokio::select! {
            end = writing => end,
            end = reading => end,
        }
    }

    fn replied(&self, number: u64, outcome: Outcome) {
        let mut current = self.current();
        let waiter = current
            .as_mut()
            .and_then(|connection| connection.waiting.remove(&number));
        if let Some(waiter) = waiter {
            // Its caller may have stopped waiting.
            _ = waiter.send(outcome);
        }
    }

    fn unavailable(&self) -> Error {
        let message = format!("no connection to the hub on {}", self.path.display());
        Error::new(ErrorKind::Layer, message)
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        let current = self.current.lock();
        current.expect("no code panics while it holds this lock")
    }
}

/// Returns a name that no other process, and no other layer of this one, has.
fn process_name() -> String {
    static LAYERS: AtomicU64 = AtomicU64::new(0);
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = started.unwrap_or_default().as_nanos();
    let layer = LAYERS.fetch_add(1, Ordering::Relaxed);
    format!("unix.{}.{layer}.{nanos:x}", process::id())
}
