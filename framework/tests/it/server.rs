//! Tests of the server over real sockets: limits, heartbeats, graceful shutdown.

use crate::support::{
    PATIENCE, Recorder, Server, connect, connect_with_little_room, echo, next, next_close,
    next_text, read_until, send_text, try_connect,
};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, NoEvent, OpensOverHttp, Rejection, Result,
    Scope, WebSocketConsumer, application_fn,
    middleware::Provide,
    protocol::{Body, Exchange, Http, WebSocketConfig},
    routing::ProtocolTypeRouter,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

fn app_with(config: WebSocketConfig) -> ProtocolTypeRouter {
    ProtocolTypeRouter::new().websocket(echo().with(config))
}

/// Sends raw bytes and reads until the server closes the connection.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut response = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    // A server that does not read the rest may close with a reset.
    _ = read.expect("the server hangs up");
    String::from_utf8_lossy(&response).into_owned()
}

#[tokio::test]
async fn a_message_over_the_limit_closes_its_connection_alone_with_1009() {
    let server = Server::start(app_with(WebSocketConfig::new().max_message_size(1000))).await;
    let (mut ana, mut bo) = (
        connect(server.address, "/").await,
        connect(server.address, "/").await,
    );

    send_text(&mut ana, &"x".repeat(1000)).await;
    assert_eq!(next_text(&mut ana).await.len(), 1000);
    // Far more than the kernel buffers: the server must close the connection before all has
    // arrived.
    _ = ana.send(Message::text("x".repeat(8_000_000))).await;

    assert_eq!(next_close(&mut ana).await.code, Close::TOO_LARGE);
    send_text(&mut bo, "still here").await;
    assert_eq!(next_text(&mut bo).await, "still here");
}

#[tokio::test]
async fn an_idle_client_is_pinged_and_disconnected_without_a_pong() {
    let recorder = Recorder::default();
    let config =
        WebSocketConfig::new().heartbeat(Duration::from_millis(50), Duration::from_millis(100));
    let app = Witness::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .with(config);
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;

    // This client never reads, so it never sends a pong.
    let _deaf = connect(server.address, "/").await;
    // This one reads.
    let mut alive = connect(server.address, "/").await;
    for _ in 0..5 {
        assert!(matches!(next(&mut alive).await, Message::Ping(_)));
        alive.flush().await.unwrap();
    }

    assert_eq!(recorder.wait_for(1).await, ["disconnect 1006"]);
    send_text(&mut alive, "still here").await;
}

#[tokio::test]
async fn pings_and_a_close_are_handled_while_a_hook_is_busy() {
    let recorder = Recorder::default();
    let config = WebSocketConfig::new().grace(Duration::from_millis(20));
    let app = Witness::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .with(config);
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let mut client = connect(server.address, "/").await;
    send_text(&mut client, "hang").await;

    client.send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(next(&mut client).await, Message::Pong("there?".into()));
    client.close(None).await.unwrap();

    assert_eq!(recorder.wait_for(1).await, ["disconnect 1005"]);
}

