//! Tests of clients behind proxies: `X-Forwarded-For` and the PROXY protocol.

use crate::{
    log::Log,
    support::{PATIENCE, Server, connect, echo, ended, next_close},
};
use axum::{Router, routing::get};
use futures_util::StreamExt;
use seaway::{
    Channels, ClientAddr, Context, Handshake, NoEvent, ProxyProtocol, Rejection, Result,
    TrustedProxies, WebSocketConsumer, from_service,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::{future::IntoFuture, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};
use tokio_tungstenite::client_async;
use tower::{ServiceExt, service_fn};

/// A consumer that sends the address of its client.
struct Whoami(String);

impl WebSocketConsumer for Whoami {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let client = handshake.scope().client;
        Ok(Self(
            client.map_or("nobody".to_owned(), |client| client.to_string()),
        ))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.clone()).await?)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

fn app() -> ProtocolTypeRouter {
    let page = async |ClientAddr(client): ClientAddr| client.to_string();
    let sockets = PathRouter::new()
        .route("/ws", Whoami::application(&Channels::in_memory()))
        .route("/echo", echo());
    ProtocolTypeRouter::new()
        .http(from_service(Router::new().route("/", get(page))))
        .websocket(sockets)
}

/// Sends these bytes and then a request; returns the whole response.
async fn page(address: SocketAddr, prefix: &[u8], header: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n");
    stream
        .write_all(&[prefix, request.as_bytes()].concat())
        .await
        .unwrap();
    let mut response = Vec::new();
    // A connection that is closed with unread bytes is reset.
    _ = timeout(PATIENCE, stream.read_to_end(&mut response))
        .await
        .expect("an end");
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn a_trusted_proxy_states_the_client_of_pages_and_web_sockets() {
    let trust =
        |server: seaway::Serve<_>| server.trusted_proxies(TrustedProxies::new(["127.0.0.1"]));
    let server = Server::configured(app(), trust).await;

    let forwarded = "X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n";
    let response = page(server.address, b"", forwarded).await;
    assert!(response.ends_with("192.0.2.7:0"), "{response}");
    let response = page(server.address, b"", "").await;
    assert!(response.contains("\r\n\r\n127.0.0.1:"), "{response}");

    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(format!(
            "ws://{}/ws",
            server.address
        ))
        .unwrap();
    request
        .headers_mut()
        .insert("x-forwarded-for", "192.0.2.7".parse().unwrap());
    let (mut client, _) = client_async(request, stream).await.unwrap();
    let text = timeout(PATIENCE, client.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(text.into_text().unwrap(), "192.0.2.7:0");
}

#[tokio::test]
async fn a_client_that_is_no_trusted_proxy_cannot_choose_its_address() {
    let forwarded = "X-Forwarded-For: 192.0.2.7\r\n";
    let plain = Server::start(app()).await;
    let other =
        |server: seaway::Serve<_>| server.trusted_proxies(TrustedProxies::new(["10.0.0.0/8"]));
    let other = Server::configured(app(), other).await;

    for server in [plain, other] {
        let response = page(server.address, b"", forwarded).await;
        assert!(response.contains("\r\n\r\n127.0.0.1:"), "{response}");
    }
}

/// As under tower's `Buffer`.
#[tokio::test]
async fn a_service_in_a_task_of_its_own_sees_the_client_and_the_stop() {
    let app = app();
    let service = service_fn(move |request| {
        let answering = tokio::spawn(app.clone().oneshot(request));
        async { answering.await.expect("no panic") }
    });
    let server = Server::start(service).await;

    let response = page(server.address, b"", "").await;
    assert!(response.contains("\r\n\r\n127.0.0.1:"), "{response}");

    let mut client = connect(server.address, "/echo").await;
    let stopped = server.stop();
    assert_eq!(next_close(&mut client).await.code, 1001);
    drop(client);
    ended(stopped).await;
}

/// Starts a server behind the PROXY protocol.
async fn proxied(trusted: &str) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = ProxyProtocol::new(tcp, TrustedProxies::new([trusted]));
    tokio::spawn(serve(listener, app()).into_future());
    address
}

fn v2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

#[tokio::test]
async fn the_proxy_protocol_states_the_client_in_both_versions() {
    let address = proxied("127.0.0.1").await;
    let v4 = [192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0, 80];
    let mut v6 = [0; 36];
    v6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    v6[15] = 7;
    v6[32..34].copy_from_slice(&[0x12, 0x67]);
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 7]);
    mapped[32..34].copy_from_slice(&[0x12, 0x67]);
    let with_more = [&v4[..], &[4, 0, 2, 1, 2]].concat();
    for (header, client) in [
        (
            b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(),
            "192.0.2.7:4711",
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 4711 80\r\n".to_vec(),
            "[2001:db8::7]:4711",
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.7 ::1 4711 80\r\n".to_vec(),
            "192.0.2.7:4711",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1:"),
        (v2(1, 0x11, &v4), "192.0.2.7:4711"),
        (v2(1, 0x11, &with_more), "192.0.2.7:4711"),
        (v2(1, 0x21, &v6), "[2001:db8::7]:4711"),
        (v2(1, 0x21, &mapped), "192.0.2.7:4711"),
        (v2(0, 0, &[]), "127.0.0.1:"),
        (v2(1, 0, &[]), "127.0.0.1:"),
    ] {
        let response = page(address, &header, "").await;
        let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
        assert!(
            body.is_some_and(|body| body.starts_with(client)),
            "{client}: {response}"
        );
    }
}

