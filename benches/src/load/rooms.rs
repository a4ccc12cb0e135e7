//! Rooms: some members send, everyone hears everything.

use std::{
    io::{Error, Result},
    sync::Arc,
};

use tokio::task::JoinSet;

use crate::{
    course::{Course, Pace},
    figures::Sample,
    label::Label,
    server::Server,
    socket::Socket,
};

/// The sender of the texts before the load.
const NEWCOMER: u32 = u32::MAX;

/// How many rooms, and who is in each.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// How many rooms.
    pub(crate) rooms: u32,
    /// How many are in each.
    pub(crate) members: u32,
    /// How many of those send.
    pub(crate) senders: u32,
}

/// Runs the load.
pub(crate) async fn run(server: &Server, pace: Pace, size: Size) -> Result<Sample> {
    let mut sockets = Vec::new();
    for room in 0..size.rooms {
        let path = format!("/ws/room/{room}");
        for member in 0..size.members {
            // Servers answer once the newcomer is in: from there on it misses nothing.
            sockets.push((member, Socket::open(server.port(member), &path).await?));
        }
    }
    for (member, socket) in &mut sockets {
        // One per process: where a process is only about to subscribe to the room, this waits for it.
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

/// A text that counts for nothing.
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
                // A gap is a loss, and shows in the course's count.
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
