//! Tests of the macros for HTTP consumers.

use crate::support::Recorder;
use http::{Request, StatusCode};
use seaway::{
    ApplicationExt, BoxApplication, Channels, Close, Disconnect, Event, Group, HttpConsumer,
    HttpContext, HttpHandshake, HttpResponse, Json, Missed, Rejection, Result, Shared, Sse,
    consumer, http::Method, middleware::Provide, protocol::Http, routing::PathRouter,
    testing::HttpCommunicator,
};
use std::time::Duration;

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
    Left { name: String },
}

/// Long polling.
#[derive(HttpConsumer)]
struct Next {
    #[param]
    room: String,
    #[query]
    patience: Option<u64>,
    #[state]
    recorder: Recorder,
    #[group("chat.{room}")]
    _members: Group<ChatEvent>,
}

#[consumer]
impl Next {
    const METHODS: &'static [Method] = &[Method::GET];
    const MAX_BODY: usize = 4;

    async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
        self.recorder.record("waiting");
        let patience = Duration::from_secs(self.patience.unwrap_or(30));
        match tokio::time::timeout(patience, ctx.next_event()).await {
            Ok(event) => match event? {
                Some(event) => ctx.response(Json(event)),
                None => ctx.response(StatusCode::NO_CONTENT),
            },
            Err(_) => ctx.response(format!("nothing new in {}", self.room)),
        }
    }

    fn disconnect(self, end: Disconnect) {
        self.recorder.record(format!("{end:?}"));
    }
}

/// A stream of server-sent events with all hooks.
#[derive(HttpConsumer)]
struct Feed {
    #[state]
    recorder: Recorder,
    #[group("chat.{room}")]
    _members: Group<ChatEvent>,
}

#[consumer(sse, forward("chat.message"))]
impl Feed {
    async fn opened(&mut self, ctx: &mut HttpContext<ChatEvent>, events: &Sse) -> Result<()> {
        let path = ctx.scope().head.uri.path();
        Ok(events.send(format!("welcome to {path}")).await?)
    }

    #[on("chat.left")]
    async fn left(&mut self, events: &Sse, event: Shared<ChatEvent>) -> Result<()> {
        let ChatEvent::Left { name } = &*event else {
            return Ok(());
        };
        Ok(events.send(format!("{name} left")).await?)
    }

    async fn missed(&mut self, events: &Sse, missed: Missed) -> Result<()> {
        Ok(events.send(missed.to_string()).await?)
    }

    async fn disconnect(self, end: Disconnect) {
        self.recorder.record(format!("{end:?}"));
    }
}

/// The shortest one.
#[derive(HttpConsumer)]
struct Plain {
    #[group("chat.{room}")]
    _members: Group<ChatEvent>,
}

#[consumer(sse, forward)]
impl Plain {}

/// Its constants depend on the build.
#[derive(HttpConsumer)]
struct Conditional {}

#[consumer]
impl Conditional {
    #[cfg(test)]
    const METHODS: &'static [Method] = &[Method::GET];
    #[cfg(not(test))]
    const METHODS: &'static [Method] = &[Method::POST];
    #[cfg(not(test))]
    const MAX_BODY: usize = 4;

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("here")
    }
}

/// It sends nothing but what its connection needs.
#[derive(HttpConsumer)]
struct Silent {}

#[consumer(sse)]
impl Silent {}

/// Its `connect` is written by hand.
struct Own;

#[consumer]
impl Own {
    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        match handshake.query::<String>("ticket")?.as_str() {
            "valid" => Ok(Self),
            _ => Err(Rejection::from_status(StatusCode::FORBIDDEN)),
        }
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("come in")
    }
}

struct Stage {
    channels: Channels,
    recorder: Recorder,
    app: BoxApplication<Http>,
}

