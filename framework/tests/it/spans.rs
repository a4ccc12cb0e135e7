//! Tests of tracing spans: every log line of a connection names it.

use crate::{
    command_consumer::ChatEvent,
    support::{Server, eventually, next_close, read_until, send_text, try_connect},
};
use futures_util::StreamExt;
use http::{Request, Response, StatusCode};
use seaway::{
    Application, ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, ChannelName,
    Channels, Context, Error, Event, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    HttpResponse, NoEvent, OpensOverHttp, Rejection, Result, Scope, WebSocketConsumer,
    WorkerContext, from_service,
    protocol::{Body, Http, WebSocket},
    routing::{ChannelNameRouter, PathRouter, ProtocolTypeRouter},
    serve_workers,
    testing::{HttpCommunicator, WebSocketCommunicator},
    worker_fn,
};
use std::{
    future::pending,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower::ServiceExt;
use tracing::Instrument;
use tracing_subscriber::fmt::format::FmtSpan;

/// The recorded log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records all lines of this thread, at every level: a line over its rate limit has the level
    /// `debug`.
    fn listen() -> (Self, tracing::subscriber::DefaultGuard) {
        Self::listen_at(tracing::Level::DEBUG)
    }

    /// Records the lines of this level and above, as `RUST_LOG` selects them.
    fn listen_at(level: tracing::Level) -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Waits for a line that contains this.
    async fn line(&self, part: &str) -> String {
        eventually(|| {
            let text = self.text();
            text.lines()
                .find(|line| line.contains(part))
                .map(str::to_owned)
        })
        .await
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut *self.0.lock().unwrap(), bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A consumer that logs a line before its response is sent, and one afterwards.
struct Speaker;

impl HttpConsumer for Speaker {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        tracing::info!("before");
        let body = ctx.stream(Response::new(())).await?;
        tokio::task::yield_now().await;
        tracing::info!("after");
        drop(body);
        Err(Error::user("the database is on fire").into())
    }
}

#[tokio::test]
async fn log_lines_after_the_response_are_in_the_span_of_the_request() {
    let log = Log::default();
    let writer = log.clone();
    // The last line has the level `debug` once other tests have used up its rate limit.
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone());
    let _logging = tracing::subscriber::set_default(subscriber.finish());
    let app = Speaker::application(&Channels::in_memory());

    let responding = app.oneshot(Request::new(Body::empty()));
    let response = responding.instrument(tracing::info_span!("request")).await;

    let lines = eventually(|| {
        let text = log.text();
        let parts = ["before", "after", "the database is on fire"];
        let line = |part| text.lines().find(|line| line.contains(part));
        let lines: Option<Vec<_>> = parts.into_iter().map(line).collect();
        lines.map(|lines| lines.into_iter().map(str::to_owned).collect::<Vec<_>>())
    });
    for line in lines.await {
        assert!(line.contains(" request:connection{"), "{line}");
    }
    drop(response);
}

#[tokio::test]
async fn a_send_and_a_join_are_spans_with_their_group() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::DEBUG)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .finish();
    let _listening = tracing::subscriber::set_default(subscriber);
    let channels = Channels::in_memory();
    let mailbox = channels.open().await.unwrap();
    let group = channels.group::<ChatEvent>("harbour").unwrap();

    async {
        group.add(mailbox.name()).await.unwrap();
        group
            .send(&ChatEvent {
                text: "hello".into(),
            })
            .await
            .unwrap();
    }
    .instrument(tracing::info_span!("page"))
    .await;

    let text = log.text();
    for part in [
        "page:group_add{group=harbour",
        "page:group_send{group=harbour bytes=",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// A consumer that fails on each message.
struct Failing;

impl WebSocketConsumer for Failing {
    type Input = String;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
        tracing::info!("received {text}");
        Err("the database is on fire")?
    }
}

struct FailingBlocking;

impl BlockingConsumer for FailingBlocking {
    type Input = String;
    type Event = NoEvent;

    fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    fn receive(&mut self, _: &mut BlockingContext, _: String) -> Result<()> {
        Err("the cellar is on fire")?
    }
}

struct FailingPage;

impl HttpConsumer for FailingPage {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, _: &mut HttpContext) -> Result<HttpResponse> {
        Err("the attic is on fire")?
    }
}

