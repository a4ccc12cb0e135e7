//! Tests of the fallback to server-sent events with real processes: a POST in another process, and
//! the end of a process.

use std::time::{Duration, Instant};

use seaway_tests::support::{Client, RawClient, Redis, Server, raw};

/// A stream of server-sent events, without a parser of chunks: their sizes are lines that no event
/// has.
struct Stream {
    client: RawClient,
    received: Vec<u8>,
}

impl Stream {
    async fn open(server: &Server, path: &str) -> Self {
        let mut client = RawClient::connect(server.port()).await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
        assert!(client.write(head.as_bytes()).await);
        let received = Vec::new();
        Self { client, received }
    }

    /// Waits for a line that begins so, and returns what follows on it.
    async fn line(&mut self, begin: &str) -> String {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            let complete = text.rfind('\n').map_or("", |last| &text[..last]);
            if let Some(rest) = complete.lines().find_map(|line| line.strip_prefix(begin)) {
                return rest.trim_end().to_owned();
            }
            assert!(Instant::now() < end, "no line {begin:?} in {text}");
            assert!(
                self.client.read(&mut self.received).await,
                "it ended: {text}"
            );
        }
    }

    /// Returns the id of the connection.
    async fn id(&mut self) -> String {
        let id = self.line("data: {\"connection\":\"").await;
        id.trim_end_matches("\"}").to_owned()
    }
}

async fn post(server: &Server, path: &str, id: &str, text: &str) -> String {
    let header = format!("Seaway-Connection: {id}");
    let answer = raw::ask(server.port(), &format!("POST {path}"), &[&header], text).await;
    answer.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_post_finds_its_stream_in_another_process_until_that_is_killed() {
    let redis = Redis::new().await;
    let (mut first, second) = (
        Server::arena_on(&redis).await,
        Server::arena_on(&redis).await,
    );
    let mut ana = Stream::open(&first, "/ws/room/lobby").await;
    let id = ana.id().await;
    let mut bo = Client::connect(second.port(), "/ws/room/lobby").await;

    let answer = post(&second, "/ws/room/lobby", &id, "from the other process").await;

    assert!(answer.contains(" 204 "), "{answer}");
    assert_eq!(ana.line("data: from").await, " the other process");
    assert_eq!(bo.text().await, "from the other process");

    first.kill();
    let answer = post(&second, "/ws/room/lobby", &id, "too late").await;
    assert!(answer.contains(" 404 "), "{answer}");
}

#[tokio::test]
async fn a_process_that_stops_tells_its_streams_when_to_come_back() {
    let mut server = Server::arena_with(&["--retry-after", "4"]).await;
    let mut ana = Stream::open(&server, "/ws/echo").await;
    ana.id().await;

    server.terminate();

    let close = ana
        .line("data: {\"code\":1012,\"reason\":\"retry_after=")
        .await;
    let seconds: f64 = close.trim_end_matches("\"}").parse().unwrap();
    assert!((2.0..=4.0).contains(&seconds), "{close}");
}

#[tokio::test]
async fn a_client_that_ends_its_side_of_a_stream_has_left_before_the_next_comment() {
    const BEFORE_A_COMMENT: Duration = Duration::from_secs(10);
    let server = Server::arena_with(&["--grace", "0"]).await;
    let mut ana = Stream::open(&server, "/ws/presence/lot?key=ana").await;
    ana.id().await;
    let mut bo = Client::connect(server.port(), "/ws/presence/lot?key=bo").await;

    while !bo.text().await.contains(r#""key":"ana""#) {}

    ana.client.half_close().await;

    let has_left = async { while !bo.text().await.contains(r#""left":[{"key":"ana"}]"#) {} };
    let left = tokio::time::timeout(BEFORE_A_COMMENT, has_left).await;
    left.expect("bo is told in time");
}
