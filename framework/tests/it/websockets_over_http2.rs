//! Tests of WebSockets over HTTP/2 (RFC 8441).

use crate::{
    metrics::Counters,
    support::{CloseRecorder, PATIENCE, Recorder, Server, echo, ended, eventually},
};
use axum::{Router, routing::get};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{Method, Request, Response, Version};
use hyper_util::rt::TokioIo;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, NoEvent, Rejection, Serve,
    WebSocketConsumer, from_service,
    protocol::{Body, SlowClient, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    net::SocketAddr,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower::service_fn;

fn app(recorder: &Recorder) -> ProtocolTypeRouter {
    let channels = Channels::in_memory();
    let unread = SlowClient::Wait(Duration::from_millis(100));
    let sending = Sending::application(&channels);
    let sending = sending.with(WebSocketConfig::new().slow_client(unread));
    let sockets = PathRouter::new()
        .route("/echo", echo())
        .route("/ending", CloseRecorder::application(&channels))
        .route("/hanging", Hanging::application(&channels))
        .route("/sending", sending)
        .with(seaway::middleware::Provide(recorder.clone()));
    ProtocolTypeRouter::new()
        .http(from_service(
            Router::new().route("/", get(async || "a page")),
        ))
        .websocket(sockets)
}

/// A consumer whose hook does not return.
struct Hanging;

impl WebSocketConsumer for Hanging {
    type Input = seaway::Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context, _: seaway::Message) -> seaway::Result<()> {
        pending().await
    }
}

/// A consumer that sends messages of 1 KiB without an end, and records each, and the close.
struct Sending(Recorder);

impl WebSocketConsumer for Sending {
    type Input = seaway::Message;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    async fn receive(&mut self, ctx: &mut Context, _: seaway::Message) -> seaway::Result<()> {
        loop {
            ctx.send(vec![0_u8; 1024]).await?;
            self.0.record("sent");
        }
    }

    async fn disconnect(self, close: Close) {
        self.0.record(close.code.to_string());
    }
}

/// An HTTP/2 connection.
struct Connection(SendRequest<Bytes>);

impl Connection {
    async fn new(address: SocketAddr) -> Self {
        Self::with(h2::client::Builder::new(), address).await
    }

    async fn with(settings: h2::client::Builder, address: SocketAddr) -> Self {
        let tcp = TcpStream::connect(address).await.unwrap();
        let (client, connection) = settings.handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        // The server's settings allow an extended CONNECT once they have arrived.
        let client = eventually_ready(client).await;
        Self(client)
    }

    async fn request(
        &mut self,
        request: Request<()>,
        end: bool,
    ) -> (Response<RecvStream>, SendStream<Bytes>) {
        let (response, stream) = self.0.send_request(request, end).unwrap();
        let response = timeout(PATIENCE, response).await.expect("a response");
        (response.unwrap(), stream)
    }

    async fn open(&mut self, path: &str) -> Socket {
        let (response, send) = self.request(handshake(path, "websocket"), false).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        Socket {
            send,
            receive: response.into_body(),
            read: BytesMut::new(),
        }
    }
}

async fn eventually_ready(client: SendRequest<Bytes>) -> SendRequest<Bytes> {
    eventually(|| client.is_extended_connect_protocol_enabled().then_some(())).await;
    client.ready().await.unwrap()
}

fn handshake(path: &str, protocol: &'static str) -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri(format!("http://localhost{path}"))
        .header("sec-websocket-version", "13")
        .header("origin", "http://localhost")
        .extension(Protocol::from_static(protocol))
        .body(())
        .unwrap()
}

/// A WebSocket in a stream.
struct Socket {
    send: SendStream<Bytes>,
    receive: RecvStream,
    read: BytesMut,
}

impl Socket {
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mut frame = masked(opcode, payload);
        while !frame.is_empty() {
            self.send.reserve_capacity(frame.len());
            let room = timeout(PATIENCE, poll_fn(|cx| self.send.poll_capacity(cx))).await;
            let room = room.expect("room").unwrap().unwrap();
            self.send
                .send_data(frame.split_to(room).freeze(), false)
                .unwrap();
        }
    }

    /// Returns the opcode and the payload of the next frame.
    async fn next(&mut self) -> (u8, Bytes) {
        self.fill(2).await;
        let length = match self.read[1] {
            126 => {
                self.fill(4).await;
                let length = u16::from_be_bytes([self.read[2], self.read[3]]);
                (4, usize::from(length))
            }
            127 => {
                self.fill(10).await;
                let length = u64::from_be_bytes(self.read[2..10].try_into().unwrap());
                (10, length as usize)
            }
            length => (2, usize::from(length)),
        };
        self.fill(length.0 + length.1).await;
        let frame = self.read.split_to(length.0 + length.1).freeze();
        (frame[0] & 0x0f, frame.slice(length.0..))
    }

    async fn fill(&mut self, length: usize) {
        while self.read.len() < length {
            let data = timeout(PATIENCE, self.receive.data()).await.expect("data");
            let data = data.expect("no end yet").unwrap();
            self.receive
                .flow_control()
                .release_capacity(data.len())
                .unwrap();
            self.read.extend(data);
        }
    }
}

