//! Tests of the fallback: a WebSocket consumer over server-sent events and POST.

use crate::support::{Echo, Recorder};
use bytes::Bytes;
use http::{Request, Response};
use seaway::{
    ApplicationExt, BoxApplication, Channels, Close, Context, Event, Group, Handshake, Message,
    OpensOverHttp, Rejection, Result, Shared, WebSocketConsumer,
    consumer::SseFallback,
    http::StatusCode,
    protocol::{AllowedOrigins, Body, Http, RateLimit, WebSocket, WebSocketConfig},
    routing::PathRouter,
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use serde::Deserialize;
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

#[derive(Event)]
enum RoomEvent {
    Said { text: String },
}

/// A member of a room. It obeys some words, sends the others to the room, and gets what is said.
struct Member {
    room: Group<RoomEvent>,
    recorder: Recorder,
}

impl WebSocketConsumer for Member {
    type Input = Message;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        if handshake.param::<String>("room")? == "closed" {
            return Err(Rejection::new(StatusCode::FORBIDDEN, "for members"));
        }
        let room: String = handshake.param("room")?;
        let cookie = "seen=1".parse().unwrap();
        handshake.reply_headers_mut().append("set-cookie", cookie);
        Ok(Self {
            room: handshake.join(&format!("room.{room}")).await?,
            recorder: handshake.state::<Recorder>()?.clone(),
        })
    }

    async fn receive(&mut self, ctx: &mut Context<RoomEvent>, message: Message) -> Result<()> {
        let text = String::from_utf8(message.payload().to_vec())?;
        match text.as_str() {
            "leave" => ctx.close(Close::new(4000, "as you wish"))?,
            "bytes" => ctx.send(Message::binary("\0")).await?,
            "wait" => std::future::pending().await,
            _ => self.room.send(&RoomEvent::Said { text }).await?,
        }
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        let RoomEvent::Said { text } = &*event;
        Ok(ctx.send(text.as_str()).await?)
    }

    async fn disconnect(self, close: Close) {
        self.recorder
            .record(format!("{} {}", close.code, close.reason()));
    }
}

/// Two processes that share a channel layer.
struct Site {
    sockets: PathRouter<WebSocket>,
    channels: Channels,
    recorder: Recorder,
}

impl Site {
    fn new() -> Self {
        Self::with(WebSocketConfig::new())
    }

    fn with(config: WebSocketConfig) -> Self {
        let channels = Channels::in_memory();
        let recorder = Recorder::default();
        let provide = seaway::middleware::Provide(recorder.clone());
        let member = Member::application(&channels).with(config).with(provide);
        Self {
            sockets: PathRouter::new().route("/{room}", member),
            channels,
            recorder,
        }
    }

    /// Returns one process; all of them share the channels.
    fn process(&self) -> BoxApplication<Http> {
        let streams = self.sockets.clone().with(SseFallback::new(&self.channels));
        PathRouter::<Http>::new().nest("/ws", streams).boxed()
    }
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path)
        .header("accept", "text/event-stream")
        .header("host", "a.example")
}

/// A client with an open stream.
struct Client {
    app: BoxApplication<Http>,
    stream: HttpCommunicator,
    id: String,
}

#[derive(Deserialize)]
struct Opened {
    connection: String,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Closed {
    code: u16,
    reason: String,
}

impl Client {
    async fn open(app: &BoxApplication<Http>) -> Self {
        Self::open_with(app, get("/ws/lobby")).await
    }

    async fn open_with(app: &BoxApplication<Http>, request: http::request::Builder) -> Self {
        let mut stream = HttpCommunicator::open(app, request.body("").unwrap());
        assert_eq!(stream.status().await, 200);
        let opened = stream.receive_event().await;
        assert_eq!(opened.name, "open");
        let Opened { connection: id } = opened.json();
        let app = app.clone();
        Self { app, stream, id }
    }

    async fn post(&self, text: impl Into<Bytes>) -> Response<Bytes> {
        let request = Request::post("/ws/lobby").header("host", "a.example");
        self.post_with(&self.app, request, text).await
    }

