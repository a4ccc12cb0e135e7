//! Tests of clients that close their sending side (FIN) after a request, and wait for the response.

use crate::{
    support::{PATIENCE, Recorder, Server, eventually},
    test_consumer::{ChatEvent, TestState},
};
use axum::{Router, body::Body, response::Response, routing};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use hyper_util::rt::TokioIo;
use seaway::{
    Application, ApplicationExt, Channels, Context, Disconnect, Handshake, HttpConsumer,
    HttpContext, HttpHandshake, HttpResponse, NoEvent, OpensOverHttp, Rejection, Result, Scope,
    WebSocketConsumer,
    consumer::SseFallback,
    from_service,
    middleware::Provide,
    protocol::{Upgrade, WebSocket},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};

/// More than the kernel's buffers hold.
const LARGE: usize = 32 * 1024 * 1024;

/// What a client may send after a request, and the server does not read while it serves that.
const UNREAD: &str = "X";

/// The state that a test shares with its pages.
#[derive(Clone, Default)]
struct Pages {
    recorder: Recorder,
    go_on: Arc<Notify>,
}

/// A guard that records whether the page was dropped before it responded.
struct Dropped(Option<Recorder>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(recorder) = self.0.take() {
            recorder.record("dropped");
        }
    }
}

impl Pages {
    async fn wait(&self, asked: &str) {
        let mut dropped = Dropped(Some(self.recorder.clone()));
        self.recorder.record(asked);
        self.go_on.notified().await;
        dropped.0 = None;
    }

    fn router(&self) -> Router {
        let (get, post, streamed) = (self.clone(), self.clone(), self.clone());
        let unread = self.clone();
        Router::new()
            .route(
                "/page",
                routing::get(async move || {
                    get.wait("asked").await;
                    "here you are"
                }),
            )
            .route(
                "/post",
                routing::post(async move |body: String| {
                    post.wait(&body).await;
                    format!("{body} is done")
                }),
            )
            .route(
                "/body",
                routing::post(async move |body: Body| {
                    unread.wait("asked").await;
                    drop(body);
                }),
            )
            .route("/large", routing::get(async || vec![b'x'; LARGE]))
            .route(
                "/stream",
                routing::get(async move || {
                    let pieces = futures_util::stream::once(async move {
                        streamed.wait("asked").await;
                        Ok::<_, Infallible>(Bytes::from_static(b"the end"))
                    });
                    Response::new(Body::from_stream(pieces))
                }),
            )
            .route("/echo", routing::get(upgrade))
    }

    async fn serve(&self) -> Server {
        Server::start(ProtocolTypeRouter::new().http(from_service(self.router()))).await
    }
}