#[tokio::test]
async fn a_connection_of_the_proxy_itself_is_served_whatever_family_its_header_has() {
    let address = proxied("127.0.0.1").await;
    for (family, addresses) in [
        (0x11, &[][..]),
        (0x11, &[192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0, 80]),
        (0x21, &[]),
        (0x21, &[0; 12]),
        (0x31, &[]),
        (0x41, &[]),
        (0xff, &[1, 2, 3]),
    ] {
        let response = page(address, &v2(0, family, addresses), "").await;
        let body = response.split_once("\r\n\r\n").map(|(_, body)| body);
        assert!(
            body.is_some_and(|body| body.starts_with("127.0.0.1:")),
            "{family:#x} {addresses:?}: {response}"
        );
    }
}

#[tokio::test]
async fn a_connection_of_a_proxy_without_a_valid_header_is_closed() {
    let address = proxied("127.0.0.1").await;
    let long = format!("PROXY TCP4 {} 127.0.0.1 4711 80\r\n", "1".repeat(200));
    for header in [
        &b""[..],
        b"PROXY TCP4 192.0.2.700 127.0.0.1 4711 80\r\n",
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711\r\n",
        long.as_bytes(),
        &v2(1, 0x11, &[192, 0, 2, 7]),
        &v2(1, 0x41, &[]),
        &v2(1, 0x13, &[0; 12]),
        &v2(9, 0x11, &[0; 12]),
        &v2(1, 0x11, &[0; 5000]),
    ] {
        assert_eq!(page(address, header, "").await, "", "{header:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_only_connects_is_not_logged_as_a_rejection() {
    let address = proxied("127.0.0.1").await;
    let log = Log::listen();

    let mut probe = TcpStream::connect(address).await.unwrap();
    probe.shutdown().await.unwrap();
    let closed = timeout(PATIENCE, probe.read_to_end(&mut Vec::new())).await;
    closed.expect("the server closes it, too").unwrap();

    assert_eq!(log.lines("rejected a client"), [""; 0]);
    page(address, b"PROXY", "").await;
    log.line("a trusted proxy sent no valid PROXY header");
}

#[tokio::test]
async fn a_proxy_that_sends_its_header_slowly_delays_no_other_connection() {
    let address = proxied("127.0.0.1").await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"PROXY TCP4 192.0").await.unwrap();

    let response = page(address, b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", "").await;
    assert!(response.ends_with("192.0.2.7:4711"), "{response}");

    slow.write_all(
        b".2.8 127.0.0.1 4712 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await
    .unwrap();
    let mut response = String::new();
    timeout(PATIENCE, slow.read_to_string(&mut response))
        .await
        .unwrap()
        .unwrap();
    assert!(response.ends_with("192.0.2.8:4712"), "{response}");
}

#[tokio::test]
async fn a_client_whose_header_was_on_the_way_when_the_server_stopped_is_served() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let listener = ProxyProtocol::new(tcp, TrustedProxies::new(["127.0.0.1"]));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = serve(listener, app()).stop_on(async { _ = stopped.await });
    let server = tokio::spawn(server.into_future());
    let mut client = TcpStream::connect(address).await.unwrap();
    // Clients are accepted in order: the first one was, too.
    page(address, b"PROXY UNKNOWN\r\n", "").await;

    // The server stops before it reads the header: this test has one thread.
    stop.send(()).unwrap();
    client
        .write_all(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();

    let mut response = String::new();
    let read = timeout(PATIENCE, client.read_to_string(&mut response)).await;
    read.unwrap().unwrap();
    assert!(response.ends_with("192.0.2.7:4711"), "{response}");
    ended(server).await;
}

#[tokio::test]
async fn a_client_that_is_no_proxy_needs_no_header_and_may_send_none() {
    let address = proxied("10.0.0.0/8").await;

    let response = page(address, b"", "").await;
    assert!(response.contains("\r\n\r\n127.0.0.1:"), "{response}");
    let response = page(address, b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n", "").await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
}
