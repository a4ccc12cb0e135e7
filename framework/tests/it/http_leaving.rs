//! Tests of HTTP consumers over real sockets: disconnects, shutdowns, bodies that are rejected
//! unread.

use crate::{
    support::{PATIENCE, Recorder, Server, ended, eventually, read_until},
    test_consumer::TestState,
};
use bytes::Bytes;
use h2::{
    RecvStream,
    client::{ResponseFuture, SendRequest},
};
use seaway::{from_service, routing::ProtocolTypeRouter};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

/// The time within which a consumer must notice that its client has left.
const AT_ONCE: Duration = Duration::from_millis(100);

async fn serve(state: &TestState) -> Server {
    Server::start(ProtocolTypeRouter::new().http(state.pages())).await
}

/// Connects a client, and sends a request over HTTP/1.1.
async fn ask(address: SocketAddr, action: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let action = action.replace(' ', "+");
    let request = format!("GET /?action={action} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Measures up to three disconnects, as the machine may be busy: one must be noticed within the
/// limit.
async fn at_once(action: &str, mut leave: impl AsyncFnMut() -> Duration) {
    let mut took = Vec::new();
    while took.len() < 3 && took.iter().all(|took| *took >= AT_ONCE) {
        took.push(leave().await);
    }
    println!("{action}: {took:?}");
    assert!(
        took.iter().any(|took| *took < AT_ONCE),
        "{action}: {took:?}"
    );
}

/// Returns how long it took until the consumer was disconnected, once, and had left its group.
async fn is_gone(state: &TestState, left: Instant, action: &str) -> Duration {
    let is_goodbye = |entry: &String| entry.starts_with("disconnect");
    eventually(|| {
        state
            .recorder
            .entries()
            .iter()
            .any(is_goodbye)
            .then_some(())
    })
    .await;
    let took = left.elapsed();
    assert_eq!(state.members(), 0, "{action}");
    let entries = state.recorder.entries();
    let disconnects: Vec<_> = entries.iter().filter(|entry| is_goodbye(entry)).collect();
    assert_eq!(disconnects, ["disconnect ClientLeft"], "{action}");
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_after_its_body_is_noticed_at_once() {
    at_once("after its body", async || {
        let state = TestState::new();
        let server = serve(&state).await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let request = b"POST /?action=read+body+and+hang HTTP/1.1\r\nHost: a\r\n\
            Content-Length: 5\r\n\r\nahoy!";
        client.write_all(request).await.unwrap();
        assert_eq!(state.recorder.wait_for(2).await, ["connect", "read 5"]);

        let left = Instant::now();
        drop(client);

        is_gone(&state, left, "after its body").await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_over_http_1_is_noticed_at_once() {
    for action in [
        "next event",
        "hang",
        "events",
        "silent stream",
        "endless stream",
    ] {
        at_once(action, async || leave_over_http_1(action).await).await;
    }
}

async fn leave_over_http_1(action: &str) -> Duration {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut client = ask(server.address, action).await;
    if is_streamed(action) {
        read_until(&mut client, "\r\n\r\n").await;
    }
    state.recorder.wait_for(1).await;

    let left = Instant::now();
    drop(client);

    is_gone(&state, left, action).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_over_http_2_is_noticed_at_once() {
    for action in [
        "next event",
        "hang",
        "events",
        "silent stream",
        "endless stream",
    ] {
        at_once(action, async || leave_over_http_2(action, true).await).await;
        at_once(action, async || leave_over_http_2(action, false).await).await;
    }
}

async fn leave_over_http_2(action: &str, hangs_up: bool) -> Duration {
    let state = TestState::new();
    let server = serve(&state).await;
    let (mut client, connection) = connect_over_http_2(server.address).await;
    let (response, mut request) = client.send_request(wishing(action), true).unwrap();
    let mut received = None;
    if is_streamed(action) {
        let (status, body) = head(response).await;
        assert_eq!(status, 200);
        received = Some(body);
    }
    state.recorder.wait_for(1).await;

    let left = Instant::now();
    if hangs_up {
        connection.abort();
    } else {
        request.send_reset(h2::Reason::CANCEL);
    }

    let took = is_gone(&state, left, action).await;
    drop((client, request, received));
    connection.abort();
    took
}

/// Connects an HTTP/2 client with prior knowledge, and spawns its connection task.
async fn connect_over_http_2(
    address: SocketAddr,
) -> (SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
    let stream = TcpStream::connect(address).await.unwrap();
    // Otherwise the kernel delays the reset by 40 ms (Nagle's algorithm).
    stream.set_nodelay(true).unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    (client.ready().await.unwrap(), connection)
}

fn wishing(action: &str) -> http::Request<()> {
    let uri = format!("http://a/?action={}", action.replace(' ', "+"));
    http::Request::get(uri).body(()).unwrap()
}

/// Returns the status of a response over HTTP/2, once its head has arrived.
async fn head(response: ResponseFuture) -> (u16, RecvStream) {
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    (response.status().as_u16(), response.into_body())
}

/// Reads the rest of a body, which must end without an error.
async fn rest(mut body: RecvStream) -> String {
    let mut received = Vec::new();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.unwrap() {
        received.extend_from_slice(&piece.unwrap());
    }
    String::from_utf8(received).unwrap()
}

fn is_streamed(action: &str) -> bool {
    matches!(action, "events" | "silent stream" | "endless stream")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_waiting_request_gets_a_response_when_the_server_stops() {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut poll = ask(server.address, "next event").await;
    let mut events = ask(server.address, "events").await;
    read_until(&mut events, "\r\n\r\n").await;
    state.recorder.wait_for(2).await;

    let began = Instant::now();
    let stopped = server.stop();

    let response = read_until(&mut poll, "closing time").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    read_until(&mut events, "0\r\n\r\n").await;
    ended(stopped).await;
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "nobody was waited for"
    );
    let entries = state.recorder.entries();
    assert_eq!(
        entries[2..],
        ["disconnect ServerStopping", "disconnect ServerStopping"]
    );
}

#[tokio::test]
async fn an_upload_and_a_download_in_progress_are_finished_when_the_server_stops() {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut upload = TcpStream::connect(server.address).await.unwrap();
    let request = b"POST /?action=read+chunks HTTP/1.1\r\nHost: a\r\n\
        Transfer-Encoding: chunked\r\n\r\n5\r\nahoy!\r\n";
    upload.write_all(request).await.unwrap();
    let mut download = ask(server.address, "two chunks").await;
    read_until(&mut download, "the first half").await;
    let mut poll = ask(server.address, "next event").await;
    state.recorder.wait_for(3).await;

    let stopped = server.stop();
    read_until(&mut poll, "closing time").await;
    pass(Duration::from_secs(20)).await;
    state.go_on.notify_one();
    upload.write_all(b"5\r\nthere\r\n0\r\n\r\n").await.unwrap();

    read_until(&mut download, "the second half\r\n0\r\n\r\n").await;
    let response = read_until(&mut upload, "\r\n\r\n10").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    ended(stopped).await;
    let entries = state.recorder.entries();
    assert_eq!(entries[3..], ["disconnect ServerStopping"; 3]);
}

#[tokio::test]
async fn an_event_stream_that_does_not_wait_for_events_is_ended_when_the_server_stops() {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut events = ask(server.address, "silent stream").await;
    read_until(&mut events, "\r\n\r\n").await;
    let mut poll = ask(server.address, "next event").await;
    state.recorder.wait_for(2).await;

    let stopped = server.stop();
    read_until(&mut poll, "closing time").await;
    pass(Duration::from_secs(6)).await;

    read_until(&mut events, "0\r\n\r\n").await;
    ended(stopped).await;
    let entries = state.recorder.entries();
    assert_eq!(
        entries[2..],
        ["disconnect ServerStopping", "disconnect ServerStopping"]
    );
}

#[tokio::test]
async fn a_handler_that_has_ended_its_event_stream_is_finished_when_the_server_stops() {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut client = ask(server.address, "end then work").await;
    read_until(&mut client, "0\r\n\r\n").await;
    let mut poll = ask(server.address, "next event").await;
    state.recorder.wait_for(2).await;

    let stopped = server.stop();
    read_until(&mut poll, "closing time").await;
    pass(Duration::from_secs(6)).await;
    state.go_on.notify_one();

    ended(stopped).await;
    let entries = state.recorder.entries();
    let news = ["disconnect ServerStopping"];
    let books = ["the books are kept", "disconnect ServerStopping"];
    assert_eq!(entries[2..], [&news[..], &books].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_waiting_request_over_http_2_gets_a_response_when_the_server_stops() {
    let state = TestState::new();
    let server = serve(&state).await;
    let (mut client, connection) = connect_over_http_2(server.address).await;
    let (poll, _) = client.send_request(wishing("next event"), true).unwrap();
    let (events, _) = client.send_request(wishing("events"), true).unwrap();
    let (status, events) = head(events).await;
    assert_eq!(status, 200);
    state.recorder.wait_for(2).await;

    let began = Instant::now();
    let stopped = server.stop();

    let (status, response) = head(poll).await;
    assert_eq!(
        (status, rest(response).await.as_str()),
        (200, "closing time")
    );
    assert_eq!(rest(events).await, "");
    ended(stopped).await;
    // The client keeps the connection open, and the server does not wait for it.
    timeout(PATIENCE, connection)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "nobody was waited for"
    );
    let entries = state.recorder.entries();
    assert_eq!(
        entries[2..],
        ["disconnect ServerStopping", "disconnect ServerStopping"]
    );
    drop(client);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_over_http_2_gets_a_response_without_a_body() {
    let state = TestState::new();
    // The inner router removes the body already.
    let inner = ProtocolTypeRouter::new().http(state.pages());
    let app = ProtocolTypeRouter::new().http(from_service(inner));
    let server = Server::start(app).await;
    let (mut client, connection) = connect_over_http_2(server.address).await;

    for (action, status, length) in [
        ("respond", 200, Some("12")),
        ("no content", 204, None),
        ("events", 200, None),
    ] {
        let mut request = wishing(action);
        *request.method_mut() = http::Method::HEAD;
        let (response, _) = client.send_request(request, true).unwrap();

        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        let actual = response.headers().get("content-length");
        assert_eq!(actual.map(|length| length.to_str().unwrap()), length);
        assert_eq!(response.status(), status);
        assert_eq!(rest(response.into_body()).await, "");
    }
    let entries = state.recorder.wait_for(6).await;
    let nobody_reads = "disconnect ClientLeft";
    assert_eq!(entries[1], "disconnect Responded");
    assert_eq!(entries[5], nobody_reads);
    connection.abort();
}

#[tokio::test]
async fn an_event_stream_over_http_2_that_does_not_wait_for_events_is_ended_when_the_server_stops()
{
    let state = TestState::new();
    let server = serve(&state).await;
    let (mut client, _connection) = connect_over_http_2(server.address).await;
    let (events, _) = client.send_request(wishing("silent stream"), true).unwrap();
    let (_, events) = head(events).await;
    let (poll, _) = client.send_request(wishing("next event"), true).unwrap();
    state.recorder.wait_for(2).await;

    let stopped = server.stop();
    let (_, response) = head(poll).await;
    assert_eq!(rest(response).await, "closing time");
    pass(Duration::from_secs(6)).await;

    assert_eq!(rest(events).await, "");
    ended(stopped).await;
    let entries = state.recorder.entries();
    assert_eq!(
        entries[2..],
        ["disconnect ServerStopping", "disconnect ServerStopping"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_http_2_that_outlast_the_drain_are_dropped() {
    struct Noted(Recorder);
    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.record("dropped");
        }
    }
    let recorder = Recorder::default();
    let hang = {
        let recorder = recorder.clone();
        async move || -> &'static str {
            let _noted = Noted(recorder.clone());
            recorder.record("asked");
            std::future::pending().await
        }
    };
    let pages = axum::Router::new().route("/", axum::routing::get(hang));
    let drain = Duration::from_millis(50);
    let server = Server::configured(pages, |serve| serve.drain_timeout(drain)).await;
    let (mut client, connection) = connect_over_http_2(server.address).await;
    let (response, _) = client.send_request(wishing(""), true).unwrap();
    recorder.wait_for(1).await;

    let stopped = server.stop();

    ended(stopped).await;
    let response = timeout(PATIENCE, response).await;
    assert!(response.expect("an end").is_err(), "aborted");
    assert_eq!(recorder.wait_for(2).await, ["asked", "dropped"]);
    connection.abort();
}

#[tokio::test]
async fn a_request_that_hangs_when_the_server_stops_gets_no_response() {
    let state = TestState::new();
    let app = ProtocolTypeRouter::new().http(state.pages());
    let short = Duration::from_millis(50);
    let server = Server::configured(app, |server| server.drain_timeout(short)).await;
    let mut client = ask(server.address, "hang").await;
    state.recorder.wait_for(1).await;

    timeout(PATIENCE, server.stop())
        .await
        .unwrap()
        .unwrap()
        .unwrap();

    let mut response = Vec::new();
    let read = timeout(PATIENCE, client.read_to_end(&mut response)).await;
    _ = read.expect("the connection breaks");
    assert_eq!(String::from_utf8_lossy(&response), "");
    assert_eq!(state.recorder.wait_for(2).await[1], "disconnect ClientLeft");
}

/// Advances the time in a test with real time otherwise: sockets do not work with a paused clock.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_body_with_a_content_length_over_the_limit_is_rejected_unread() {
    let state = TestState::new();
    let server = serve(&state).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();

    // The body is never sent, and the client gets no 100 Continue.
    let request = b"POST /?action=read+body HTTP/1.1\r\nHost: a\r\n\
        Content-Length: 9000000000\r\nExpect: 100-continue\r\n\r\n";
    client.write_all(request).await.unwrap();

    let response = read_until(&mut client, "larger than 1000 bytes").await;
    assert!(response.starts_with("HTTP/1.1 413"), "{response}");
    assert_eq!(state.recorder.entries(), [""; 0], "nobody came in");
}