/// Returns a masked frame whose key is zero.
fn masked(opcode: u8, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::from(&[0x80 | opcode][..]);
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.extend([0x80 | length as u8]),
        Ok(length) => {
            frame.extend([0x80 | 126]);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.extend([0x80 | 127]);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn web_sockets_and_pages_share_an_http_2_connection() {
    let server = Server::start(app(&Recorder::default())).await;
    let mut connection = Connection::new(server.address).await;
    let mut first = connection.open("/echo").await;
    let mut second = connection.open("/echo").await;

    let page = Request::get("http://localhost/").body(()).unwrap();
    let (page, _) = connection.request(page, true).await;
    assert_eq!(page.status(), 200);

    let large = vec![b'x'; 300_000];
    first.send(2, &large).await;
    second.send(1, b"ahoy").await;
    assert_eq!(second.next().await, (1, Bytes::from("ahoy")));
    assert_eq!(first.next().await, (2, Bytes::from(large)));

    first.send(8, &1000_u16.to_be_bytes()).await;
    let (opcode, payload) = first.next().await;
    assert_eq!((opcode, &payload[..2]), (8, &[3, 232][..]));
    second.send(1, b"still here").await;
    assert_eq!(second.next().await, (1, Bytes::from("still here")));
}

#[tokio::test]
async fn connections_over_http_2_are_gauged() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let server = Server::start(app(&Recorder::default())).await;
    let open = || counters.gauge("seaway_http2_connections_open");

    let connection = Connection::new(server.address).await;
    assert_eq!(open(), 1.0);
    drop(connection);

    eventually(|| (open() == 0.0).then_some(())).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_disconnects_its_consumer_and_no_other() {
    let recorder = Recorder::default();
    let server = Server::start(app(&recorder)).await;
    let mut connection = Connection::new(server.address).await;
    let mut reset = connection.open("/ending").await;
    let mut other = connection.open("/echo").await;

    reset.send.send_reset(h2::Reason::CANCEL);

    assert_eq!(recorder.wait_for(1).await, ["1006"]);
    other.send(1, b"still here").await;
    assert_eq!(other.next().await, (1, Bytes::from("still here")));
}

#[tokio::test]
async fn a_web_socket_that_has_ended_is_reset_if_its_client_reads_nothing() {
    let recorder = Recorder::default();
    let limit = Duration::from_millis(100);
    let configure = |server: Serve<_>| server.write_timeout(limit);
    let server = Server::configured(app(&recorder), configure).await;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(0);
    let mut connection = Connection::with(settings, server.address).await;
    let mut socket = connection.open("/ending").await;

    socket.send(8, &1000_u16.to_be_bytes()).await;
    assert_eq!(recorder.wait_for(1).await, ["1000"]);

    let reset = timeout(PATIENCE, poll_fn(|cx| socket.send.poll_reset(cx))).await;
    assert_eq!(reset.unwrap().unwrap(), h2::Reason::CANCEL);
    // Nothing of it delays the end of the server.
    let stopped = server.stop();
    ended(stopped).await;
}

#[tokio::test]
async fn small_messages_that_wait_for_a_hook_do_not_end_the_connection() {
    let message = [b'x'; 20];
    let server = Server::start(app(&Recorder::default())).await;
    let mut settings = h2::client::Builder::new();
    // Each message is written before the next one, as a DATA frame of its own.
    settings.max_send_buffer_size(masked(1, &message).len());
    let mut connection = Connection::with(settings, server.address).await;
    let mut hanging = connection.open("/hanging").await;
    let mut other = connection.open("/echo").await;

    // Fewer bytes than the window of a stream, in more frames than the default windows allow.
    for _ in 0..4000 {
        hanging.send(1, &message).await;
    }

    other.send(1, b"still here").await;
    assert_eq!(other.next().await, (1, Bytes::from("still here")));
}

#[tokio::test]
async fn web_sockets_that_are_not_read_do_not_block_the_others_of_their_connection() {
    let server = Server::start(app(&Recorder::default())).await;
    let mut connection = Connection::new(server.address).await;
    let mut hanging = [
        connection.open("/hanging").await,
        connection.open("/hanging").await,
    ];
    let mut other = connection.open("/echo").await;

    // They take as much of the connection's window as they can get.
    let messages = Bytes::from(masked(2, &[0; 1000]).repeat(2000));
    for socket in &mut hanging {
        socket.send.send_data(messages.clone(), false).unwrap();
    }

    // More than what is read of them before the hooks hang.
    let large = vec![b'x'; 500_000];
    other.send(2, &large).await;
    assert_eq!(other.next().await, (2, Bytes::from(large)));
}

#[tokio::test]
async fn what_a_client_of_http_2_does_not_read_is_bounded() {
    let recorder = Recorder::default();
    let server = Server::start(app(&recorder)).await;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(0);
    let mut connection = Connection::with(settings, server.address).await;
    let mut socket = connection.open("/sending").await;

    socket.send(1, b"go").await;
    let closed = || recorder.entries().contains(&"1013".to_owned());
    eventually(|| closed().then_some(())).await;

    let sent = recorder.entries().len() - 1;
    // In KiB: `send_buffer`, a batch of the same size, and four writes inside hyper and h2.
    assert!((64..=64 + 64 + 4 * 16 + 16).contains(&sent), "{sent} KiB");
}

#[tokio::test]
async fn a_stream_that_a_service_upgrades_itself_stays_open() {
    let service = service_fn(async |mut request: Request<Body>| {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            // A read of the client's first byte, which comes after all limits.
            let byte = stream.read_u8().await.unwrap();
            stream.write_all(&[byte]).await.unwrap();
            stream.flush().await.unwrap();
        });
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let limit = Duration::from_millis(50);
    let configure = |server: Serve<_>| server.write_timeout(limit);
    let server = Server::configured(service, configure).await;
    let mut connection = Connection::new(server.address).await;
    let mut socket = connection.open("/").await;

    let reset = poll_fn(|cx| socket.send.poll_reset(cx));
    assert!(timeout(10 * limit, reset).await.is_err());
    socket.send.send_data("a".into(), false).unwrap();
    socket.fill(1).await;
    assert_eq!(socket.read, "a");
}

#[tokio::test]
async fn a_server_that_stops_closes_web_sockets_over_http_2() {
    let recorder = Recorder::default();
    let server = Server::start(app(&recorder)).await;
    let mut connection = Connection::new(server.address).await;
    let mut socket = connection.open("/ending").await;

    let stopped = server.stop();
    let (opcode, payload) = socket.next().await;
    assert_eq!((opcode, &payload[..2]), (8, &1001_u16.to_be_bytes()[..]));
    socket.send(8, &1001_u16.to_be_bytes()).await;

    assert_eq!(recorder.wait_for(1).await, ["1001"]);
    drop((socket, connection));
    ended(stopped).await;
}

#[tokio::test]
async fn a_handshake_that_is_not_valid_or_not_allowed_is_rejected() {
    let server = Server::start(app(&Recorder::default())).await;
    let mut connection = Connection::new(server.address).await;
    let valid = || handshake("/echo", "websocket");
    let other_protocol = handshake("/echo", "connect-udp");
    let mut other_version = valid();
    other_version
        .headers_mut()
        .insert("sec-websocket-version", "8".parse().unwrap());
    let mut other_origin = valid();
    other_origin
        .headers_mut()
        .insert("origin", "http://evil.example".parse().unwrap());
    let other_path = handshake("/nowhere", "websocket");

    for (request, status) in [
        (other_protocol, 501),
        (other_version, 426),
        (other_origin, 403),
        (other_path, 404),
    ] {
        let (response, _) = connection.request(request, false).await;
        assert_eq!(response.status(), status);
    }
    connection.open("/echo").await;
}

#[cfg(feature = "proxy")]
#[tokio::test]
async fn a_proxy_passes_a_web_socket_of_http_2_to_a_server_of_http_1() {
    let behind = Server::start(app(&Recorder::default())).await;
    let proxy = seaway::proxy(&format!("http://{}", behind.address));
    let server = Server::start(ProtocolTypeRouter::new().websocket(proxy)).await;
    let mut connection = Connection::new(server.address).await;

    let mut socket = connection.open("/echo").await;

    socket.send(1, b"ahoy").await;
    assert_eq!(socket.next().await, (1, Bytes::from("ahoy")));
}
