//! The HTTP load: every connection sends a request, waits for the response, and repeats.

use std::{io::Result, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    course::{Course, Pace},
    figures::Sample,
    http::Requests,
    server::Server,
};

/// Runs the load.
pub(crate) async fn run(server: &Server, pace: Pace, connections: u32) -> Result<Sample> {
    let course = Course::new();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        let requests = Requests::open(server.port(0), "/").await?;
        clients.spawn(client(requests, Arc::clone(&course)));
    }
    course.run(server, clients, pace).await
}

async fn client(mut requests: Requests, course: Arc<Course>) -> Result<()> {
    while course.is_open() {
        let sent_ns = course.now_ns();
        course.expect(1);
        requests.exchange().await?;
        course.hear(sent_ns, course.now_ns());
    }
    // The course drops its clients; one that returns would look like a failure.
    std::future::pending().await
}