#[tokio::test]
async fn every_client_gets_a_close_frame_when_the_server_stops() {
    let recorder = Recorder::default();
    let app = Witness::application(&Channels::in_memory()).with(Provide(recorder.clone()));
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let address = server.address;
    let (mut ana, mut bo) = (connect(address, "/").await, connect(address, "/").await);
    send_text(&mut ana, "one").await;
    assert_eq!(next_text(&mut ana).await, "one");

    let stopped = server.stop();

    for client in [&mut ana, &mut bo] {
        assert_eq!(next_close(client).await.code, Close::AWAY);
        while client.next().await.is_some() {}
    }
    let outcome = timeout(PATIENCE, stopped).await.expect("the server ends");
    outcome.unwrap().unwrap();
    assert_eq!(recorder.entries(), ["disconnect 1001", "disconnect 1001"]);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_client_that_does_not_reply_to_the_close_frame_is_disconnected() {
    let config = WebSocketConfig::new().close_timeout(Duration::from_millis(50));
    let server = Server::start(app_with(config)).await;
    let _silent = connect(server.address, "/").await;

    let stopped = server.stop();

    let outcome = timeout(PATIENCE, stopped).await.expect("the server ends");
    outcome.unwrap().unwrap();
}

#[tokio::test]
async fn a_head_that_never_ends_is_closed_at_the_timeout() {
    let limit = Duration::from_millis(100);
    let server = Server::configured(app_with(WebSocketConfig::new()), |server| {
        server.head_timeout(limit)
    })
    .await;

    for beginning in [
        "",
        "P",
        "PR",
        "PRI",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    ] {
        // The connection must be closed; a response before that is allowed.
        raw(server.address, beginning.as_bytes()).await;
    }

    let mut client = connect(server.address, "/").await;
    send_text(&mut client, "still here").await;
    assert_eq!(next_text(&mut client).await, "still here");
}

#[tokio::test]
async fn timeouts_without_a_limit_serve_as_any_other() {
    let server = Server::configured(app_with(WebSocketConfig::new()), |server| {
        server
            .head_timeout(Duration::MAX)
            .body_timeout(Duration::MAX)
            .write_timeout(Duration::MAX)
            .idle_timeout(Duration::MAX)
            .half_close_timeout(Duration::MAX)
            .drain_timeout(Duration::MAX)
    })
    .await;

    let mut client = connect(server.address, "/").await;
    send_text(&mut client, "ahoy").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
    drop(client);
    timeout(PATIENCE, server.stop())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_head_far_over_64_kib_is_rejected() {
    let server = Server::start(app_with(WebSocketConfig::new())).await;
    let giant = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX-Giant: {}\r\n\r\n",
        "x".repeat(200_000)
    );

    let response = raw(server.address, giant.as_bytes()).await;

    assert!(response.starts_with("HTTP/1.1 431"), "{response}");
}

/// hyper alone closes the connection, unless the whole body has arrived already.
#[tokio::test]
async fn an_unread_body_that_arrives_after_the_response_does_not_end_the_connection() {
    let page = |_: Scope<Http>, exchange: Exchange| async move {
        let response = http::Response::new(Body::from("a page"));
        Ok(exchange.respond(response).await?)
    };
    let server = Server::start(ProtocolTypeRouter::new().http(application_fn(page))).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();

    for _ in 0..3 {
        let head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
        client.write_all(head).await.unwrap();
        read_until(&mut client, "a page").await;
        client.write_all(b"body").await.unwrap();
    }
}

/// An application may keep the head of a request for a job of its own.
#[tokio::test]
async fn a_request_head_that_is_kept_does_not_hold_its_connection() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let page = {
        let kept = kept.clone();
        move |scope: Scope<Http>, exchange: Exchange| {
            kept.lock().unwrap().push(scope);
            async {
                Ok(exchange
                    .respond(http::Response::new(Body::from("a page")))
                    .await?)
            }
        }
    };
    let app = ProtocolTypeRouter::new().http(application_fn(page));
    let server = Server::configured(app, |server| server.max_connections(1)).await;

    for _ in 0..3 {
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert!(raw(server.address, request).await.ends_with("a page"));
    }

    assert_eq!(kept.lock().unwrap().len(), 3);
}

