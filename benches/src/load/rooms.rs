//! The load of rooms: some members send, all members receive everything.

use std::{
    io::{Error, Result},
    sync::Arc,
};

use tokio::task::JoinSet;

use crate::{
    course::{Course, Pace},
    figures::Sample,
    label::{Label, padding},
    server::Server,
    socket::Socket,
};

/// The sender of the texts before the load.
const NEWCOMER: u32 = u32::MAX;

/// The number of rooms, members and senders.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// The number of rooms.
    pub(crate) rooms: u32,
    /// The number of members per room.
    pub(crate) members: u32,
    /// The number of senders per room.
    pub(crate) senders: u32,
    /// The length of every text in bytes.
    pub(crate) bytes: usize,
}

/// Runs the load.
pub(crate) async fn run(server: &Server, pace: Pace, size: Size) -> Result<Sample> {
    let padding = padding(size.bytes);
    let mut sockets = Vec::new();
    for room in 0..size.rooms {
        let path = format!("/ws/room/{room}");
        for member in 0..size.members {
            // Servers respond once the client has joined, so it misses nothing from here on.
            let port = server.port(member);
            let socket = match server.compresses {
                true => Socket::open_compressed(port, &path).await?,
                false => Socket::open(port, &path).await?,
            };
            sockets.push((member, socket.padded(padding.clone())));
        }
    }
    for (member, socket) in &mut sockets {
        // One per process: this waits for a process that is still subscribing to the room.
        if *member < server.processes() {
            socket.exchange(newcomer(*member)).await?;
        }
    }
    let course = Course::new();
    let mut clients = JoinSet::new();
    for (number, socket) in sockets {
        let member = Member {
            number,
            size,
            socket,
            course: Arc::clone(&course),
        };
        clients.spawn(member.run());
    }
    course.run(server, clients, pace).await
}

/// Returns a text that is not counted.
fn newcomer(member: u32) -> Label {
    Label {
        sender: NEWCOMER,
        sequence: member.into(),
        sent_ns: 0,
    }
}

struct Member {
    number: u32,
    size: Size,
    socket: Socket,
    course: Arc<Course>,
}

impl Member {
    async fn run(mut self) -> Result<()> {
        let mut next_from = vec![0; self.size.senders as usize];
        let is_sender = self.number < self.size.senders;
        if is_sender {
            self.send(0);
        }
        loop {
            self.socket.flush().await?;
            self.socket.fill().await?;
            let now_ns = self.course.now_ns();
            while let Some(label) = self.socket.take()? {
                if label.sender == NEWCOMER {
                    continue;
                }
                let next = next_from.get_mut(label.sender as usize);
                let next =
                    next.ok_or_else(|| Error::other("a text came from nobody in this room"))?;
                // A gap is a loss, which the course counts.
                if label.sequence < *next {
                    return Err(Error::other("a text was delivered twice or out of order"));
                }
                *next = label.sequence + 1;
                self.course.hear(label.sent_ns, now_ns);
                if label.sender == self.number && self.course.is_open() {
                    self.send(label.sequence + 1);
                }
            }
        }
    }

    fn send(&mut self, sequence: u64) {
        self.socket.queue(Label {
            sender: self.number,
            sequence,
            sent_ns: self.course.now_ns(),
        });
        self.course.expect(self.size.members.into());
    }
}
