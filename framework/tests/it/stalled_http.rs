//! Tests of the timeouts for stalled clients, and of clients that merely wait.

use crate::{
    support::{PATIENCE, Recorder, Server, connect, echo, ended, next_text, read_until, send_text},
    test_consumer::TestState,
};
use axum::{Router, body::Body, response::Response, routing};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use seaway::{
    Channels, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection,
    from_service, routing::ProtocolTypeRouter,
};
use std::{convert::Infallible, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    runtime::Handle,
    task::JoinHandle,
    time::timeout,
};

/// A short timeout.
const SOON: Duration = Duration::from_millis(100);

/// More than the kernel's buffers hold.
const LARGE: usize = 32 * 1024 * 1024;

/// The preface of HTTP/2, and an empty SETTINGS frame (RFC 9113, 3.4).
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A guard that records its drop.
struct Noted(Recorder, &'static str);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.record(self.1);
    }
}

/// Returns a response without an end, which records its drop.
fn endless(recorder: &Recorder, name: &'static str) -> Response {
    let noted = Noted(recorder.clone(), name);
    let pieces = futures_util::stream::repeat_with(move || {
        _ = &noted;
        Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 10_000]))
    });
    Response::new(Body::from_stream(pieces))
}

/// Returns a response whose body never sends anything.
fn silent(recorder: &Recorder) -> Response {
    let noted = Noted(recorder.clone(), "silent");
    let pieces = futures_util::stream::poll_fn(move |_| {
        _ = &noted;
        std::task::Poll::<Option<Result<Bytes, Infallible>>>::Pending
    });
    Response::new(Body::from_stream(pieces))
}

/// A response without an end in small chunks.
struct Numbers;

impl HttpConsumer for Numbers {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> seaway::Result<HttpResponse> {
        let body = ctx.stream(seaway::http::Response::new(())).await?;
        for number in 0_u64.. {
            body.send(format!("{number}\n")).await?;
        }
        Ok(body.end())
    }
}

fn pages(recorder: &Recorder) -> Router {
    let (stream, silence) = (recorder.clone(), recorder.clone());
    let numbers = Numbers::application(&Channels::in_memory());
    Router::new()
        .route("/small", routing::get(async || "small"))
        .route("/large", routing::get(async || vec![b'x'; LARGE]))
        .route(
            "/stream",
            routing::get(async move || endless(&stream, "stream")),
        )
        .route("/silence", routing::get(async move || silent(&silence)))
        .route_service("/numbers", ProtocolTypeRouter::new().http(numbers))
        .route("/axum", routing::post(async |body: Bytes| body))
        .route(
            "/seaway",
            routing::post(async |request: Request<Body>| {
                let body = seaway::protocol::Body::new(request.into_body());
                body.to_bytes(100).await
            }),
        )
}

