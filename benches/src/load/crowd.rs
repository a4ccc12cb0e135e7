//! The load with one sender and many listeners, by WebSocket or event stream. The next text
//! is sent when all have received the last.

use std::{
    io::{Error, Result},
    sync::Arc,
};

use tokio::{task::JoinSet, time::sleep};

use super::{OPENERS, REST};
use crate::{
    course::{Course, Pace},
    figures::{Figure, Sample},
    label::{Label, padding},
    server::Server,
    socket::Socket,
    stream::Stream,
};

/// The transport of the listeners.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    WebSocket,
    EventStream,
}

/// Runs the load.
pub(crate) async fn run(
    server: &Server,
    pace: Pace,
    listeners: u32,
    transport: Transport,
    bytes: usize,
) -> Result<Sample> {
    let padding = padding(bytes);
    // One connection of each kind first, so that one-time allocations of the server do not count.
    drop(open(server.port(0), transport, 1, padding.clone()).await?);
    let sender = Socket::open(server.port(0), "/ws/room/crowd").await?;
    let sender = sender.padded(padding.clone());
    sleep(REST).await;
    let memory_before = server.resident_kib()?;

    let mut openers = JoinSet::new();
    for _ in 0..OPENERS {
        openers.spawn(open(
            server.port(0),
            transport,
            listeners / OPENERS,
            padding.clone(),
        ));
    }
    let course = Course::new();
    let mut clients = JoinSet::new();
    while let Some(opened) = openers.join_next().await {
        for listener in opened.map_err(Error::other)?? {
            clients.spawn(listener.listen(Arc::clone(&course)));
        }
    }
    let mut sender = Sender {
        socket: sender,
        next: 0,
        listeners,
        course: Arc::clone(&course),
    };
    // Every listener has received a text before the memory is read.
    sender.send().await?;
    sleep(REST).await;
    let memory_after = server.resident_kib()?;

    clients.spawn(sender.run());
    let mut sample = course.run(server, clients, pace).await?;
    let memory_kib = memory_after.saturating_sub(memory_before) as f64;
    let per_listener = memory_kib / f64::from(listeners);
    sample.figures.push((Figure::MemoryKib, per_listener));
    Ok(sample)
}

async fn open(
    port: u16,
    transport: Transport,
    count: u32,
    padding: Arc<[u8]>,
) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        // Servers respond once the client has joined, so it misses nothing from here on.
        listeners.push(match transport {
            Transport::WebSocket => {
                let socket = Socket::open(port, "/ws/room/crowd").await?;
                Listener::Socket(socket.padded(padding.clone()))
            }
            Transport::EventStream => {
                Listener::Stream(Stream::open(port, "/events/room/crowd").await?)
            }
        });
    }
    Ok(listeners)
}

enum Listener {
    Socket(Socket),
    Stream(Stream),
}

impl Listener {
    async fn listen(mut self, course: Arc<Course>) -> Result<()> {
        let mut next = 0;
        loop {
            match &mut self {
                Self::Socket(socket) => {
                    socket.flush().await?;
                    socket.fill().await?;
                }
                Self::Stream(stream) => stream.fill().await?,
            }
            let now_ns = course.now_ns();
            while let Some(label) = self.take()? {
                if label.sequence != next {
                    return Err(Error::other(
                        "a text was lost, or came twice or out of order",
                    ));
                }
                next += 1;
                course.hear(label.sent_ns, now_ns);
            }
        }
    }

    fn take(&mut self) -> Result<Option<Label>> {
        match self {
            Self::Socket(socket) => socket.take(),
            Self::Stream(stream) => stream.take(),
        }
    }
}

/// The sender. It is also a member of the room, but its own deliveries do not count.
struct Sender {
    socket: Socket,
    next: u64,
    listeners: u32,
    course: Arc<Course>,
}

impl Sender {
    async fn run(mut self) -> Result<()> {
        while self.course.is_open() {
            self.send().await?;
        }
        // The course drops its clients; one that returns would look like a failure.
        std::future::pending().await
    }

    /// Sends a text, and waits until all listeners have received it.
    async fn send(&mut self) -> Result<()> {
        let label = Label {
            sender: 0,
            sequence: self.next,
            sent_ns: self.course.now_ns(),
        };
        self.next += 1;
        self.course.expect(self.listeners.into());
        self.socket.exchange(label).await?;
        self.course.all_heard().await;
        Ok(())
    }
}