/// Sends a request and a FIN.
async fn send(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    stream
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Reads until the server closes the connection, which must not take a timeout.
async fn read(stream: &mut TcpStream) -> String {
    let mut response = Vec::new();
    let began = Instant::now();
    let reading = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    reading.expect("the server closes the connection").unwrap();
    assert!(
        began.elapsed() < PATIENCE / 2,
        "it waits for another request"
    );
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn a_page_runs_to_its_end_and_the_response_arrives() {
    let pages = Pages::default();
    let server = pages.serve().await;
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwork";
    let chunked = "POST /post HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        4\r\nwork\r\n0\r\n\r\n";
    let old = "GET /page HTTP/1.0\r\n\r\n";

    for (number, (request, expected)) in [
        (get("/page").as_str(), "here you are"),
        (post, "work is done"),
        (chunked, "work is done"),
        (get("/stream").as_str(), "7\r\nthe end\r\n0\r\n\r\n"),
        (old, "here you are"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = send(server.address, request).await;
        pages.recorder.wait_for(number + 1).await;
        pages.go_on.notify_one();

        let response = read(&mut client).await;

        assert!(response.starts_with("HTTP/1."), "{request:?}: {response}");
        assert_eq!(&response[9..12], "200", "{request:?}: {response}");
        assert!(response.ends_with(expected), "{request:?}: {response}");
    }
    assert!(!pages.recorder.entries().contains(&"dropped".to_owned()));
}

#[tokio::test]
async fn a_large_response_arrives_complete() {
    let server = Pages::default().serve().await;
    let mut client = send(server.address, &get("/large")).await;

    let response = read(&mut client).await;

    let (_, body) = response.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.len(), LARGE);
}

#[tokio::test]
async fn pipelined_requests_all_get_responses() {
    let pages = Pages::default();
    let server = pages.serve().await;
    let post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwork";
    let requests = [&get("/page"), post, &get("/page")].concat();

    let mut client = send(server.address, &requests).await;
    for asked in 1..=3 {
        pages.recorder.wait_for(asked).await;
        pages.go_on.notify_one();
    }

    let response = read(&mut client).await;
    assert_eq!(response.matches("HTTP/1.1 200").count(), 3, "{response}");
    assert_eq!(pages.recorder.entries(), ["asked", "work", "asked"]);
}

#[tokio::test]
async fn a_reset_drops_the_page_before_and_after_a_half_close() {
    for is_half_closed in [false, true] {
        let pages = Pages::default();
        let server = pages.serve().await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.set_zero_linger().unwrap();
        client.write_all(get("/page").as_bytes()).await.unwrap();
        if is_half_closed {
            client.shutdown().await.unwrap();
        }
        pages.recorder.wait_for(1).await;

        drop(client);

        let entries = pages.recorder.wait_for(2).await;
        assert_eq!(entries, ["asked", "dropped"], "{is_half_closed}");
    }
}

#[tokio::test]
async fn a_reset_drops_the_page_also_behind_a_byte_that_is_not_read() {
    let pages = Pages::default();
    let server = pages.serve().await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.set_zero_linger().unwrap();
    let request = [&get("/page"), UNREAD].concat();
    client.write_all(request.as_bytes()).await.unwrap();
    pages.recorder.wait_for(1).await;

    drop(client);

    assert_eq!(pages.recorder.wait_for(2).await, ["asked", "dropped"]);
}

#[tokio::test]
async fn a_page_that_writes_nothing_is_dropped_at_the_limit() {
    let unread = [&get("/page"), UNREAD].concat();
    let post = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwork";
    for request in [&get("/page"), &get("/stream"), &unread, post] {
        let pages = Pages::default();
        let server = Server::configured(pages.router(), |server| {
            server.half_close_timeout(Duration::from_millis(100))
        })
        .await;

        let _client = send(server.address, request).await;

        let entries = pages.recorder.wait_for(2).await;
        assert_eq!(entries, ["asked", "dropped"], "{request:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_at_once() {
    let server = Pages::default().serve().await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(get("/none").as_bytes()).await.unwrap();
    crate::support::read_until(&mut client, "\r\n\r\n").await;

    client.shutdown().await.unwrap();

    assert_eq!(read(&mut client).await, "");
}

#[tokio::test]
async fn a_consumer_that_waits_is_disconnected() {
    for (action, expected) in [
        ("next event", "HTTP/1.1 499"),
        ("hang", "HTTP/1.1 499"),
        ("events", "0\r\n\r\n"),
        ("silent stream", "0\r\n\r\n"),
    ] {
        let state = TestState::new();
        let server = Server::start(ProtocolTypeRouter::new().http(state.pages())).await;
        let request = get(&format!("/?action={}", action.replace(' ', "+")));
        let mut client = send(server.address, &request).await;

        let response = read(&mut client).await;

        assert!(response.contains(expected), "{action}: {response}");
        let entries = state.recorder.wait_for(2).await;
        assert_eq!(entries, ["connect", "disconnect ClientLeft"], "{action}");
        assert_eq!(state.members(), 0);
    }
}

#[tokio::test]
async fn a_consumer_is_disconnected_by_a_client_that_left_behind_what_is_not_read() {
    let post = "POST /?action=hang HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nwork";
    let requests = ["next+event", "events", "silent+stream"]
        .map(|action| [&get(&format!("/?action={action}")), UNREAD].concat());
    let leave = async |request: &str| {
        let state = TestState::new();
        let app = ProtocolTypeRouter::new().http(state.pages());
        let server = Server::configured(app, |server| server.max_connections_per_address(1)).await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        state.recorder.wait_for(1).await;
        assert_eq!(state.members(), 1, "{request:?}");

        drop(client);

        let entries = state.recorder.wait_for(2).await;
        assert_eq!(entries, ["connect", "disconnect ClientLeft"], "{request:?}");
        assert_eq!(state.members(), 0, "{request:?}");
        let is_served = async || {
            let mut next = send(server.address, &get("/?action=respond")).await;
            read(&mut next).await.starts_with("HTTP/1.1 200")
        };
        let served = async { while !is_served().await {} };
        let served = timeout(PATIENCE, served).await;
        served.expect("its place is free again");
    };
    let leaving = requests.iter().map(String::as_str).chain([post]).map(leave);
    futures_util::future::join_all(leaving).await;
}

#[tokio::test]
async fn a_consumer_that_does_not_wait_responds() {
    let state = TestState::new();
    let server = Server::start(ProtocolTypeRouter::new().http(state.pages())).await;
    let post = "POST /?action=read+body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nahoy";

    for request in [&get("/?action=respond"), &get("/?action=one+event"), post] {
        let mut client = send(server.address, request).await;
        let response = read(&mut client).await;
        assert!(
            response.starts_with("HTTP/1.1 200"),
            "{request:?}: {response}"
        );
    }

    let entries = eventually(|| {
        let entries = state.recorder.entries();
        (entries.len() == 6).then_some(entries)
    });
    let ends = entries.await.into_iter().filter(|entry| entry != "connect");
    assert_eq!(ends.collect::<Vec<_>>(), ["disconnect Responded"; 3]);
}

/// A consumer that waits for an event, also after its client has closed its sending side.
struct Patient(Recorder);

impl HttpConsumer for Patient {
    type Event = ChatEvent;

    const DISCONNECT_ON_HALF_CLOSE: bool = false;

    async fn connect(handshake: &mut HttpHandshake<ChatEvent>) -> Result<Self, Rejection> {
        handshake.join("room").await?;
        let recorder = handshake.state::<Recorder>()?.clone();
        recorder.record("connect");
        Ok(Self(recorder))
    }

    async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
        match ctx.next_event().await?.as_deref() {
            Some(ChatEvent::Said { text, .. }) => ctx.response(text.clone()),
            None => ctx.response("closing time"),
        }
    }

    async fn disconnect(self, end: Disconnect) {
        self.0.record(format!("disconnect {end:?}"));
    }
}

#[tokio::test]
async fn a_consumer_that_does_not_disconnect_on_half_close_responds_later() {
    let state = TestState::new();
    let app = Patient::application(&state.channels).with(Provide(state.recorder.clone()));
    let server = Server::start(ProtocolTypeRouter::new().http(app)).await;
    let mut client = send(server.address, &get("/")).await;
    state.recorder.wait_for(1).await;

    state.publish(7, "ahoy").await;

    let response = read(&mut client).await;
    assert!(response.ends_with("ahoy"), "{response}");
    assert_eq!(
        state.recorder.wait_for(2).await,
        ["connect", "disconnect Responded"]
    );
}

#[tokio::test]
async fn a_consumer_that_does_not_disconnect_on_half_close_responds_behind_an_unread_byte() {
    let state = TestState::new();
    let patient = Patient::application(&state.channels).with(Provide(Recorder::default()));
    let app = PathRouter::new()
        .route("/patient", patient)
        .route("/", state.pages());
    let server = Server::start(ProtocolTypeRouter::new().http(app)).await;
    let mut client = send(server.address, &[&get("/patient"), UNREAD].concat()).await;
    eventually(|| (state.members() == 1).then_some(())).await;
    // Once this consumer is disconnected, the server has found the other half-close, too.
    let other = [&get("/?action=next+event"), UNREAD].concat();
    let _other = send(server.address, &other).await;
    state.recorder.wait_for(2).await;

    state.publish(7, "ahoy").await;

    let response = read(&mut client).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("ahoy"), "{response}");
}

/// A WebSocket consumer whose `connect` waits.
struct Slow(Recorder);

impl WebSocketConsumer for Slow {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let pages = handshake.state::<Pages>()?.clone();
        pages.wait("connect").await;
        Ok(Self(pages.recorder))
    }

    async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
        self.0.record(text);
        Ok(())
    }
}