    async fn post_with(
        &self,
        app: &BoxApplication<Http>,
        request: http::request::Builder,
        text: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let request = request.header("seaway-connection", &self.id);
        let request = request.body(text.into()).unwrap();
        HttpCommunicator::request(app, request).await.unwrap()
    }

    /// Sends the head of a message whose body never comes.
    async fn post_endless(&self) -> Response<Bytes> {
        let endless = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let body = Body::new(axum::body::Body::from_stream(endless));
        let request = Request::post("/ws/lobby").header("seaway-connection", &self.id);
        let request = request.header("host", "a.example").body(body).unwrap();
        let response = HttpCommunicator::request(&self.app, request);
        let response = timeout(Duration::from_secs(5), response).await;
        response.expect("it does not wait for the body").unwrap()
    }

    async fn receive(&mut self) -> String {
        let event = self.stream.receive_event().await;
        assert_eq!(event.name, "");
        event.data
    }

    async fn receive_close(&mut self) -> Closed {
        let event = self.stream.receive_event().await;
        assert_eq!(event.name, "close");
        let close = event.json();
        assert!(self.stream.receive().await.is_none(), "the stream goes on");
        close
    }
}

#[tokio::test]
async fn a_consumer_cannot_tell_a_stream_from_a_websocket() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let whole = PathRouter::<WebSocket>::new().nest("/ws", site.sockets.clone());
    let mut bo = WebSocketCommunicator::open(&whole.boxed(), Request::get("/ws/lobby"));
    assert_eq!(bo.status().await, 101);

    assert_eq!(ana.post("ahoy\nthere").await.status(), 204);
    assert_eq!(bo.receive_text().await, "ahoy\nthere");
    assert_eq!(ana.receive().await, "ahoy\nthere");
    bo.send("hello").await;
    assert_eq!(ana.receive().await, "hello");
}

#[tokio::test]
async fn the_head_is_that_of_a_stream_with_the_headers_of_the_handshake() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    let head = ana.stream.reply().await;

    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("set-cookie", "seen=1"),
    ] {
        assert_eq!(head.headers()[name], value);
    }
}

#[tokio::test]
async fn a_post_reaches_its_connection_from_any_process() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let other = site.process();

    let request = Request::post("/ws/lobby");
    let posted = ana.post_with(&other, request, "from afar").await;

    assert_eq!(posted.status(), 204);
    assert_eq!(ana.receive().await, "from afar");
    let large = "x".repeat(100_000);
    let request = Request::post("/ws/lobby");
    let posted = ana.post_with(&other, request, large.clone()).await;
    assert_eq!(posted.status(), 204);
    assert_eq!(ana.receive().await, large);
}

#[tokio::test]
async fn a_rejected_handshake_is_the_response() {
    let site = Site::new();
    let request = get("/ws/closed").body("").unwrap();

    let response = HttpCommunicator::request(&site.process(), request)
        .await
        .unwrap();

    assert_eq!(response.status(), 403);
    assert_eq!(response.body(), "for members");
}

#[tokio::test]
async fn response_hooks_run_for_the_stream_as_for_a_handshake() {
    struct Stamp<A>(A);
    impl<P: OpensOverHttp, A: seaway::Application<P>> seaway::Application<P> for Stamp<A> {
        async fn call(&self, scope: seaway::Scope<P>, mut to: P::Connection) -> Result<()> {
            let hook = |head: &mut http::response::Parts| {
                head.headers.append("x-stamp", "1".parse().unwrap());
            };
            P::on_response(
                &mut to,
                Box::new(move |head| {
                    hook(head);
                    Box::pin(async { Ok(()) })
                }),
            );
            self.0.call(scope, to).await
        }
    }
    let site = Site::new();
    let fallback = SseFallback::new(&site.channels);
    let inside = ApplicationExt::<WebSocket>::with(Stamp(site.sockets.clone()), fallback);
    let outside = Stamp(PathRouter::<Http>::new().nest("/ws", inside));
    let app = ApplicationExt::<Http>::boxed(outside);

    let mut ana = Client::open(&app).await;

    let stamps = ana
        .stream
        .reply()
        .await
        .headers()
        .get_all("x-stamp")
        .iter()
        .count();
    assert_eq!(stamps, 2);
}