fn stage() -> Stage {
    let channels = Channels::in_memory();
    let recorder = Recorder::default();
    let app = PathRouter::new()
        .route("/next/{room}", Next::application(&channels))
        .route("/feed/{room}", Feed::application(&channels))
        .route("/plain/{room}", Plain::application(&channels))
        .route("/conditional", Conditional::application(&channels))
        .route("/silent", Silent::application(&channels))
        .route("/own", Own::application(&channels));
    Stage {
        app: app.with(Provide(recorder.clone())).boxed(),
        channels,
        recorder,
    }
}

impl Stage {
    fn get(&self, path: &str) -> HttpCommunicator {
        HttpCommunicator::open(&self.app, Request::get(path).body("").unwrap())
    }

    fn room(&self) -> Group<ChatEvent> {
        self.channels.group("chat.lobby").unwrap()
    }

    async fn say(&self, text: &str) {
        let text = text.to_owned();
        let room = self.room();
        room.send(&ChatEvent::Message { text }).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn fields_are_filled_and_handle_responds() {
    let stage = stage();

    let mut client = stage.get("/next/lobby?patience=2");
    assert_eq!(client.receive().await.unwrap(), "nothing new in lobby");
    assert_eq!(stage.recorder.wait_for(2).await, ["waiting", "Responded"]);

    let mut client = stage.get("/next/lobby");
    stage.recorder.wait_for(3).await;
    stage.say("ahoy").await;
    let event = r#"{"type":"chat.message","text":"ahoy"}"#;
    assert_eq!(client.receive().await.unwrap(), event);

    let mut client = stage.get("/next/lobby?patience=soon");
    assert_eq!(client.status().await, 400);
}

#[tokio::test]
async fn the_constants_of_the_block_are_those_of_the_consumer() {
    let stage = stage();
    let send = |request: http::request::Builder, body: &'static str| {
        HttpCommunicator::open(&stage.app, request.body(body).unwrap())
    };

    let mut post = send(Request::post("/next/lobby"), "");
    let mut large = send(Request::get("/next/lobby"), "12345");

    assert_eq!(post.status().await, 405);
    assert_eq!(large.status().await, 413);
    assert_eq!(Next::MAX_BODY, <Next as HttpConsumer>::MAX_BODY);
}

#[tokio::test]
async fn a_constant_of_the_block_is_set_only_where_its_cfg_holds() {
    let request = Request::post("/conditional").body("").unwrap();
    let mut post = HttpCommunicator::open(&stage().app, request);

    assert_eq!(post.status().await, 405);
    assert_ne!(<Conditional as HttpConsumer>::MAX_BODY, 4);
}

#[tokio::test]
async fn a_disconnected_request_is_revoked() {
    let stage = stage();
    let mut client = stage.get("/next/lobby");
    let close = Close::new(4000, "enough");

    stage.recorder.wait_for(1).await;
    stage.room().disconnect(close.clone()).await.unwrap();

    assert_eq!(client.status().await, 403);
    let end = format!("{:?}", Disconnect::Revoked(close));
    assert_eq!(stage.recorder.wait_for(2).await, ["waiting", &end]);
}

#[tokio::test]
async fn a_stream_without_any_method_is_open() {
    let mut client = stage().get("/silent");

    assert_eq!(client.status().await, 200);
}

#[tokio::test]
async fn a_stream_has_hooks_and_forwards_events() {
    let stage = stage();
    let mut client = stage.get("/feed/lobby");
    assert_eq!(client.receive_event().await.data, "welcome to /feed/lobby");

    stage.say("ahoy").await;
    let name = "ana".to_owned();
    let room = stage.room();
    room.send(&ChatEvent::Left { name }).await.unwrap();

    let event = r#"{"type":"chat.message","text":"ahoy"}"#;
    assert_eq!(client.receive_event().await.data, event);
    assert_eq!(client.receive_event().await.data, "ana left");
    _ = client.drop_connection().await;
    assert_eq!(stage.recorder.wait_for(1).await, ["ClientLeft"]);
}

#[tokio::test]
async fn the_shortest_stream_forwards_all_events() {
    let stage = stage();
    let mut client = stage.get("/plain/lobby");
    assert_eq!(client.status().await, 200);

    stage.say("ahoy").await;

    let event = r#"{"type":"chat.message","text":"ahoy"}"#;
    assert_eq!(client.receive_event().await.data, event);
}

/// An error of the application, which its pages respond to with a status of their own.
#[derive(Debug)]
enum StoreError {
    NotThere,
    Broken,
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for StoreError {}

fn refused(error: StoreError) -> Rejection {
    match error {
        StoreError::NotThere => Rejection::from_status(StatusCode::NOT_FOUND),
        error => error.into(),
    }
}

fn look_up(list: &str) -> Result<&'static str, StoreError> {
    match list {
        "lobby" => Ok("milk"),
        "broken" => Err(StoreError::Broken),
        _ => Err(StoreError::NotThere),
    }
}

/// A consumer whose hooks return errors of the application.
struct List {
    name: String,
}

#[consumer]
impl List {
    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, StoreError> {
        let name: String = handshake.param("room").unwrap();
        match name.as_str() {
            "refused" => Err(StoreError::Broken),
            _ => Ok(Self { name }),
        }
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let list = look_up(&self.name).map_err(refused)?;
        ctx.response(list)
    }
}

/// The same, by the types of the results alone.
struct Short(String);

#[consumer]
impl Short {
    async fn connect(handshake: &mut HttpHandshake) -> Result<Self> {
        Ok(Self(handshake.param("room")?))
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse, Rejection> {
        Ok(ctx.response(look_up(&self.0).map_err(refused)?)?)
    }
}

#[tokio::test]
async fn hooks_return_errors_of_the_application_and_rejections() {
    let channels = Channels::in_memory();
    let app = PathRouter::<Http>::new()
        .route("/lists/{room}", List::application(&channels))
        .route("/short/{room}", Short::application(&channels))
        .boxed();
    for (path, status, body) in [
        ("/lists/lobby", 200, "milk"),
        ("/lists/none", 404, "Not Found"),
        ("/lists/broken", 500, "Internal Server Error"),
        ("/lists/refused", 500, "Internal Server Error"),
        ("/short/lobby", 200, "milk"),
        ("/short/none", 404, "Not Found"),
    ] {
        let mut client = HttpCommunicator::open(&app, Request::get(path).body("").unwrap());

        assert_eq!(client.status().await, status, "{path}");
        assert_eq!(client.receive().await.unwrap(), body, "{path}");
    }
}

#[tokio::test]
async fn a_connect_of_ones_own_rejects() {
    let stage = stage();

    let mut without = stage.get("/own");
    let mut forged = stage.get("/own?ticket=forged");
    let mut valid = stage.get("/own?ticket=valid");

    assert_eq!(without.status().await, 400);
    assert_eq!(forged.status().await, 403);
    assert_eq!(valid.receive().await.unwrap(), "come in");
}

/// A stream whose hooks return nothing.
#[derive(HttpConsumer)]
struct Quiet {
    #[state]
    recorder: Recorder,
    #[group("chat")]
    _members: Group<ChatEvent>,
}

#[consumer(sse, forward)]
impl Quiet {
    fn opened(&mut self) {
        self.recorder.record("opened");
    }

    async fn missed(&mut self, missed: Missed) {
        self.recorder.record(format!("{missed:?}"));
    }
}

#[tokio::test]
async fn the_hooks_of_a_stream_may_return_nothing() {
    let recorder = Recorder::default();
    let channels = Channels::in_memory();
    let app = Quiet::application(&channels).with(Provide(recorder.clone()));
    let mut stream = HttpCommunicator::open(&app.boxed(), Request::get("/").body("").unwrap());
    assert_eq!(stream.status().await, StatusCode::OK);

    let chat: Group<ChatEvent> = channels.group("chat").unwrap();
    let left = ChatEvent::Left { name: "bo".into() };
    chat.send(&left).await.unwrap();

    assert_eq!(
        stream.receive_event().await.data,
        r#"{"type":"chat.left","name":"bo"}"#
    );
    assert_eq!(recorder.entries(), ["opened"]);
}
