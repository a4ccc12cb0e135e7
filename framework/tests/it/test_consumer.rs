//! An HTTP consumer that does what its query names, and records it.

use crate::support::{Recorder, trouble};
use http::{Request, Response, StatusCode};
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Disconnect, GroupName, HttpConsumer,
    HttpContext, HttpHandshake, HttpResponse, Rejection, Result, SseEvent,
    channels::{ChannelLayer, InMemoryChannelLayer},
    middleware::Provide,
    protocol::{Body, Http},
    testing::HttpCommunicator,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum ChatEvent {
    #[serde(rename = "said")]
    Said { id: u32, text: String },
}

impl seaway::Event for ChatEvent {}

pub(crate) struct TestConsumer {
    recorder: Recorder,
    go_on: Arc<Notify>,
    action: String,
    last_id: Option<String>,
}

impl HttpConsumer for TestConsumer {
    type Event = ChatEvent;

    const MAX_BODY: usize = 1000;
    const SEND_BUFFER: usize = 10_000;

    async fn connect(handshake: &mut HttpHandshake<ChatEvent>) -> Result<Self, Rejection> {
        let test_consumer = Self {
            recorder: handshake.state::<Recorder>()?.clone(),
            go_on: handshake.state::<Arc<Notify>>()?.clone(),
            action: handshake.query("action")?,
            last_id: handshake.last_event_id().map(str::to_owned),
        };
        for (name, value) in [
            ("set-cookie", "greeting=1"),
            ("vary", "greeting"),
            ("x-greeting", "1"),
        ] {
            let headers = handshake.response_headers_mut();
            headers.insert(name, http::HeaderValue::from_static(value));
        }
        handshake.join("room").await?;
        if test_consumer.action == "reject" {
            let reason = "you have no ticket";
            return Err(Rejection::new(StatusCode::FORBIDDEN, reason));
        }
        test_consumer.recorder.record("connect");
        Ok(test_consumer)
    }

    async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
        match self.action.as_str() {
            "respond" => ctx.response("here you are"),
            "no content" => ctx.response(StatusCode::NO_CONTENT),
            "count dropped" => {
                self.go_on.notified().await;
                ctx.response((StatusCode::ACCEPTED, format!("{} were lost", ctx.dropped())))
            }
            "cookies" => {
                let response = Response::builder()
                    .header("set-cookie", "hand=1")
                    .header("vary", "hand");
                ctx.response(response.body("").unwrap())
            }
            "next event" => match ctx.next_event().await?.as_deref() {
                Some(ChatEvent::Said { text, .. }) => ctx.response(text.clone()),
                None => ctx.response("closing time"),
            },
            "time out" => {
                let soon = tokio::time::timeout(Duration::from_secs(30), ctx.next_event());
                assert!(soon.await.is_err(), "nobody says anything");
                ctx.response(StatusCode::NO_CONTENT)
            }
            "hang" => std::future::pending().await,
            "events" => {
                let events = ctx.sse().await?;
                if let Some(id) = &self.last_id {
                    events.send(format!("welcome back after {id}")).await?;
                }
                while let Some(said) = ctx.next_event().await? {
                    events.send(SseEvent::shared(&said, written)?).await?;
                }
                Ok(events.end())
            }
            "one event" => {
                let events = ctx.sse().await?;
                events.send("ahoy").await?;
                Ok(events.end())
            }
            "end then work" => {
                let events = ctx.sse().await?;
                events.send("closed").await?;
                let end = events.end();
                self.go_on.notified().await;
                self.recorder.record("the books are kept");
                Ok(end)
            }
            "silent stream" => {
                let _events = ctx.sse().await?;
                std::future::pending().await
            }
            "endless stream" => {
                let body = ctx.stream(Response::new(())).await?;
                loop {
                    body.send(vec![b'x'; 10_000]).await?;
                    self.recorder.record("sent");
                }
            }
            "numbers" => {
                let body = ctx.stream(Response::new(())).await?;
                for number in 0..1000 {
                    body.send(format!("{number}\n")).await?;
                }
                Ok(body.end())
            }
            "two chunks" => {
                let body = ctx.stream(Response::new(())).await?;
                body.send("the first half").await?;
                self.go_on.notified().await;
                body.send("the second half").await?;
                Ok(body.end())
            }
            "fail after one chunk" => {
                let body = ctx.stream(Response::new(())).await?;
                body.send("the first half").await?;
                Err(trouble().into())
            }
            "read body" => {
                let body = ctx.body().await?;
                ctx.response(body.len().to_string())
            }
            "read body and hang" => {
                let body = ctx.body().await?;
                self.recorder.record(format!("read {}", body.len()));
                std::future::pending().await
            }
            "read chunks" => {
                let mut length = 0;
                while let Some(piece) = ctx.next_chunk().await? {
                    length += piece.len();
                }
                ctx.response(length.to_string())
            }
            "fail" => Err(trouble().into()),
            "panic" => panic!("in a handler"),
            other => panic!("nobody knows {other:?}"),
        }
    }

    async fn disconnect(self, end: Disconnect) {
        self.recorder.record(format!("disconnect {end:?}"));
    }
}

fn written(said: &ChatEvent) -> Result<SseEvent> {
    let ChatEvent::Said { id, text } = said;
    Ok(SseEvent::text(text).name("said").id(id.to_string()))
}

/// The app of these consumers, with the state that they share with a test.
pub(crate) struct TestState {
    pub(crate) recorder: Recorder,
    /// Lets one waiting handler continue.
    pub(crate) go_on: Arc<Notify>,
    pub(crate) channels: Channels,
    layer: InMemoryChannelLayer,
}

impl TestState {
    pub(crate) fn new() -> Self {
        let layer = InMemoryChannelLayer::default();
        Self {
            recorder: Recorder::default(),
            go_on: Arc::default(),
            channels: Channels::new(layer.clone()),
            layer,
        }
    }

    pub(crate) fn pages(&self) -> impl Application<Http> + use<> {
        TestConsumer::application(&self.channels)
            .with(Provide(self.recorder.clone()))
            .with(Provide(self.go_on.clone()))
    }

    pub(crate) fn app(&self) -> BoxApplication<Http> {
        self.pages().boxed()
    }

    pub(crate) fn open(&self, action: &str) -> HttpCommunicator {
        HttpCommunicator::open(&self.app(), asking(action, ""))
    }

    /// Returns the number of members of the group `room`.
    pub(crate) fn members(&self) -> usize {
        let room = GroupName::new("room").unwrap();
        self.layer.local().members(&room)
    }

    pub(crate) async fn publish(&self, id: u32, text: &str) {
        let text = text.to_owned();
        let room = self.channels.group("room").unwrap();
        room.send(&ChatEvent::Said { id, text }).await.unwrap();
    }
}

pub(crate) fn asking(action: &str, body: impl Into<Body>) -> Request<Body> {
    let action = action.replace(' ', "+");
    let request = Request::post(format!("/?action={action}"));
    request.body(body.into()).unwrap()
}