/// Connects a client that does not read, with a small receive buffer.
async fn ask_and_never_read(address: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

type Connection = JoinHandle<Result<(), h2::Error>>;

async fn connect_over_http_2(address: SocketAddr, window: u32) -> (SendRequest<Bytes>, Connection) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(window);
    let (client, connection) = builder.handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    (client.ready().await.unwrap(), connection)
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

/// Advances the time in a test with real time otherwise.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test(start_paused = true)]
async fn a_partial_preface_does_not_make_the_server_poll() {
    let server = Server::start(pages(&Recorder::default())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"PRI").await.unwrap();
    let turns = || Handle::current().metrics().worker_park_count(0);

    let before = turns();
    // Shorter than `head_timeout`.
    tokio::time::sleep(Duration::from_secs(9)).await;

    assert!(
        turns() - before < 20,
        "the server woke {} times",
        turns() - before
    );
}

/// Reads an HTTP/2 frame; returns its type.
async fn read_frame(stream: &mut TcpStream) -> u8 {
    let mut head = [0; 9];
    let reading = async {
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
    };
    timeout(PATIENCE, reading).await.expect("a frame");
    head[3]
}

#[tokio::test]
async fn an_http_2_client_that_ignores_goaway_delays_the_stop_by_5_s() {
    const GOAWAY: u8 = 7;
    let server = Server::start(pages(&Recorder::default())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(HTTP_2_PREFACE).await.unwrap();
    read_frame(&mut stream).await;

    let stopped = server.stop();
    while read_frame(&mut stream).await != GOAWAY {}
    pass(Duration::from_secs(5)).await;

    // Less than `drain_timeout`.
    let read = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    read.expect("the server closes the connection").unwrap();
    ended(stopped).await;
}

#[tokio::test]
async fn a_split_preface_is_http_2_and_a_similar_start_is_http_1() {
    let server = Server::start(pages(&Recorder::default())).await;
    let hello = HTTP_2_PREFACE;
    for cut in 1..hello.len() {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        for piece in [&hello[..cut], &hello[cut..]] {
            stream.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut frame = [0; 9];
        let read = timeout(PATIENCE, stream.read_exact(&mut frame)).await;
        read.expect("reply").unwrap();
        assert_eq!(
            frame[3], 0x04,
            "cut at {cut}: the server's SETTINGS come first"
        );
    }

    for line in [
        "PRINT /small HTTP/1.1",
        "P /small HTTP/1.1",
        "PRI * HTTP/1.1",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("{line}\r\nHost: a\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let response = read_until(&mut stream, "\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 40"), "{line}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_its_response_is_disconnected() {
    for path in ["/large", "/stream", "/numbers"] {
        let recorder = Recorder::default();
        let server = Server::configured(pages(&recorder), |server| {
            server.write_timeout(SOON).max_connections(1)
        })
        .await;

        let _deaf = ask_and_never_read(server.address, path).await;
        let mut next = ask(server.address, "/small").await;

        read_until(&mut next, "\r\n\r\nsmall").await;
        if path == "/stream" {
            assert_eq!(recorder.entries(), ["stream"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_responses_and_websockets_do_not_count_as_stalled() {
    let recorder = Recorder::default();
    let state = TestState::new();
    let app =
        pages(&recorder).route_service("/state", ProtocolTypeRouter::new().http(state.pages()));
    let app = ProtocolTypeRouter::new()
        .http(from_service(app))
        .websocket(echo());
    let server = Server::configured(app, |server| {
        server
            .write_timeout(SOON)
            .body_timeout(SOON)
            .idle_timeout(5 * SOON)
            .half_close_timeout(SOON)
    })
    .await;
    let mut poll = ask(server.address, "/state?action=next+event").await;
    let mut events = ask(server.address, "/state?action=events").await;
    read_until(&mut events, "\r\n\r\n").await;
    let mut silence = ask(server.address, "/silence").await;
    read_until(&mut silence, "\r\n\r\n").await;
    let mut socket = connect(server.address, "/").await;
    let (mut client, connection) = connect_over_http_2(server.address, 65_535).await;
    let (poll_2, _) = client
        .send_request(get("/state?action=next+event"), true)
        .unwrap();
    let (events_2, _) = client
        .send_request(get("/state?action=events"), true)
        .unwrap();
    let mut events_2 = timeout(PATIENCE, events_2)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    state.recorder.wait_for(4).await;

    // Each stalled client takes at least `write_timeout`: together longer than every timeout.
    for stalled in 1..=6 {
        let _deaf = ask_and_never_read(server.address, "/stream").await;
        recorder.wait_for(stalled).await;
    }

    state.publish(7, "ahoy").await;
    read_until(&mut poll, "ahoy").await;
    read_until(&mut events, "ahoy").await;
    send_text(&mut socket, "still here").await;
    assert_eq!(next_text(&mut socket).await, "still here");
    let poll_2 = timeout(PATIENCE, poll_2).await.unwrap().unwrap();
    assert_eq!(poll_2.status(), 200);
    let event = timeout(PATIENCE, events_2.data()).await.unwrap().unwrap();
    assert!(event.unwrap().starts_with(b"data: ahoy"));
    assert_eq!(
        recorder.entries(),
        ["stream"; 6],
        "the quiet response is still open"
    );
    connection.abort();
}

#[tokio::test]
async fn a_body_that_stalls_gets_a_response_and_the_connection_is_closed() {
    let state = TestState::new();
    let app = pages(&Recorder::default())
        .route_service("/state", ProtocolTypeRouter::new().http(state.pages()));
    let server = Server::configured(app, |server| server.body_timeout(SOON)).await;

    for (path, expected) in [
        ("/axum", "400"),
        ("/seaway", "408"),
        ("/state?action=read+body", "408"),
        ("/state?action=read+chunks", "408"),
    ] {
        for body in [
            "Content-Length: 5\r\n\r\n",
            "Content-Length: 5\r\n\r\nahoy",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nahoy",
        ] {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\n{body}");
            stream.write_all(request.as_bytes()).await.unwrap();

            let mut response = String::new();
            let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;

            read.expect("the server closes the connection").unwrap();
            let start = format!("HTTP/1.1 {expected}");
            assert!(response.starts_with(&start), "{request:?}: {response}");
        }
    }
}

#[tokio::test]
async fn a_body_over_http_2_that_stalls_gets_a_response_and_the_connection_remains() {
    let server = Server::configured(pages(&Recorder::default()), |server| {
        server.body_timeout(SOON)
    })
    .await;
    let (mut client, connection) = connect_over_http_2(server.address, 65_535).await;
    let post = Request::post("http://a/seaway").body(()).unwrap();
    let (response, _body) = client.send_request(post, false).unwrap();

    let response = timeout(PATIENCE, response).await.unwrap().unwrap();

    assert_eq!(response.status(), 408);
    let (response, _) = client.send_request(get("/small"), true).unwrap();
    assert_eq!(
        timeout(PATIENCE, response).await.unwrap().unwrap().status(),
        200
    );
    connection.abort();
}

#[tokio::test]
async fn an_http_2_stream_whose_window_remains_full_is_reset_and_the_connection_remains() {
    for path in ["/large", "/stream"] {
        let recorder = Recorder::default();
        let server =
            Server::configured(pages(&recorder), |server| server.write_timeout(SOON)).await;
        let (mut client, connection) = connect_over_http_2(server.address, 100).await;
        let (response, _) = client.send_request(get(path), true).unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        let mut body = response.into_body();

        // The client reads what arrives, and never opens the window again.
        let end = async {
            while let Some(read) = body.data().await {
                if let Err(error) = read {
                    return error;
                }
            }
            panic!("{path}: it looks whole");
        };
        let error = timeout(PATIENCE, end).await.expect(path);

        assert!(error.is_reset(), "{path}: {error}");
        let (response, _) = client.send_request(get("/small"), true).unwrap();
        assert_eq!(
            timeout(PATIENCE, response).await.unwrap().unwrap().status(),
            200
        );
        if path == "/stream" {
            recorder.wait_for(1).await;
        }
        connection.abort();
    }
}

#[tokio::test]
async fn a_large_response_over_http_2_arrives_complete() {
    let server = Server::start(pages(&Recorder::default())).await;
    let (mut client, connection) = connect_over_http_2(server.address, 100_000).await;
    let (response, _) = client.send_request(get("/large"), true).unwrap();
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.headers()["content-length"], LARGE.to_string());
    let mut body = response.into_body();

    let mut read = 0;
    while let Some(piece) = timeout(PATIENCE, body.data()).await.unwrap() {
        let length = piece.unwrap().len();
        body.flow_control().release_capacity(length).unwrap();
        read += length;
    }

    assert_eq!(read, LARGE);
    connection.abort();
}

#[tokio::test]
async fn an_http_2_connection_without_requests_gets_goaway() {
    let server = Server::configured(pages(&Recorder::default()), |server| {
        server.idle_timeout(5 * SOON)
    })
    .await;
    let (mut client, connection) = connect_over_http_2(server.address, 65_535).await;
    let (response, _) = client.send_request(get("/small"), true).unwrap();
    assert_eq!(
        timeout(PATIENCE, response).await.unwrap().unwrap().status(),
        200
    );

    let ended = timeout(PATIENCE, connection).await;

    ended.expect("the connection ends").unwrap().unwrap();
}

#[tokio::test]
async fn an_http_2_client_that_ignores_goaway_is_disconnected() {
    let server = Server::configured(pages(&Recorder::default()), |server| {
        server.idle_timeout(SOON)
    })
    .await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.unwrap();

    // The client acknowledges SETTINGS and PING, and ignores GOAWAY.
    let mut frames = Vec::new();
    let listening = async {
        let mut is_going_away = false;
        while let Ok(kind) = response_frame(&mut stream).await {
            frames.push(kind);
            if kind == 0x07 && !std::mem::replace(&mut is_going_away, true) {
                pass(Duration::from_secs(6)).await;
            }
        }
    };
    let ended = timeout(2 * PATIENCE, listening).await;

    ended.expect("the server closes the connection");
    assert!(frames.contains(&0x07), "{frames:?}");
}

/// Reads a frame, acknowledges it if needed, and returns its type.
async fn response_frame(stream: &mut TcpStream) -> std::io::Result<u8> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    stream.read_exact(&mut payload).await?;
    let is_acknowledgement = head[4] & 1 == 1;
    if matches!(head[3], 0x04 | 0x06) && !is_acknowledgement {
        head[4] |= 1;
        if head[3] == 0x04 {
            payload.clear();
        }
        head[2] = payload.len() as u8;
        stream.write_all(&[&head[..], &payload].concat()).await?;
    }
    Ok(head[3])
}
