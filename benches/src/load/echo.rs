//! The echo load: every connection keeps a number of messages in flight.

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

/// Runs the load.
pub(crate) async fn run(
    server: &Server,
    pace: Pace,
    connections: u32,
    under_way: u64,
) -> Result<Sample> {
    let mut sockets = Vec::new();
    for _ in 0..connections {
        sockets.push(Socket::open(server.port(0), "/ws/echo").await?);
    }
    let course = Course::new();
    let mut clients = JoinSet::new();
    for (sender, socket) in (0..).zip(sockets) {
        clients.spawn(client(sender, socket, under_way, Arc::clone(&course)));
    }
    course.run(server, clients, pace).await
}

async fn client(
    sender: u32,
    mut socket: Socket,
    under_way: u64,
    course: Arc<Course>,
) -> Result<()> {
    let (mut sent, mut heard) = (0, 0);
    let mut now_ns = course.now_ns();
    loop {
        while sent < heard + under_way && course.is_open() {
            socket.queue(Label {
                sender,
                sequence: sent,
                sent_ns: now_ns,
            });
            course.expect(1);
            sent += 1;
        }
        socket.flush().await?;
        socket.fill().await?;
        now_ns = course.now_ns();
        while let Some(label) = socket.take()? {
            if (label.sender, label.sequence) != (sender, heard) {
                return Err(Error::other(
                    "an echo came out of order or to the wrong client",
                ));
            }
            heard += 1;
            course.hear(label.sent_ns, now_ns);
        }
    }
}
