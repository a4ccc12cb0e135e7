//! The load of handshakes: every client opens a connection, closes it, and repeats.

use std::{io::Result, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    course::{Course, Pace},
    figures::Sample,
    server::Server,
    socket::Socket,
};

/// Runs the load.
pub(crate) async fn run(server: &Server, pace: Pace, clients: u32) -> Result<Sample> {
    let course = Course::new();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        running.spawn(client(server.port(0), Arc::clone(&course)));
    }
    course.run(server, running, pace).await
}

async fn client(port: u16, course: Arc<Course>) -> Result<()> {
    while course.is_open() {
        let sent_ns = course.now_ns();
        course.expect(1);
        let socket = Socket::open(port, "/ws/echo").await?;
        course.hear(sent_ns, course.now_ns());
        socket.close().await?;
    }
    // The course drops its clients; one that returns would look like a failure.
    std::future::pending().await
}