/// Middleware that adds a header to the response.
struct Versioned<A>(A);

impl<A: Application<WebSocket>> Application<WebSocket> for Versioned<A> {
    async fn call(&self, scope: Scope<WebSocket>, mut upgrade: Upgrade) -> Result<()> {
        WebSocket::on_response(
            &mut upgrade,
            Box::new(|response| {
                let version = HeaderValue::from_static("7");
                response.headers.insert("x-version", version);
                Box::pin(async { Ok(()) })
            }),
        );
        self.0.call(scope, upgrade).await
    }
}

impl Pages {
    /// Serves `Slow` as a WebSocket, and with the fallback.
    async fn serve_sockets(&self) -> Server {
        let channels = Channels::in_memory();
        let slow = Slow::application(&channels).with(Provide(self.clone()));
        let slow = Versioned(slow);
        let sockets = PathRouter::<WebSocket>::new().route("/", slow);
        let streams = sockets.clone().with(SseFallback::new(&channels));
        Server::start(
            ProtocolTypeRouter::new()
                .http(PathRouter::new().route("/", streams))
                .websocket(sockets),
        )
        .await
    }
}

pub(crate) const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn connect_ends_if_the_client_closes_its_sending_side() {
    let fallback = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n";
    for request in [HANDSHAKE, fallback] {
        let pages = Pages::default();
        let server = pages.serve_sockets().await;

        let mut client = send(server.address, request).await;

        let response = read(&mut client).await;
        assert!(response.starts_with("HTTP/1.1 499"), "{response}");
        assert!(
            response.contains("x-version: 7"),
            "the hook ran: {response}"
        );
        assert_eq!(pages.recorder.entries(), ["connect", "dropped"]);
    }
}

