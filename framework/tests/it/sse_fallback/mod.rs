//! Tests of the fallback: a WebSocket consumer over server-sent events and POST.

mod channel_layer;
mod ends;
mod limits;
mod senders;
mod streams;

use crate::support::Recorder;
use bytes::Bytes;
use http::{Request, Response};
use seaway::{
    ApplicationExt, BoxApplication, Channels, Close, Context, Event, Group, Handshake, Message,
    Rejection, Result, Shared, WebSocketConsumer,
    consumer::SseFallback,
    http::StatusCode,
    protocol::{Body, Http, WebSocket, WebSocketConfig},
    routing::PathRouter,
    testing::HttpCommunicator,
};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::timeout;

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
        handshake
            .response_headers_mut()
            .append("set-cookie", cookie);
        Ok(Self {
            room: handshake.join(format!("room.{room}")).await?,
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
        Self::over(Channels::in_memory(), config)
    }

    fn over(channels: Channels, config: WebSocketConfig) -> Self {
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
