//! Tests of the log lines for rejected clients, in their own process: each rule logs ten lines a
//! minute.

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use http::{Method, Request, Response, StatusCode, header};
use seaway::{
    Application, ApplicationExt, Channels, Context, Error, ErrorKind, Handshake, HttpConsumer,
    HttpContext, HttpHandshake, HttpResponse, NoEvent, OpensOverHttp, Rejection, Result, Scope,
    Session, WebSocketConsumer, application_fn,
    middleware::Sessions,
    protocol::{AllowedOrigins, Body, Exchange, Http, WebSocket, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
    session::{
        Id, Record, SessionStore,
        session_store::{Error as StoreError, Result as StoreResult},
    },
    testing::HttpCommunicator,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

const PATIENCE: Duration = Duration::from_secs(10);

/// The lines that this thread logs while the test holds it.
struct Log {
    /// The lines about rejected clients.
    lines: Lines,
    /// The lines of this crate that require an operator's action.
    complaints: Lines,
    _listening: tracing::subscriber::DefaultGuard,
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Log {
    fn listen() -> Self {
        let (lines, complaints) = (Lines::default(), Lines::default());
        let listener = Listener {
            lines: lines.clone(),
            complaints: complaints.clone(),
        };
        Self {
            lines,
            complaints,
            _listening: tracing::subscriber::set_default(listener),
        }
    }

    /// Returns the lines since the last call.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.0.lock().unwrap())
    }

    /// Waits for the next line, which must be the only one.
    async fn line(&self) -> String {
        let mut pause = tokio::time::interval(Duration::from_millis(5));
        let waiting = async {
            loop {
                pause.tick().await;
                let mut lines = self.take();
                if let Some(line) = lines.pop() {
                    assert!(lines.is_empty(), "{lines:?} and {line}");
                    return line;
                }
            }
        };
        timeout(PATIENCE, waiting).await.expect("a line in the log")
    }
}

struct Listener {
    lines: Lines,
    complaints: Lines,
}

impl tracing::Subscriber for Listener {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let level = *event.metadata().level();
        let target = event.metadata().target();
        let mut line = level.to_string();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                line.push_str(&format!(" {field}={value:?}"));
            },
        );
        if level <= tracing::Level::WARN && target.starts_with("seaway") {
            self.complaints.0.lock().unwrap().push(line.clone());
        }
        if target == "seaway::rejected" || line.contains("failed to serve a client") {
            self.lines.0.lock().unwrap().push(line);
        }
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

/// A consumer that rejects as its path names.
struct Doorkeeper;

impl WebSocketConsumer for Doorkeeper {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        match handshake.scope().head.uri.path() {
            "/ws/banned" => Err(Rejection::new(StatusCode::FORBIDDEN, "ana's secret is out")),
            "/ws/hang" => std::future::pending().await,
            _ => Ok(Self),
        }
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

/// A consumer that accepts GET with a small body.
struct Small;

impl HttpConsumer for Small {
    type Event = NoEvent;
    const METHODS: &'static [Method] = &[Method::GET];
    const MAX_BODY: usize = 10;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let body = ctx.body().await?;
        ctx.response(format!("{} bytes", body.len()))
    }
}

fn pages() -> PathRouter<Http> {
    let about = application_fn(|_, exchange: Exchange| async move {
        Ok(exchange.respond(Response::new(Body::from("about"))).await?)
    });
    PathRouter::new()
        .route("/about", about)
        .route("/small", Small::application(&Channels::in_memory()))
}

fn sockets() -> impl Application<WebSocket> {
    let limits = WebSocketConfig::new()
        .max_message_size(100)
        .connect_timeout(Duration::from_millis(20));
    PathRouter::new()
        .route(
            "/ws/{room}",
            Doorkeeper::application(&Channels::in_memory()),
        )
        .with(AllowedOrigins::list(["https://app.example"]))
        .with(limits)
}

/// Starts a server of these pages and WebSockets, which runs as long as the test's runtime.
async fn server() -> SocketAddr {
    serve_app(ProtocolTypeRouter::new().http(pages()).websocket(sockets())).await
}

async fn serve_app(app: ProtocolTypeRouter) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { serve(listener, app).stop_on(std::future::pending()).await });
    address
}