/// A middleware inside may have saved a session whose new id only the cookie has.
#[tokio::test]
async fn a_rejection_by_a_response_hook_keeps_the_cookies_of_the_response() {
    let page = |_: Scope<Http>, mut exchange: Exchange| async move {
        Http::on_response(
            &mut exchange,
            Box::new(|_| {
                Box::pin(async { Err(Rejection::new(http::StatusCode::GONE, "not today")) })
            }),
        );
        Http::on_response(
            &mut exchange,
            Box::new(|head| {
                head.headers.insert("set-cookie", "id=7".parse().unwrap());
                Box::pin(async { Ok(()) })
            }),
        );
        let response = http::Response::new(Body::from("a page"));
        Ok(exchange.respond(response).await?)
    };
    let app = ProtocolTypeRouter::new().http(application_fn(page));
    let server = Server::start(app).await;

    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let response = raw(server.address, request).await;

    assert!(response.starts_with("HTTP/1.1 410"), "{response}");
    assert!(response.contains("set-cookie: id=7"), "{response}");
    assert!(response.ends_with("not today"), "{response}");
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_shutdown() {
    let server = Server::start(app_with(WebSocketConfig::new())).await;
    let _silent = TcpStream::connect(server.address).await.unwrap();
    let mut client = connect(server.address, "/").await;
    send_text(&mut client, "in").await;
    next_text(&mut client).await;
    drop(client);

    let started = std::time::Instant::now();
    let outcome = timeout(PATIENCE, server.stop())
        .await
        .expect("the server ends");

    outcome.unwrap().unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "it waited for the head's limit"
    );
}

#[tokio::test]
async fn a_client_that_sends_but_does_not_read_is_disconnected() {
    let talk = Message::text("x".repeat(100_000));
    let pings = Message::Ping("anyone there?".into());
    for (first, then) in [(talk.clone(), talk), (Message::text("flood"), pings)] {
        let recorder = Recorder::default();
        let beat = Duration::from_millis(100);
        let app = Witness::application(&Channels::in_memory())
            .with(Provide(recorder.clone()))
            .with(WebSocketConfig::new().heartbeat(beat, beat));
        let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
        let (mut sink, _never_read) = connect_with_little_room(server.address).await.split();

        sink.send(first).await.unwrap();
        let flood = tokio::spawn(async move { while sink.feed(then.clone()).await.is_ok() {} });

        assert_eq!(recorder.wait_for(1).await, ["disconnect 1006"]);
        timeout(PATIENCE, flood)
            .await
            .expect("disconnected")
            .unwrap();
    }
}

#[tokio::test]
async fn an_invalid_handshake_gets_a_response_and_no_websocket() {
    let server = Server::start(app_with(WebSocketConfig::new())).await;
    let handshake = |extra: &str| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\n{extra}\r\n"
        )
    };
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    let no_key = raw(
        server.address,
        handshake("Sec-WebSocket-Version: 13\r\n").as_bytes(),
    )
    .await;
    assert!(no_key.starts_with("HTTP/1.1 400"), "{no_key}");
    let old = handshake(&format!("{key}Sec-WebSocket-Version: 8\r\n"));
    let old = raw(server.address, old.as_bytes()).await;
    assert!(old.starts_with("HTTP/1.1 426"), "{old}");
    assert!(
        old.to_lowercase().contains("sec-websocket-version: 13"),
        "{old}"
    );
}