#[tokio::test]
async fn the_close_is_the_last_event_and_a_closed_connection_is_unknown() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    assert_eq!(ana.post("leave").await.status(), 204);

    let expected = Closed {
        code: 4000,
        reason: "as you wish".into(),
    };
    assert_eq!(ana.receive_close().await, expected);
    assert_eq!(site.recorder.wait_for(1).await, ["4000 as you wish"]);
    tokio::time::pause();
    assert_eq!(ana.post("late").await.status(), 404);
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_is_disconnected() {
    let site = Site::new();
    let ana = Client::open(&site.process()).await;

    ana.stream.drop_connection().await.unwrap();

    assert_eq!(site.recorder.wait_for(1).await, ["1006 "]);
}

#[tokio::test]
async fn a_binary_message_closes_the_stream_that_cannot_carry_it() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    ana.post("bytes").await;

    assert_eq!(ana.receive_close().await.code, Close::UNSUPPORTED);
}

#[tokio::test]
async fn a_remote_disconnect_reaches_a_stream() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let room: Group<RoomEvent> = site.channels.group("room.lobby").unwrap();

    room.disconnect(Close::new(4001, "kicked")).await.unwrap();

    let expected = Closed {
        code: 4001,
        reason: "kicked".into(),
    };
    assert_eq!(ana.receive_close().await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_id_is_a_secret() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    assert_eq!(ana.id.len(), 32);

    // The names of a consumer's channel, of a queue and of a group are no ids.
    let zeros = "0".repeat(32);
    for id in [&*zeros, "memory!1", "thumbnails", "room.lobby"] {
        let request = Request::post("/ws/lobby").header("seaway-connection", id);
        let response = HttpCommunicator::request(&ana.app, request.body("x").unwrap());
        assert_eq!(response.await.unwrap().status(), 404, "{id}");
    }
    let without = Request::post("/ws/lobby").body("x").unwrap();
    let without = HttpCommunicator::request(&ana.app, without).await.unwrap();
    assert_eq!(without.status(), 400);
    ana.post("mine").await;
    assert_eq!(ana.receive().await, "mine");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_for_an_invented_id_is_refused_before_it_is_read() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    ana.id = "0".repeat(32);

    assert_eq!(ana.post_endless().await.status(), 404);
}

