//! The hub: it sends each event to all processes, and has the worker queues.

use crate::frame::{self, Event, FromHub, Outcome, Payload, Request, What};
use seaway::channels::{Envelope, LocalQueues};
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::FileTypeExt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{
        Notify,
        mpsc::{self, error::TrySendError},
    },
};

/// The number of messages that may wait for one process. A process that reads more slowly is
/// disconnected, and so knows that it has missed something.
const OUTBOX: usize = 4096;

/// The longest wait for a job, whatever a process asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The hub of all processes.
#[derive(Debug)]
pub struct Hub {
    listener: UnixListener,
    shared: Arc<Shared>,
}

/// What the connections share.
#[derive(Debug, Default)]
struct Shared {
    processes: Mutex<HashMap<u64, Process>>,
    queues: LocalQueues,
}

/// The hub's end of a connection.
#[derive(Debug)]
struct Process {
    outbox: mpsc::Sender<FromHub>,
    /// Notified when the outbox is full.
    too_slow: Arc<Notify>,
}

impl Hub {
    /// Listens on a socket. A socket that another hub has left is replaced, other files are not.
    ///
    /// # Errors
    /// If the path cannot be used.
    pub async fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let is_socket = path
            .symlink_metadata()
            .is_ok_and(|file| file.file_type().is_socket());
        if is_socket && is_refused(UnixStream::connect(path).await) {
            fs::remove_file(path)?;
        }
        Ok(Self {
            listener: UnixListener::bind(path)?,
            shared: Arc::default(),
        })
    }

    /// Serves processes until accepting one fails.
    ///
    /// # Errors
    /// The error of the listener.
    pub async fn run(self) -> io::Result<()> {
        for number in 0_u64.. {
            let (stream, _) = self.listener.accept().await?;
            let (reader, writer) = stream.into_split();
            let (outbox, messages) = mpsc::channel(OUTBOX);
            _ = outbox.try_send(FromHub::Welcome);
            let too_slow = Arc::new(Notify::new());
            let process = Process {
                outbox: outbox.clone(),
                too_slow: too_slow.clone(),
            };
            self.shared.processes().insert(number, process);
            let shared = self.shared.clone();
            tokio::spawn(async move {
                // Both halves are closed, whatever ends first: the process connects again.
                tokio::select! {
                    end = read(reader, &shared, &outbox) => {
                        tracing::info!(number, ?end, "a process has left");
                    }
                    end = write(writer, messages) => {
                        tracing::info!(number, ?end, "a process has left");
                    }
                    () = too_slow.notified() => {
                        tracing::warn!(number, "disconnected a process that reads too slowly");
                    }
                }
                shared.processes().remove(&number);
            });
        }
        Ok(())
    }
}

/// Returns whether nobody listens on the socket.
fn is_refused(connected: io::Result<UnixStream>) -> bool {
    connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

async fn read(
    mut reader: OwnedReadHalf,
    shared: &Arc<Shared>,
    outbox: &mpsc::Sender<FromHub>,
) -> io::Result<()> {
    loop {
        let Request { number, what } = frame::read(&mut reader).await?;
        let outcome = match what {
            What::Send(event) => {
                shared.send(event);
                Outcome::Done
            }
            What::AddJob { queue, job } => {
                match shared.queues.send(&queue, Envelope::from_bytes(job.0)) {
                    Ok(()) => Outcome::Done,
                    Err(error) => Outcome::Full(error.to_string()),
                }
            }
            What::TakeJob { queue, wait_ms } => {
                let wait = Duration::from_millis(wait_ms).min(LONGEST_WAIT);
                let (shared, outbox) = (shared.clone(), outbox.clone());
                // Other requests of the process go on meanwhile.
                tokio::spawn(async move {
                    // If the process leaves first, no job is taken.
                    tokio::select! {
                        () = outbox.closed() => {}
                        taken = shared.queues.receive(&queue, wait) => {
                            let job = taken.ok().flatten();
                            let job = job.map(|job| Payload(job.as_bytes().to_vec()));
                            let outcome = Outcome::Job(job);
                            _ = outbox.send(FromHub::Reply { number, outcome }).await;
                        }
                    }
                });
                continue;
            }
        };
        let reply = FromHub::Reply { number, outcome };
        // While the process does not read its replies, its requests wait.
        outbox.send(reply).await.map_err(io::Error::other)?;
    }
}

async fn write(
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<FromHub>,
) -> io::Result<()> {
    while let Some(message) = messages.recv().await {
        frame::write(&mut writer, &message).await?;
    }
    Ok(())
}

impl Shared {
    /// Sends an event to all processes, in the same order.
    fn send(&self, event: Event) {
        for process in self.processes().values() {
            let sent = process.outbox.try_send(FromHub::Event(event.clone()));
            if let Err(TrySendError::Full(_)) = sent {
                process.too_slow.notify_one();
            }
        }
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<u64, Process>> {
        let processes = self.processes.lock();
        processes.expect("no code panics while it holds this lock")
    }
}