#[tokio::test]
async fn a_foreign_origin_is_rejected_over_a_real_socket() {
    let server = Server::start(app_with(WebSocketConfig::new())).await;
    let foreign = [("origin", "https://evil.example")];
    let own = format!("http://{}", server.address);

    assert_eq!(
        try_connect(server.address, "/", &foreign).await.err(),
        Some(403)
    );
    assert!(
        try_connect(server.address, "/", &[("origin", &own)])
            .await
            .is_ok()
    );
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn the_clients_address_is_known_also_inside_an_axum_app() {
    let address = application_fn(|scope: Scope<Http>, exchange: Exchange| async move {
        let client = scope.client.map(|client| client.ip().to_string());
        let text = client.unwrap_or_else(|| "nobody knows".to_owned());
        let response = http::Response::new(Body::from(text));
        Ok(exchange.respond(response).await?)
    });
    let seaway = ProtocolTypeRouter::new().http(address);
    let inside = axum::Router::new().fallback_service(seaway.clone());

    let alone = Server::start(seaway).await;
    let mounted = Server::start(inside).await;

    for server in [alone, mounted] {
        let response = raw(server.address, GET).await;
        assert!(response.ends_with("127.0.0.1"), "{response}");
    }
}

#[cfg(feature = "sessions")]
#[tokio::test]
async fn the_clients_address_is_an_extractor_of_axums_handlers() {
    let handler = async |seaway::ClientAddr(client): seaway::ClientAddr| client.ip().to_string();
    let pages = axum::Router::new().route("/", axum::routing::get(handler));
    let pages = ProtocolTypeRouter::new().http(seaway::from_service(pages));
    let server = Server::start(pages).await;

    let response = raw(server.address, GET).await;

    assert!(response.ends_with("127.0.0.1"), "{response}");
}

#[tokio::test]
async fn a_message_in_the_same_segment_as_the_handshake_is_received() {
    let server = Server::start(app_with(WebSocketConfig::new())).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut early = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    // "Hello", masked, as in RFC 6455, 5.7.
    early.extend([
        0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58,
    ]);
    stream.write_all(&early).await.unwrap();

    let mut response = Vec::new();
    let received = timeout(PATIENCE, async {
        let mut byte = [0];
        while !response.ends_with(b"\x81\x05Hello") {
            stream.read_exact(&mut byte).await.unwrap();
            response.push(byte[0]);
        }
    });

    received.await.expect("the echo");
}

#[tokio::test]
async fn a_slow_reader_receives_everything() {
    let server = Server::start(app_with(WebSocketConfig::new().send_buffer(1024))).await;
    let client = connect(server.address, "/").await;
    let (mut sink, mut stream) = client.split();
    let text = "x".repeat(100_000);
    let sent = text.clone();

    let saying = tokio::spawn(async move {
        for _ in 0..200 {
            sink.send(Message::text(sent.clone())).await.unwrap();
        }
    });

    for _ in 0..200 {
        let received = timeout(PATIENCE, stream.next()).await.unwrap();
        assert_eq!(received.unwrap().unwrap(), Message::text(text.clone()));
    }
    saying.await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let server = Server::configured(app_with(WebSocketConfig::new()), |server| {
        server.max_connections(1)
    })
    .await;
    let mut first = connect(server.address, "/").await;
    send_text(&mut first, "in").await;
    next_text(&mut first).await;

    let address = server.address;
    let second = tokio::spawn(async move { connect(address, "/").await });
    send_text(&mut first, "still alone").await;
    assert_eq!(next_text(&mut first).await, "still alone");
    assert!(!second.is_finished());
    drop(first);

    let mut second = timeout(PATIENCE, second).await.unwrap().unwrap();
    send_text(&mut second, "my turn").await;
    assert_eq!(next_text(&mut second).await, "my turn");
}

#[tokio::test]
async fn the_server_supports_http_2() {
    let pages = axum::Router::new().route("/", axum::routing::get(|| async { "a page" }));
    let server = Server::start(pages).await;
    // The preface, and an empty SETTINGS frame (RFC 9113, 3.4).
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    stream.write_all(hello).await.unwrap();

    let mut frame = [0; 9];
    let read = timeout(PATIENCE, stream.read_exact(&mut frame)).await;

    read.expect("an response").unwrap();
    assert_eq!(frame[3], 0x04, "the server's SETTINGS come first");
}

/// A consumer that echoes, hangs or sends without end on request, and records how it ended.
struct Witness(Recorder);

impl WebSocketConsumer for Witness {
    type Input = seaway::Message;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    async fn receive(&mut self, ctx: &mut Context, message: seaway::Message) -> Result<()> {
        match message.payload() {
            b"hang" => std::future::pending().await,
            b"flood" => loop {
                ctx.send("x".repeat(100_000)).await?;
            },
            _ => {}
        }
        Ok(ctx.send(message).await?)
    }

    async fn disconnect(self, close: Close) {
        self.0.record(format!("disconnect {}", close.code));
    }
}