#[tokio::test]
async fn a_message_sent_during_the_handshake_arrives_before_the_half_close() {
    // Masked with zero.
    let message = b"\x81\x84\0\0\0\0ahoy";
    for is_separate in [false, true] {
        let pages = Pages::default();
        let server = pages.serve_sockets().await;
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let first = match is_separate {
            false => [HANDSHAKE.as_bytes(), message].concat(),
            true => HANDSHAKE.as_bytes().to_vec(),
        };
        client.write_all(&first).await.unwrap();
        pages.recorder.wait_for(1).await;
        if is_separate {
            client.write_all(message).await.unwrap();
        }
        client.shutdown().await.unwrap();
        // The server has what was sent: it responds on another connection of the same thread.
        let mut other = send(server.address, &get("/none")).await;
        assert!(read(&mut other).await.starts_with("HTTP/1.1 404"));

        pages.go_on.notify_one();

        let entries = pages.recorder.wait_for(2).await;
        assert_eq!(entries, ["connect", "ahoy"], "{is_separate}");
    }
}

/// Upgrades to a protocol that echoes all bytes at the end of the stream.
async fn upgrade(mut request: Request<Body>) -> Response {
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = TokioIo::new(upgrading.await.unwrap());
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.unwrap();
        stream.write_all(&received).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().unwrap());
    headers.insert("upgrade", "echo".parse().unwrap());
    response
}

#[tokio::test]
async fn an_upgraded_protocol_sees_the_end_of_the_stream() {
    let server = Pages::default().serve().await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let request = b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
    client.write_all(request).await.unwrap();
    crate::support::read_until(&mut client, "\r\n\r\n").await;

    client.write_all(b"ahoy\r\n\r\n").await.unwrap();
    client.shutdown().await.unwrap();

    assert_eq!(read(&mut client).await, "ahoy\r\n\r\n");
}
