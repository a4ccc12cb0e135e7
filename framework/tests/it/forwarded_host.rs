//! Tests of the host and scheme that trusted proxies state: what applications read, and the checks
//! of the origin.

use crate::support::{PATIENCE, Server, eventually, next_text, read_until, try_connect};
use axum::{Router, routing::get};
use bytes::Bytes;
use h2::ext::Protocol;
use http::{Method, Request, Version};
use seaway::{
    ApplicationExt, Channels, ClientAddr, Context, Handshake, NoEvent, Rejection, RequestedHost,
    Result, Serve, TrustedProxies, WebSocketConsumer, consumer::SseFallback, from_service,
    middleware::RejectCrossSite, routing::ProtocolTypeRouter, serve,
};
use std::{future::IntoFuture, net::SocketAddr};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixListener, UnixStream},
    time::timeout,
};

/// Returns what a handler or consumer reads, such as `https://a.example for 192.0.2.7`.
fn shown(requested: RequestedHost, client: Option<ClientAddr>) -> String {
    let scheme = requested.scheme.map(|scheme| scheme.to_string());
    let scheme = scheme.as_deref().unwrap_or("?");
    let host = requested.host.as_deref().unwrap_or("?");
    let client = client.map_or("?".to_owned(), |client| client.0.ip().to_string());
    format!("{scheme}://{host} for {client}")
}

/// A consumer that sends what it reads.
struct Shown(String);

impl WebSocketConsumer for Shown {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let requested = handshake.extract().await?;
        Ok(Self(shown(requested, handshake.extract().await?)))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.clone()).await?)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

fn app() -> ProtocolTypeRouter {
    let page =
        async |requested: RequestedHost, client: Option<ClientAddr>| shown(requested, client);
    let pages = Router::new().route("/", get(page).post(page));
    ProtocolTypeRouter::new()
        .http(from_service(pages).with(RejectCrossSite))
        .websocket(Shown::application(&Channels::in_memory()))
}

fn behind(
    proxies: TrustedProxies,
) -> impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter> {
    move |server| server.trusted_proxies(proxies)
}

async fn behind_loopback() -> Server {
    Server::configured(
        app(),
        behind(TrustedProxies::new(["127.0.0.1"]).x_forwarded_host()),
    )
    .await
}