#[tokio::test]
async fn every_log_line_of_a_failed_connection_names_it() {
    let (log, _listening) = Log::listen();
    let channels = Channels::in_memory();
    let sockets = PathRouter::new()
        .route("/ws/{room}", Failing::application(&channels))
        .route("/blocking", FailingBlocking::application(&channels));
    let server = Server::start(ProtocolTypeRouter::new().websocket(sockets)).await;

    for (path, parts) in [
        ("/ws/7?secret=1", ["received x", "the database is on fire"]),
        ("/blocking", ["the cellar", "the cellar is on fire"]),
    ] {
        let id = [("x-request-id", "r-17")];
        let mut client = try_connect(server.address, path, &id).await.unwrap();
        send_text(&mut client, "x").await;
        assert_eq!(next_close(&mut client).await.code, 1011);
        for part in parts {
            let line = log.line(part).await;
            let path = path.split('?').next().unwrap();
            for field in [
                r#"connection{protocol="websocket""#,
                &format!("path={path:?}"),
                "client=127.0.0.1:",
                r#"request_id="r-17""#,
                "consumer=it::spans::Failing",
            ] {
                assert!(line.contains(field), "{field} in {line}");
            }
            assert!(!line.contains("secret"), "{line}");
        }
    }
}

#[tokio::test]
async fn the_access_log_has_a_line_for_each_response_and_each_websocket_that_ended() {
    let (log, _listening) = Log::listen();
    let channels = Channels::in_memory();
    let app = ProtocolTypeRouter::new()
        .http(PathRouter::new().route("/page", Page::application(&channels)))
        .websocket(PathRouter::new().route("/ws", Failing::application(&channels)));
    let server = Server::start(app).await;

    let mut page = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /page?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    page.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut page, "hello").await;
    let mut client = try_connect(server.address, "/ws", &[]).await.unwrap();
    send_text(&mut client, "x").await;
    next_close(&mut client).await;
    // The rest of the closing handshake: the line follows it.
    while client.next().await.is_some() {}

    for (path, status) in [("/page", 200), ("/ws", 101)] {
        let line = log.line(&format!("status={status}")).await;
        for part in [
            "DEBUG seaway::access: responded method=GET",
            &format!("path={path:?} client=127.0.0.1:"),
            " millis=",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!line.contains("secret"), "{line}");
    }
    let line = log.line("a WebSocket ended").await;
    for part in [r#"path="/ws""#, "consumer=it::spans::Failing", "code=1011"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn a_failed_request_is_named_and_not_called_a_rejected_client() {
    let (log, _listening) = Log::listen();
    let app = ApplicationExt::boxed(FailingPage::application(&Channels::in_memory()));
    let request = Request::get("/attic").header("x-request-id", "r-18");

    let response = HttpCommunicator::request(&app, request.body("").unwrap()).await;

    assert_eq!(response.unwrap().status(), 500);
    let line = log.line("the attic is on fire").await;
    for part in [
        r#"connection{protocol="http" path="/attic" request_id="r-18" consumer=it::spans::FailingPage}"#,
        "failed to serve a client",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
    assert!(!log.text().contains("rejected a client"), "{}", log.text());
}

#[tokio::test]
async fn a_failed_axum_handler_is_named() {
    async fn failing() -> Result<&'static str> {
        Err(Error::user("the cellar is on fire").into())
    }
    let (log, _listening) = Log::listen();
    let pages = axum::Router::new().route("/cellar", axum::routing::get(failing));
    let app = ProtocolTypeRouter::new().http(from_service(pages));
    let request = Request::get("/cellar").header("x-request-id", "r-19");

    let response = app.oneshot(request.body(Body::empty()).unwrap()).await;

    assert_eq!(response.unwrap().status(), 500);
    let line = log.line("the cellar is on fire").await;
    for part in [
        r#"connection{protocol="http" path="/cellar" request_id="r-19"}"#,
        "failed to serve a client",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn middleware_adds_the_request_id_and_the_user_to_the_log_lines_of_a_connection() {
    struct TraceId<A>(A);
    impl<P: OpensOverHttp, A: Application<P>> Application<P> for TraceId<A> {
        async fn call(&self, scope: Scope<P>, connection: P::Connection) -> Result<()> {
            scope.record("request_id", "t-1");
            scope.record("user", 7);
            self.0.call(scope, connection).await
        }
    }
    let (log, _listening) = Log::listen();
    let app = TraceId(Failing::application(&Channels::in_memory())).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/ws"));

    client.send("y").await;
    assert_eq!(client.receive_close().await.code, 1011);

    let line = log.line("received y").await;
    for part in [r#"path="/ws""#, "request_id=t-1", "user=7"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[tokio::test]
async fn a_response_hook_that_rejects_is_logged_for_pages_and_for_sockets() {
    struct NoRoom<A>(A);
    impl<P: OpensOverHttp, A: Application<P>> Application<P> for NoRoom<A> {
        async fn call(&self, scope: Scope<P>, mut connection: P::Connection) -> Result<()> {
            P::on_response(
                &mut connection,
                Box::new(|_| {
                    let rejection = Rejection::new(StatusCode::INSUFFICIENT_STORAGE, "it is full");
                    Box::pin(async { Err(rejection) })
                }),
            );
            self.0.call(scope, connection).await
        }
    }
    let (log, _listening) = Log::listen();
    let channels = Channels::in_memory();
    let page = ApplicationExt::<Http>::boxed(NoRoom(Page::application(&channels)));
    let socket = ApplicationExt::<WebSocket>::boxed(NoRoom(Failing::application(&channels)));

    let request = Request::get("/page").body("").unwrap();
    let response = HttpCommunicator::request(&page, request).await.unwrap();
    assert_eq!(response.status(), 507);
    let mut client = WebSocketCommunicator::open(&socket, Request::get("/socket"));
    assert_eq!(client.status().await, 507);

    for path in ["/page", "/socket"] {
        let refused = log.text();
        let mut lines = refused
            .lines()
            .filter(|line| line.contains("rejected a client"));
        let line = lines.find(|line| line.contains(path));
        assert!(
            line.is_some_and(|line| line.contains("status=507")),
            "{path} in {refused}"
        );
    }
}

/// A page that responds.
struct Page;

impl HttpConsumer for Page {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("hello")
    }
}

#[cfg(feature = "sessions")]
#[tokio::test]
async fn the_log_lines_of_a_connection_show_its_user() {
    use seaway::{Authenticator, User, middleware::Auth};

    struct Accounts;
    impl Authenticator for Accounts {
        type User = u32;
        type Credentials = ();

        fn id(&self, user: &u32) -> String {
            user.to_string()
        }
        async fn load(&self, id: &str) -> Result<Option<u32>> {
            Ok(Some(id.parse()?))
        }
        async fn authenticate(&self, (): ()) -> Result<Option<u32>> {
            Ok(None)
        }
    }
    struct Members;
    impl HttpConsumer for Members {
        type Event = NoEvent;

        async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
            handshake.extract::<User<u32>>().await?;
            Ok(Self)
        }
        async fn handle(&mut self, _: &mut HttpContext) -> Result<HttpResponse> {
            Err("the library is on fire")?
        }
    }
    let (log, _listening) = Log::listen();
    let auth = Auth::new(Accounts).tokens(|token| async move { Ok(Some(token)) });
    let app = Members::application(&Channels::in_memory()).with(auth);
    let request = Request::get("/").header("authorization", "Bearer 42");

    let response = HttpCommunicator::request(&app.boxed(), request.body("").unwrap()).await;

    assert_eq!(response.unwrap().status(), 500);
    let line = log.line("the library is on fire").await;
    assert!(line.contains("user=42"), "{line}");
}

#[derive(Event)]
enum SlowJob {
    Wait,
}

async fn wait(_: WorkerContext, job: SlowJob) -> Result<()> {
    match job {
        SlowJob::Wait => pending().await,
    }
}

#[tokio::test(start_paused = true)]
async fn the_line_of_an_aborted_job_names_its_channel_and_type_if_only_warnings_are_logged() {
    let (log, _logging) = Log::listen_at(tracing::Level::WARN);
    let channels = Channels::in_memory();
    let queue = ChannelName::new("slow").unwrap();
    channels.send(&queue, &SlowJob::Wait).await.unwrap();
    let workers = ChannelNameRouter::new().route("slow", worker_fn(&channels, wait));

    serve_workers(&channels, workers)
        .stop_on(tokio::time::sleep(Duration::from_secs(5)))
        .await
        .unwrap();

    let line = log.line("a job was aborted, and is lost").await;
    let span = r#"job{channel=slow type="slow_job.wait"}"#;
    assert!(line.contains(span), "{line}");
}