#[tokio::test]
async fn pages_of_other_origins_open_nothing_and_send_nothing() {
    let site = Site::new();
    let app = site.process();
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "https://a.example", 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
    ] {
        let request = get("/ws/lobby").header(name, value).body("").unwrap();
        let mut stream = HttpCommunicator::open(&app, request);
        assert_eq!(stream.status().await, status, "{name}: {value}");
    }

    let ana = Client::open(&app).await;
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("https://a.example", 204),
    ] {
        let request = Request::post("/ws/lobby").header("host", "a.example");
        let request = request.header("origin", origin);
        let posted = ana.post_with(&app, request, "x").await;
        assert_eq!(posted.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn the_page_that_opened_a_stream_may_send_to_it() {
    let site = Site::new();
    let origins = AllowedOrigins::list(["https://app.example"]);
    let sockets = site.sockets.clone().with(origins);
    let app = sockets.with(SseFallback::new(&site.channels));
    let app = PathRouter::<Http>::new().nest("/ws", app).boxed();
    let ana = Client::open_with(
        &app,
        get("/ws/lobby").header("origin", "https://app.example"),
    )
    .await;

    for (origin, status) in [("https://app.example", 204), ("https://evil.example", 403)] {
        let request = Request::post("/ws/lobby").header("host", "a.example");
        let request = request.header("origin", origin);
        assert_eq!(
            ana.post_with(&app, request, "x").await.status(),
            status,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn other_requests_get_the_allowed_methods() {
    let app = Site::new().process();
    for (method, status) in [("GET", 426), ("HEAD", 405), ("DELETE", 405)] {
        let request = Request::builder().method(method).uri("/ws/lobby").body("");
        let response = HttpCommunicator::request(&app, request.unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{method}");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_stays() {
    let site = Site::with(WebSocketConfig::new().max_message_size(10));
    let mut ana = Client::open(&site.process()).await;

    assert_eq!(ana.post("12345678901").await.status(), 413);
    assert_eq!(ana.post(vec![0xff]).await.status(), 400);
    assert_eq!(ana.post("1234567890").await.status(), 204);
    assert_eq!(ana.receive().await, "1234567890");

    let streams = site
        .sockets
        .clone()
        .with(SseFallback::new(&site.channels).max_body(3));
    let app = PathRouter::<Http>::new().nest("/ws", streams).boxed();
    let request = Request::post("/ws/lobby");
    assert_eq!(ana.post_with(&app, request, "1234").await.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_waits_or_is_disconnected() {
    let limit = RateLimit::frames(1).burst(Duration::from_secs(1));
    let site = Site::with(WebSocketConfig::new().rate_limit(limit));
    let mut ana = Client::open(&site.process()).await;
    let mut posted = Vec::new();
    while posted.last().is_none_or(|status| *status == 204) && posted.len() < 9 {
        let response = ana.post("x").await;
        posted.push(response.status().as_u16());
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }
    assert_eq!(posted.last(), Some(&429));
    assert_eq!(ana.post_endless().await.status(), 429);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ana.post("x").await.status(), 204);
    for _ in 0..posted.len() {
        assert_eq!(ana.receive().await, "x");
    }

    let site = Site::with(WebSocketConfig::new().rate_limit(limit.close()));
    let mut bo = Client::open(&site.process()).await;
    for _ in 0..posted.len() {
        bo.post("x").await;
    }
    let close = loop {
        let event = bo.stream.receive_event().await;
        if event.name == "close" {
            break event.json::<Closed>();
        }
    };
    assert_eq!(close.code, Close::POLICY);
}

#[tokio::test(start_paused = true)]
async fn a_busy_consumer_takes_a_bounded_number_of_messages() {
    let site = Site::new();
    let ana = Client::open(&site.process()).await;
    assert_eq!(ana.post("wait").await.status(), 204);

    for waiting in 0..64 {
        assert_eq!(ana.post("x").await.status(), 204, "{waiting}");
    }

    let refused = ana.post("x").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(ana.post_endless().await.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_closed_as_an_idle_websocket_is() {
    let limit = Duration::from_secs(60);
    let site = Site::with(WebSocketConfig::new().idle_timeout(limit));
    let mut ana = Client::open(&site.process()).await;
    tokio::time::sleep(limit / 2).await;
    ana.post("x").await;
    assert_eq!(ana.receive().await, "x");
    let began = tokio::time::Instant::now();
    tokio::time::sleep(limit - Duration::from_secs(1)).await;

    let close = ana.receive_close().await;

    let waited = began.elapsed().as_secs();
    assert_eq!((close.code, waited), (Close::AWAY, limit.as_secs()));
}

/// Sends without an end to a client that does not read.
struct Flood(mpsc::UnboundedSender<usize>);

impl WebSocketConsumer for Flood {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(
            handshake.state::<mpsc::UnboundedSender<usize>>()?.clone(),
        ))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        for sent in 0.. {
            ctx.send("x".repeat(1024)).await?;
            _ = self.0.send(sent);
        }
        Ok(())
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_stream_is_bounded_and_then_closed() {
    let channels = Channels::in_memory();
    let (sent, mut sends) = mpsc::unbounded_channel::<usize>();
    let app = Flood::application(&channels)
        .with(SseFallback::new(&channels))
        .with(seaway::middleware::Provide(sent))
        .boxed();
    let mut ana = Client::open(&app).await;

    // After 60 s without room the consumer's send fails, and it ends.
    let mut count = 0;
    while let Ok(Some(_)) = timeout(Duration::from_secs(120), sends.recv()).await {
        count += 1;
        assert!(count < 200, "the queue has no bound");
    }

    assert!(count > 60, "{count}");
    assert_eq!(ana.receive().await.len(), 1024);
}

#[tokio::test]
async fn bytes_from_a_consumer_that_echoes_arrive_line_by_line() {
    let channels = Channels::in_memory();
    let app = Echo::application(&channels).with(SseFallback::new(&channels));
    let mut ana = Client::open(&app.boxed()).await;

    ana.post("data: x\n\nevent: close\n").await;

    assert_eq!(ana.receive().await, "data: x\n\nevent: close\n");
}