/// Sends a request with these head lines; returns the whole response, and the client's address.
async fn ask(server: SocketAddr, head: &str) -> (String, SocketAddr) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let client = stream.local_addr().unwrap();
    let head = format!("{head}\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = String::new();
    let reading = stream.read_to_string(&mut response);
    timeout(PATIENCE, reading).await.unwrap().unwrap();
    (response, client)
}

#[tokio::test]
async fn a_handshake_without_an_upgrade_header_gets_an_explanation_and_is_logged() {
    let log = Log::listen();
    let server = server().await;
    let handshake = "GET /ws/room?token=secret HTTP/1.1\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

    let (response, client) = ask(server, handshake).await;

    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    assert!(
        response.contains("no `Upgrade: websocket` header"),
        "{response}"
    );
    let line = log.line().await;
    assert!(line.starts_with("INFO "), "{line}");
    for part in [
        "rule=\"handshake\"",
        "path=\"/ws/room\"",
        &format!("client={client}"),
        "status=426",
        "no `Upgrade: websocket` header",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!line.contains("secret"), "{line}");
}

#[tokio::test]
async fn http_requests_are_served_and_not_logged() {
    let log = Log::listen();
    let server = server().await;
    for head in ["GET /about HTTP/1.1", "GET /about HTTP/1.1\r\nUpgrade: h2c"] {
        let (response, _) = ask(server, head).await;
        assert!(response.starts_with("HTTP/1.1 200 "), "{head}: {response}");
    }

    assert_eq!(log.take(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_a_router_or_middleware_rejects_logs_one_line() {
    struct Closed;
    impl Application<Http> for Closed {
        async fn call(&self, _: Scope<Http>, exchange: Exchange) -> Result<()> {
            let rejection = Rejection::new(StatusCode::FORBIDDEN, "ana's secret is out");
            Ok(Http::reject(exchange, rejection).await?)
        }
    }
    let log = Log::listen();
    let server = serve_app(ProtocolTypeRouter::new().http(pages().route("/closed", Closed))).await;
    for (head, status, expected) in [
        (
            "GET /nowhere?secret HTTP/1.1",
            404,
            "rule=\"path\" path=\"/nowhere\"",
        ),
        (
            "GET /closed?secret HTTP/1.1",
            403,
            "rule=\"application\" path=\"/closed\"",
        ),
    ] {
        let (response, client) = ask(server, head).await;

        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")));
        let line = log.line().await;
        let expected = format!("{expected} client={client} status={status}");
        assert!(line.contains(&expected), "{expected} in {line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn an_error_is_logged_once_and_only_when_its_response_is_sent() {
    async fn ask_for(error: Error) -> StatusCode {
        let error = Mutex::new(Some(error));
        let app = application_fn(move |_, exchange: Exchange| {
            let error = error.lock().unwrap().take().unwrap();
            async move { Ok(Http::reject(exchange, error).await?) }
        });
        let request = Request::get("/page").body("").unwrap();
        let response = HttpCommunicator::request(&app.boxed(), request).await;
        response.unwrap().status()
    }
    let invalid = || {
        Channels::in_memory()
            .group::<NoEvent>("room 7")
            .unwrap_err()
    };
    let large = || Error::new(ErrorKind::TooLarge, "the meta is too large");
    let log = Log::listen();

    drop([Error::user("the disk is full"), invalid(), large()].map(Rejection::from));

    assert_eq!(log.take(), Vec::<String>::new());
    assert_eq!(*log.complaints.0.lock().unwrap(), Vec::<String>::new());
    for (error, status, level, expected) in [
        (
            Error::user("the disk is full"),
            500,
            "ERROR ",
            "the disk is full",
        ),
        (large(), 500, "ERROR ", "the meta is too large"),
        (invalid(), 400, "INFO ", "room 7"),
    ] {
        assert_eq!(ask_for(error).await, status);
        let line = log.line().await;
        assert!(line.starts_with(level), "{line}");
        for part in ["path=\"/page\"", &format!("status={status}"), expected] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
    let complaints = log.complaints.0.lock().unwrap().len();
    assert_eq!(complaints, 2, "one line for each failure");
}

#[tokio::test]
async fn each_rejected_handshake_logs_one_line() {
    let log = Log::listen();
    let server = server().await;
    let long = format!("/{}", "x".repeat(5000));
    let app = "https://app.example";
    for (path, origin, status, expected) in [
        (
            "/ws/room?secret",
            "https://evil.example",
            403,
            &[
                "rule=\"origin\"",
                "path=\"/ws/room\"",
                "https://evil.example",
            ][..],
        ),
        (
            "/sw/room?secret",
            app,
            404,
            &["rule=\"path\"", "path=\"/sw/room\"", "no route"],
        ),
        (&long, app, 404, &["rule=\"path\"", "xxx\""]),
        (
            "/ws/banned?secret",
            app,
            403,
            &["rule=\"application\"", "path=\"/ws/banned\""],
        ),
        (
            "/ws/hang?secret",
            app,
            503,
            &["rule=\"connect_timeout\"", "path=\"/ws/hang\""],
        ),
    ] {
        let request = format!("ws://{server}{path}").into_client_request();
        let mut request = request.unwrap();
        request
            .headers_mut()
            .insert(header::ORIGIN, origin.parse().unwrap());
        let stream = TcpStream::connect(server).await.unwrap();
        let client = stream.local_addr().unwrap();

        let rejected = client_async(request, stream).await.expect_err(path);

        let line = log.line().await;
        let status = format!("status={status}");
        let client = format!("client={client}");
        assert!(rejected.to_string().contains(&status[7..]), "{rejected}");
        for part in expected.iter().copied().chain([&*status, &*client]) {
            assert!(line.contains(part), "{part} in {line}");
        }
        let level = if status == "status=503" {
            "WARN "
        } else {
            "INFO "
        };
        assert!(line.starts_with(level), "{line}");
        assert!(!line.contains("secret") && line.len() < 600, "{line}");
    }
}

#[tokio::test]
async fn each_rejected_message_logs_one_line() {
    let log = Log::listen();
    let server = server().await;
    for (sent, expected) in [
        (
            Message::binary(vec![0; 101]),
            &["rule=\"message_size\"", "close=1009", "100 bytes"][..],
        ),
        (Message::binary("secret"), &["rule=\"input\"", "close=1007"]),
        (
            Message::Close(Some(tokio_tungstenite::tungstenite::protocol::CloseFrame {
                code: 1000.into(),
                reason: "bye".into(),
            })),
            &[],
        ),
    ] {
        let stream = TcpStream::connect(server).await.unwrap();
        let client = format!("client={}", stream.local_addr().unwrap());
        let url = format!("ws://{server}/ws/room?secret");
        let (mut socket, _) = client_async(url, stream).await.unwrap();

        socket.send(sent).await.unwrap();

        while let Some(Ok(_)) = timeout(PATIENCE, socket.next()).await.expect("an end") {}
        if expected.is_empty() {
            assert_eq!(log.take(), Vec::<String>::new());
            continue;
        }
        let line = log.line().await;
        for part in expected
            .iter()
            .copied()
            .chain(["path=\"/ws/room\"", &*client])
        {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn an_invalid_frame_logs_one_line() {
    let log = Log::listen();
    let server = server().await;
    let stream = TcpStream::connect(server).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{server}/ws/room"), stream)
        .await
        .unwrap();

    // An unmasked frame.
    socket.get_mut().write_all(b"\x81\x02hi").await.unwrap();

    let line = log.line().await;
    for part in [
        "rule=\"protocol\"",
        "close=1002",
        "masked",
        "path=\"/ws/room\"",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn a_request_that_an_http_consumer_rejects_logs_one_line() {
    let log = Log::listen();
    let server = server().await;
    for (head, rule) in [
        (
            "POST /small?secret HTTP/1.1",
            "rule=\"method\" path=\"/small\"",
        ),
        (
            "GET /small HTTP/1.1\r\nContent-Length: 11",
            "rule=\"body_size\" path=\"/small\"",
        ),
    ] {
        _ = ask(server, head).await;

        let line = log.line().await;
        assert!(line.contains(rule), "{line}");
    }
}

#[tokio::test]
async fn an_invalid_request_head_logs_one_line() {
    let log = Log::listen();
    let server = server().await;
    for (head, expected) in [
        (
            "GET /about?secret HTTP/1.1\r\nHost: b.example",
            "rule=\"request_head\" path=\"/about\" client=",
        ),
        ("G@T /about HTTP/1.1", "rule=\"request_head\" client="),
    ] {
        let (response, client) = ask(server, head).await;

        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
        let line = log.line().await;
        let expected = format!("{expected}{client}");
        assert!(line.contains(&expected), "{expected} in {line}");
        assert!(!line.contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn repeated_rejections_are_rate_limited_in_the_log() {
    let log = Log::listen();
    let small = Small::application(&Channels::in_memory()).boxed();
    for _ in 0..50 {
        let request = Request::get("/small").body("more than ten bytes").unwrap();
        let response = HttpCommunicator::request(&small, request).await.unwrap();
        assert_eq!(response.status(), 413);
    }

    let lines = log.take();
    assert_eq!(lines.len(), 50);
    let shown = lines
        .iter()
        .filter(|line| line.starts_with("INFO "))
        .count();
    assert!((1..=10).contains(&shown), "{shown} lines are shown");
    let hidden = lines
        .iter()
        .filter(|line| line.starts_with("DEBUG "))
        .count();
    assert_eq!(shown + hidden, 50);
}

/// A session store that is down.
#[derive(Clone, Debug)]
struct Down;

#[async_trait]
impl SessionStore for Down {
    async fn create(&self, _: &mut Record) -> StoreResult<()> {
        Err(StoreError::Backend("the disk is full".to_owned()))
    }

    async fn save(&self, _: &Record) -> StoreResult<()> {
        Err(StoreError::Backend("the disk is full".to_owned()))
    }

    async fn load(&self, _: &Id) -> StoreResult<Option<Record>> {
        Err(StoreError::Backend("the disk is gone".to_owned()))
    }

    async fn delete(&self, _: &Id) -> StoreResult<()> {
        Err(StoreError::Backend("the disk is gone".to_owned()))
    }
}

/// A consumer that greets the user of its session.
struct Greeting;

impl HttpConsumer for Greeting {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let session: Session = handshake.extract().await?;
        session.get::<String>("name").await?;
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("welcome")
    }
}

#[tokio::test]
async fn requests_with_cookies_do_not_fill_the_log_while_the_session_store_is_down() {
    let log = Log::listen();
    let channels = Channels::in_memory();
    let pages = Greeting::application(&channels)
        .with(Sessions::new(Down, &channels))
        .boxed();

    for _ in 0..100 {
        let cookie = format!("session={}", Id::default());
        let request = Request::get("/").header(header::COOKIE, cookie);
        let request = request.body("").unwrap();
        let response = HttpCommunicator::request(&pages, request).await.unwrap();
        assert_eq!(response.status(), 503);
    }

    let complaints = log.complaints.0.lock().unwrap().clone();
    assert!(
        complaints
            .iter()
            .any(|line| line.contains("the disk is gone")),
        "{complaints:?}"
    );
    assert!(
        complaints.len() <= 10,
        "{} lines, such as {:?}",
        complaints.len(),
        complaints.last()
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_logs_one_line() {
    let log = Log::listen();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let large = application_fn(|_, exchange: Exchange| async move {
        // More than the kernel buffers for a connection.
        let body = Body::from(vec![b'x'; 32 * 1024 * 1024]);
        Ok(exchange.respond(Response::new(body)).await?)
    });
    let app = ProtocolTypeRouter::new().http(large);
    let serving = serve(listener, app)
        .write_timeout(Duration::from_millis(200))
        .stop_on(std::future::pending());
    tokio::spawn(async move { serving.await });

    let mut stream = TcpStream::connect(server).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    stream.write_all(request).await.unwrap();

    let line = log.line().await;
    let client = format!("client={}", stream.local_addr().unwrap());
    for part in ["rule=\"timeout\"", "`write_timeout`", &client] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