/// Sends one request with these headers; returns the whole response.
async fn request(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    method: &str,
    headers: &str,
) -> String {
    let request = format!(
        "{method} / HTTP/1.1\r\nHost: internal\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    let reading = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    reading.expect("an end").unwrap();
    response
}

/// Requests the page with these headers, and checks what it shows.
async fn shows(address: SocketAddr, headers: &str, expected: &str) {
    let stream = TcpStream::connect(address).await.unwrap();
    let response = request(stream, "GET", headers).await;
    assert!(response.ends_with(expected), "{headers}: {response}");
}

/// Returns the status of a handshake of a page.
async fn status(address: SocketAddr, headers: &[(&'static str, &str)]) -> u16 {
    match try_connect(address, "/", headers).await {
        Ok(_) => 101,
        Err(status) => status,
    }
}

const X_FORWARDED: &str = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: a.example:8443\r\nX-Forwarded-Proto: https\r\n";
const FORWARDED: &str = "Forwarded: for=192.0.2.8;proto=https;host=\"b.example:8443\"\r\n";

#[tokio::test]
async fn handlers_and_consumers_read_the_host_and_scheme_that_a_trusted_proxy_states() {
    let server = behind_loopback().await;

    shows(
        server.address,
        X_FORWARDED,
        "https://a.example:8443 for 192.0.2.7",
    )
    .await;
    let invalid = "X-Forwarded-Host: a b\r\nX-Forwarded-Proto: ftp\r\n";
    shows(server.address, invalid, "?://internal for 127.0.0.1").await;

    let headers = [
        ("x-forwarded-host", "a.example"),
        ("x-forwarded-proto", "wss"),
    ];
    let mut client = try_connect(server.address, "/", &headers).await.unwrap();
    assert_eq!(
        next_text(&mut client).await,
        "https://a.example for 127.0.0.1"
    );
}

#[tokio::test]
async fn only_the_headers_that_the_proxies_set_are_read() {
    let both = format!("{FORWARDED}{X_FORWARDED}");
    let x_forwarded = behind_loopback().await;
    let proxies = TrustedProxies::new(["127.0.0.1"]).forwarded_header();
    let forwarded = Server::configured(app(), behind(proxies)).await;
    let without_host = behind(TrustedProxies::new(["127.0.0.1"]));
    let without_host = Server::configured(app(), without_host).await;

    shows(
        without_host.address,
        &both,
        "https://internal for 192.0.2.7",
    )
    .await;
    shows(
        x_forwarded.address,
        &both,
        "https://a.example:8443 for 192.0.2.7",
    )
    .await;
    shows(x_forwarded.address, FORWARDED, "?://internal for 127.0.0.1").await;
    shows(
        forwarded.address,
        &both,
        "https://b.example:8443 for 192.0.2.8",
    )
    .await;
    shows(forwarded.address, X_FORWARDED, "?://internal for 127.0.0.1").await;
}

#[tokio::test]
async fn a_client_that_is_no_trusted_proxy_cannot_choose_its_host_or_scheme() {
    let both = format!("{FORWARDED}{X_FORWARDED}");
    let plain = Server::start(app()).await;
    let proxies = TrustedProxies::new(["10.0.0.0/8"]).x_forwarded_host();
    let other = Server::configured(app(), behind(proxies.clone())).await;
    let forwarded = Server::configured(app(), behind(proxies.forwarded_header())).await;

    for server in [plain, other, forwarded] {
        shows(server.address, &both, "?://internal for 127.0.0.1").await;
        let headers = [
            ("host", "internal"),
            ("origin", "https://a.example"),
            ("x-forwarded-host", "a.example"),
            ("forwarded", "host=a.example"),
        ];
        assert_eq!(status(server.address, &headers).await, 403);
        let headers = [
            ("host", "internal"),
            ("origin", "http://internal"),
            ("x-forwarded-host", "a.example"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(status(server.address, &headers).await, 101);
    }
}

#[tokio::test]
async fn a_page_opens_a_web_socket_if_its_origin_is_the_forwarded_host_and_scheme() {
    let server = behind_loopback().await;
    for (origin, host, scheme, expected) in [
        ("https://a.example", Some("a.example"), Some("https"), 101),
        ("http://a.example", Some("a.example"), Some("https"), 403),
        ("https://a.example", Some("a.example"), Some("http"), 403),
        ("http://a.example", Some("a.example"), None, 101),
        ("https://internal", Some("a.example"), Some("https"), 403),
        (
            "https://evil.example",
            Some("a.example"),
            Some("https"),
            403,
        ),
        (
            "https://evil.example",
            Some("evil.example, a.example"),
            None,
            403,
        ),
        ("https://internal", None, Some("https"), 101),
        ("http://internal", None, Some("https"), 403),
        ("http://internal", Some("a b"), None, 101),
        ("http://internal", None, None, 101),
    ] {
        let mut headers = vec![("host", "internal"), ("origin", origin)];
        headers.extend(host.map(|host| ("x-forwarded-host", host)));
        headers.extend(scheme.map(|scheme| ("x-forwarded-proto", scheme)));

        assert_eq!(
            status(server.address, &headers).await,
            expected,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_page_opens_a_fallback_stream_if_its_origin_is_the_forwarded_host_and_scheme() {
    let channels = Channels::in_memory();
    let streams = Shown::application(&channels).with(SseFallback::new(&channels));
    let proxies = TrustedProxies::new(["127.0.0.1"]).x_forwarded_host();
    let app = ProtocolTypeRouter::new().http(streams);
    let server = Server::configured(app, behind(proxies)).await;
    for (origin, expected) in [
        (
            "https://a.example:8443",
            "data: https://a.example:8443 for 192.0.2.7",
        ),
        ("http://a.example:8443", "403 Forbidden"),
        ("https://internal", "403 Forbidden"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: internal\r\nAccept: text/event-stream\r\nOrigin: {origin}\r\n{X_FORWARDED}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();

        read_until(&mut stream, expected).await;
    }
}

#[tokio::test]
async fn a_form_is_accepted_if_its_origin_is_the_forwarded_host_and_scheme() {
    let server = behind_loopback().await;
    for (origin, expected) in [
        ("https://a.example:8443", "200 OK"),
        ("http://a.example:8443", "403 Forbidden"),
        ("https://internal", "403 Forbidden"),
    ] {
        let stream = TcpStream::connect(server.address).await.unwrap();
        let headers = format!("Origin: {origin}\r\n{X_FORWARDED}");

        let response = request(stream, "POST", &headers).await;

        assert!(
            response.starts_with(&format!("HTTP/1.1 {expected}")),
            "{origin}: {response}"
        );
    }
}

#[tokio::test]
async fn a_proxy_on_a_unix_socket_states_the_client_host_and_scheme() {
    let name = format!("seaway-{}-forwarded-host", std::process::id());
    let path = std::env::temp_dir().join(name);
    _ = std::fs::remove_file(&path);
    for (trusted, expected) in [
        ("unix", "https://a.example:8443 for 192.0.2.7"),
        ("127.0.0.1", "?://internal for ?"),
    ] {
        let listener = UnixListener::bind(&path).unwrap();
        let server = serve(listener, app())
            .trusted_proxies(TrustedProxies::new([trusted]).x_forwarded_host());
        let server = tokio::spawn(server.into_future());
        let stream = UnixStream::connect(&path).await.unwrap();

        let response = request(stream, "GET", X_FORWARDED).await;

        assert!(response.ends_with(expected), "{response}");
        server.abort();
        _ = server.await;
        _ = std::fs::remove_file(&path);
    }
}

#[tokio::test]
async fn a_proxy_that_speaks_http_2_states_the_host_and_scheme() {
    let server = behind_loopback().await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    eventually(|| client.is_extended_connect_protocol_enabled().then_some(())).await;

    let request = |method: Method| {
        Request::builder()
            .method(method)
            .version(Version::HTTP_2)
            .uri("http://internal/")
            .header("x-forwarded-host", "a.example")
            .header("x-forwarded-proto", "https")
    };
    let (response, _) = client
        .send_request(request(Method::GET).body(()).unwrap(), true)
        .unwrap();
    let mut body = timeout(PATIENCE, response)
        .await
        .unwrap()
        .unwrap()
        .into_body();
    let page: Option<Result<Bytes, _>> = timeout(PATIENCE, body.data()).await.unwrap();
    assert_eq!(page.unwrap().unwrap(), "https://a.example for 127.0.0.1");

    for (origin, expected) in [
        ("https://a.example", 200),
        ("http://a.example", 403),
        ("http://internal", 403),
    ] {
        let handshake = request(Method::CONNECT)
            .header("sec-websocket-version", "13")
            .header("origin", origin)
            .extension(Protocol::from_static("websocket"));
        let (response, _stream) = client
            .send_request(handshake.body(()).unwrap(), false)
            .unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        assert_eq!(response.status(), expected, "{origin}");
    }
}
