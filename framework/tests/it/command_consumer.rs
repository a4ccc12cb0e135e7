//! A WebSocket consumer that executes commands, for tests of the consumer's lifecycle.

use crate::support::{Recorder, trouble};
use http::Request;
use seaway::{
    ApplicationExt, BoxApplication, Channels, Close, Context, Group, Handshake, Json, Rejection,
    Result, Shared, WebSocketConsumer, middleware::Provide, protocol::WebSocket,
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};

/// A consumer that executes the client's commands, and records them.
pub(crate) struct Actor {
    recorder: Recorder,
    room: Group<ChatEvent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Say(String),
    Note(String),
    Fail,
    Panic,
    Hang,
    Close(u16),
    Leave,
    Flood(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "said")]
pub(crate) struct ChatEvent {
    pub(crate) text: String,
}

impl seaway::Event for ChatEvent {}

impl WebSocketConsumer for Actor {
    type Input = Json<Order>;
    type Event = ChatEvent;

    async fn connect(handshake: &mut Handshake<ChatEvent>) -> Result<Self, Rejection> {
        let recorder = handshake.state::<Recorder>()?.clone();
        recorder.record("connect");
        let room = handshake.join("room").await?;
        Ok(Self { recorder, room })
    }

    async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        Ok(ctx.send("welcome").await?)
    }

    async fn receive(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        Json(order): Json<Order>,
    ) -> Result<()> {
        match order {
            Order::Say(text) => Ok(self.room.send(&ChatEvent { text }).await?),
            Order::Note(entry) => {
                // A slow hook: the next one waits.
                tokio::task::yield_now().await;
                self.recorder.record(entry);
                Ok(())
            }
            Order::Fail => Err(trouble().into()),
            Order::Panic => panic!("a handler that panics"),
            Order::Hang => std::future::pending().await,
            Order::Close(code) => Ok(ctx.close(Close::new(code, "requested by the client"))?),
            Order::Leave => Ok(ctx.leave(&self.room).await?),
            Order::Flood(count) => {
                for number in 0..count {
                    ctx.send(number.to_string()).await?;
                }
                Ok(())
            }
        }
    }

    async fn event(&mut self, ctx: &mut Context<ChatEvent>, said: Shared<ChatEvent>) -> Result<()> {
        Ok(ctx.send(Json(said)).await?)
    }

    async fn disconnect(self, close: Close) {
        self.recorder.record(format!("disconnect {}", close.code));
    }
}

pub(crate) fn stage(recorder: &Recorder) -> BoxApplication<WebSocket> {
    stage_of(recorder, &Channels::in_memory())
}

pub(crate) fn stage_of(recorder: &Recorder, channels: &Channels) -> BoxApplication<WebSocket> {
    Actor::application(channels)
        .with(Provide(recorder.clone()))
        .boxed()
}

pub(crate) async fn enter(app: &BoxApplication<WebSocket>) -> WebSocketCommunicator {
    let mut client = WebSocketCommunicator::open(app, Request::get("/"));
    assert_eq!(client.status().await, 101);
    assert_eq!(client.receive_text().await, "welcome");
    client
}
