//! Tests of WebSockets that are passed through, and of the ends that neither side asks for.

use crate::{
    auth_app::Accounts,
    proxy::{HANDSHAKE, passing_to},
    proxy_bodies::write_until_stalled,
    server::raw,
    support::{
        CloseRecorder, PATIENCE, Recorder, Server, ended, eventually, next_close, read_until,
        try_connect,
    },
};
use axum::{Router, extract::State, routing::get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, Method, Request, header};
use seaway::{
    ApplicationExt, AuthSession, Channels, Proxy, Result, Serve, WebSocketConsumer, from_service,
    middleware::{Auth, Provide, RequireUser, Sessions},
    protocol::{Http, WebSocket, WebSocketConfig},
    proxy,
    routing::{PathRouter, ProtocolTypeRouter},
    session::MemoryStore,
};
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Responds with an event stream that does not end.
async fn events() -> ([(HeaderName, &'static str); 1], axum::body::Body) {
    let one = stream::once(async { Ok::<_, io::Error>("data: one\n\n") });
    let body = axum::body::Body::from_stream(one.chain(stream::pending()));
    ([(header::CONTENT_TYPE, "text/event-stream")], body)
}

/// Starts a server of [`CloseRecorder`], with an event stream.
async fn site(recorder: &Recorder) -> Server {
    let behind = CloseRecorder::application(&Channels::in_memory()).with(Provide(recorder.clone()));
    let pages = Router::new().route("/events", get(events));
    let app = ProtocolTypeRouter::new().http(from_service(pages));
    Server::start(app.websocket(behind)).await
}

/// A proxy with its server behind, which a test plays.
struct Played {
    server: Server,
    listener: TcpListener,
}

impl Played {
    async fn configured(
        configure: impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter>,
    ) -> Self {
        Self::with_websockets(
            |proxy| ProtocolTypeRouter::new().websocket(proxy),
            configure,
        )
        .await
    }

    async fn with_websockets(
        app: impl FnOnce(Proxy) -> ProtocolTypeRouter,
        configure: impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = proxy(&format!("http://{}", listener.local_addr().unwrap()));
        let pages = from_service(Router::new().route("/page", get(async || "a page")));
        let server = Server::configured(app(proxy).http(pages), configure).await;
        Self { server, listener }
    }

    /// Opens a WebSocket; returns its two ends.
    async fn open(&self) -> (TcpStream, TcpStream) {
        let mut client = TcpStream::connect(self.server.address).await.unwrap();
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        let behind = self.accept().await;
        read_until(&mut client, "\r\n\r\n").await;
        (client, behind)
    }

    /// Accepts a WebSocket behind the proxy.
    async fn accept(&self) -> TcpStream {
        let (mut behind, _) = self.listener.accept().await.unwrap();
        read_until(&mut behind, "\r\n\r\n").await;
        let response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        behind.write_all(response.as_bytes()).await.unwrap();
        behind
    }
}

#[tokio::test]
async fn a_client_that_half_closes_during_the_handshake_ends_the_one_behind() {
    let played = Played::configured(|server| server).await;
    let mut client = TcpStream::connect(played.server.address).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let (mut behind, _) = played.listener.accept().await.unwrap();
    read_until(&mut behind, "\r\n\r\n").await;

    client.shutdown().await.unwrap();

    let ended = timeout(PATIENCE, behind.read_to_end(&mut Vec::new())).await;
    ended.expect("the proxy closes its connection").unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, client.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    assert!(response.starts_with("HTTP/1.1 499"), "{response}");
}

/// Writes until the other end has gone.
async fn write_until_gone(stream: &mut TcpStream) -> io::Error {
    let writing = async {
        loop {
            if let Err(error) = stream.write_all(&[0; 1024]).await {
                return error;
            }
        }
    };
    timeout(PATIENCE, writing).await.expect("it ends")
}

#[tokio::test]
async fn a_side_that_reads_nothing_ends_a_passed_websocket() {
    for is_client_silent in [true, false] {
        let played =
            Played::configured(|server| server.write_timeout(Duration::from_secs(1))).await;
        let (client, behind) = played.open().await;
        let (mut writer, _silent) = match is_client_silent {
            true => (behind, client),
            false => (client, behind),
        };

        write_until_stalled(&mut writer).await;

        write_until_gone(&mut writer).await;
    }
}

#[tokio::test]
async fn a_client_that_never_opens_its_window_ends_a_passed_websocket() {
    let played = Played::configured(|server| server.write_timeout(Duration::from_secs(1))).await;
    let tcp = TcpStream::connect(played.server.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder
        .initial_window_size(0)
        .handshake::<_, Bytes>(tcp)
        .await
        .unwrap();
    tokio::spawn(connection);
    eventually(|| client.is_extended_connect_protocol_enabled().then_some(())).await;
    let mut client = client.ready().await.unwrap();
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("http://localhost/")
        .header("sec-websocket-version", "13")
        .extension(h2::ext::Protocol::from_static("websocket"))
        .body(())
        .unwrap();
    let (response, _send) = client.send_request(request, false).unwrap();
    let mut behind = played.accept().await;
    assert_eq!(response.await.unwrap().status(), 200);

    write_until_stalled(&mut behind).await;

    write_until_gone(&mut behind).await;
}

/// The end of the source is behind bytes that nobody reads.
#[tokio::test]
async fn a_side_that_resets_a_blocked_websocket_ends_it_at_once() {
    for is_client_silent in [true, false] {
        // The write timeout is 60 s.
        let played = Played::configured(|server| server.max_connections(1)).await;
        let (client, behind) = played.open().await;
        let (mut writer, _silent) = match is_client_silent {
            true => (behind, client),
            false => (client, behind),
        };
        write_until_stalled(&mut writer).await;

        writer.set_zero_linger().unwrap();
        drop(writer);

        // There is room for another client again.
        let page = b"GET /page HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        let response = timeout(PATIENCE, raw(played.server.address, page)).await;
        assert!(response.expect("room").ends_with("a page"));
    }
}

#[tokio::test]
async fn a_stop_closes_a_passed_websocket_on_both_sides() {
    for (retry_after, code, reason) in [
        (None, 1001, "the server is going away"),
        (Some(Duration::from_secs(9)), 1012, "retry_after="),
    ] {
        let recorder = Recorder::default();
        let site = site(&recorder).await;
        let proxy = proxy(&format!("http://{}", site.address));
        let app = ProtocolTypeRouter::new().websocket(proxy);
        let server = Server::configured(app, |server| match retry_after {
            Some(limit) => server.retry_after(limit),
            None => server,
        })
        .await;
        let mut client = try_connect(server.address, "/", &[]).await.unwrap();

        let stopped = server.stop();

        let close = next_close(&mut client).await;
        assert_eq!(close.code, code);
        assert!(close.reason().starts_with(reason), "{close:?}");
        // The site gets it, too.
        assert!(client.next().await.is_none());
        assert_eq!(recorder.wait_for(1).await, [code.to_string()]);
        ended(stopped).await;
    }
}

#[tokio::test]
async fn a_stop_completes_the_frame_that_is_under_way() {
    let played = Played::configured(|server| server).await;
    let (mut client, mut behind) = played.open().await;
    let mut received = Vec::new();
    behind.write_all(b"\x81\x0ahello").await.unwrap();
    while received.len() < 7 {
        client.read_buf(&mut received).await.unwrap();
    }

    let stopped = played.server.stop();
    behind.write_all(b"world\x81\x03one").await.unwrap();
    while !String::from_utf8_lossy(&received).contains("going away") {
        let count = timeout(PATIENCE, client.read_buf(&mut received)).await;
        assert!(count.unwrap().unwrap() > 0, "{received:?}");
    }
    drop(client);

    let rest = received.strip_prefix(b"\x81\x0ahelloworld").unwrap();
    // The stop may take effect before this frame, or after it.
    let close = rest.strip_prefix(b"\x81\x03one").unwrap_or(rest);
    assert!(
        close.starts_with(b"\x88\x1a\x03\xe9the server"),
        "{close:?}"
    );
    ended(stopped).await;
}

#[tokio::test]
async fn a_stop_cuts_a_passed_websocket_whose_client_does_not_answer() {
    let limits = WebSocketConfig::new().close_timeout(Duration::from_millis(200));
    let app = |proxy| {
        let proxy = ApplicationExt::<WebSocket>::with(proxy, limits);
        ProtocolTypeRouter::new().websocket(proxy)
    };
    let played = Played::with_websockets(app, |server| server).await;
    let (_client, mut behind) = played.open().await;

    let stopped = played.server.stop();

    ended(stopped).await;
    let mut received = Vec::new();
    behind.read_to_end(&mut received).await.unwrap();
    // A close frame with a mask, and nothing else.
    assert_eq!(received[0], 0x88);
    assert_eq!(received.len(), 6 + usize::from(received[1] & 0x7f));
}

/// Its client reconnects by itself; that of a download does not.
#[tokio::test]
async fn a_stop_ends_a_passed_event_stream_and_waits_for_a_download() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let server = passing_to(proxy(&upstream)).await;
    let mut opened = Vec::new();
    for media_type in ["text/event-stream; charset=utf-8", "application/zip"] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        let (mut behind, _) = listener.accept().await.unwrap();
        read_until(&mut behind, "\r\n\r\n").await;
        let response = format!("HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\n\r\none\n\n");
        behind.write_all(response.as_bytes()).await.unwrap();
        read_until(&mut client, "one\n\n").await;
        opened.push((client, behind));
    }
    let (mut download, mut file) = opened.pop().unwrap();
    let (mut events, mut source) = opened.pop().unwrap();

    let stopped = server.stop();

    read_until(&mut events, "0\r\n\r\n").await;
    assert_eq!(source.read(&mut [0]).await.unwrap_or(0), 0);
    file.write_all(b"rest").await.unwrap();
    drop(file);
    read_until(&mut download, "rest\r\n0\r\n\r\n").await;
    ended(stopped).await;
}

/// Members of a site in front of another one.
struct Members {
    accounts: Accounts,
    channels: Channels,
    recorder: Recorder,
    server: Server,
    _site: Server,
}

impl Members {
    async fn new(auth: impl FnOnce(Auth<Accounts>) -> Auth<Accounts>, is_announced: bool) -> Self {
        let (accounts, channels) = (Accounts::of(&["ana", "bo"]), Channels::in_memory());
        let recorder = Recorder::default();
        let site = site(&recorder).await;
        let mut proxy = proxy(&format!("http://{}", site.address));
        if is_announced {
            proxy = proxy.channels(&channels);
        }
        let pages = Router::new()
            .route("/login", get(log_in))
            .route("/logout", get(log_out))
            .with_state(accounts.clone());
        let auth = auth(Auth::new(accounts.clone()));
        let members = RequireUser::<crate::auth_app::Account>::new;
        let pages = PathRouter::new()
            .route(
                "/events",
                ApplicationExt::<Http>::with(proxy.clone(), members()),
            )
            .fallback(from_service(pages));
        let app = ProtocolTypeRouter::new()
            .http(pages)
            .websocket(ApplicationExt::<WebSocket>::with(proxy, members()))
            .with(auth)
            .with(Sessions::new(MemoryStore::default(), &channels));
        Self {
            accounts,
            channels,
            recorder,
            server: Server::start(app).await,
            _site: site,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Logs in, and returns the cookie.
    async fn log_in(&self, name: &str) -> String {
        let response = self.get(&format!("/login?{name}"), "").await;
        let cookie = response.split("set-cookie: ").nth(1).expect(&response);
        cookie.split(';').next().unwrap().to_owned()
    }

    async fn get(&self, path: &str, cookie: &str) -> String {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        raw(self.address(), request.as_bytes()).await
    }

    async fn open(&self, cookie: &str) -> crate::support::Client {
        let headers = [(header::COOKIE.as_str(), cookie)];
        let opened = try_connect(self.address(), "/", &headers).await;
        opened.expect("a member")
    }
}

async fn log_in(
    State(accounts): State<Accounts>,
    auth: AuthSession<Accounts>,
    axum::extract::RawQuery(name): axum::extract::RawQuery,
) -> Result<()> {
    Ok(auth.log_in(&accounts.get(&name.unwrap())).await?)
}

async fn log_out(auth: AuthSession<Accounts>) -> Result<()> {
    Ok(auth.log_out().await?)
}

#[tokio::test]
async fn a_passed_websocket_ends_with_its_session() {
    let members = Members::new(|auth| auth, true).await;
    let (ana, bo) = (members.log_in("ana").await, members.log_in("bo").await);
    let mut client = members.open(&ana).await;
    let mut other = members.open(&bo).await;

    members.get("/logout", &ana).await;

    assert_eq!(next_close(&mut client).await.code, 4401);
    assert!(futures_util::StreamExt::next(&mut client).await.is_none());
    assert_eq!(members.recorder.wait_for(1).await, ["4401"]);
    members.channels.disconnect_user("bo").await.unwrap();
    assert_eq!(next_close(&mut other).await.code, 4401);
}

#[tokio::test]
async fn a_client_that_half_closes_while_its_user_is_loaded_ends_the_handshake() {
    let members = Members::new(|auth| auth, true).await;
    let ana = members.log_in("ana").await;
    members.accounts.hang();
    let mut client = TcpStream::connect(members.address()).await.unwrap();
    let handshake = HANDSHAKE.replacen("Host", &format!("Cookie: {ana}\r\nHost"), 1);
    client.write_all(handshake.as_bytes()).await.unwrap();

    client.shutdown().await.unwrap();

    let mut response = String::new();
    let read = timeout(PATIENCE, client.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    assert!(response.starts_with("HTTP/1.1 499"), "{response}");
}

#[tokio::test]
async fn a_passed_websocket_is_checked_again_without_channels() {
    let recheck = |auth: Auth<Accounts>| auth.recheck(Duration::from_millis(100));
    let members = Members::new(recheck, false).await;
    let mut client = members.open(&members.log_in("ana").await).await;

    members.accounts.ban("ana");

    assert_eq!(next_close(&mut client).await.code, 4401);
}

#[tokio::test]
async fn a_passed_event_stream_ends_with_its_session() {
    let members = Members::new(|auth| auth, true).await;
    let ana = members.log_in("ana").await;
    let mut client = TcpStream::connect(members.address()).await.unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: a\r\nCookie: {ana}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, "data: one\n\n").await;

    members.get("/logout", &ana).await;

    read_until(&mut client, "0\r\n\r\n").await;
}
