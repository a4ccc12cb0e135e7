//! Tests of what `malformed` and `failed` get.

use crate::{command_consumer::ChatEvent, support::Recorder};
use http::Request;
use seaway::{
    ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BoxApplication, Channels,
    Context, Error, Handshake, Json, Message, Rejection, Result, Shared, Timer, WebSocketConsumer,
    consumer::Trigger, middleware::Provide, protocol::WebSocket, testing::WebSocketCommunicator,
};
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
struct Bid {
    #[expect(dead_code, reason = "only its absence matters")]
    cents: u64,
}

/// A consumer whose hooks all fail, and which records what its `failed` and `malformed` get.
struct Careless(Recorder);

impl WebSocketConsumer for Careless {
    type Input = Json<Bid>;
    type Event = ChatEvent;

    const TIMERS: &'static [Timer] = &[
        Timer::every("slow", Duration::from_secs(9)),
        Timer::every("fast", Duration::from_secs(7)),
    ];

    async fn connect(handshake: &mut Handshake<ChatEvent>) -> Result<Self, Rejection> {
        handshake.join("room").await?;
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    async fn opened(&mut self, _: &mut Context<ChatEvent>) -> Result<()> {
        Err("opened")?
    }

    async fn receive(&mut self, _: &mut Context<ChatEvent>, _: Json<Bid>) -> Result<()> {
        Err("received")?
    }

    async fn event(&mut self, _: &mut Context<ChatEvent>, _: Shared<ChatEvent>) -> Result<()> {
        Err("received")?
    }

    async fn timer(&mut self, _: &mut Context<ChatEvent>, _: &Timer) -> Result<()> {
        Err("timed")?
    }

    async fn malformed(
        &mut self,
        _: &mut Context<ChatEvent>,
        error: Error,
        message: Message,
    ) -> Result<()> {
        self.0.record(format!("{error:#} in {message:?}"));
        Err("malformed")?
    }

    async fn failed(
        &mut self,
        _: &mut Context<ChatEvent>,
        error: Error,
        trigger: Trigger,
    ) -> Result<()> {
        self.0.record(format!("{error:#}: {trigger}"));
        Ok(())
    }
}

/// The same, on the pool.
struct CarelessBlocking(Recorder);

impl BlockingConsumer for CarelessBlocking {
    type Input = Json<Bid>;
    type Event = ChatEvent;

    const TIMERS: &'static [Timer] = Careless::TIMERS;

    fn connect(handshake: &mut BlockingHandshake<ChatEvent>) -> Result<Self, Rejection> {
        handshake.join("room")?;
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    fn opened(&mut self, _: &mut BlockingContext<ChatEvent>) -> Result<()> {
        Err("opened")?
    }

    fn receive(&mut self, _: &mut BlockingContext<ChatEvent>, _: Json<Bid>) -> Result<()> {
        Err("received")?
    }

    fn event(&mut self, _: &mut BlockingContext<ChatEvent>, _: Shared<ChatEvent>) -> Result<()> {
        Err("received")?
    }

    fn timer(&mut self, _: &mut BlockingContext<ChatEvent>, _: &Timer) -> Result<()> {
        Err("timed")?
    }

    fn malformed(
        &mut self,
        _: &mut BlockingContext<ChatEvent>,
        error: Error,
        message: Message,
    ) -> Result<()> {
        self.0.record(format!("{error:#} in {message:?}"));
        Err("malformed")?
    }

    fn failed(
        &mut self,
        _: &mut BlockingContext<ChatEvent>,
        error: Error,
        trigger: Trigger,
    ) -> Result<()> {
        self.0.record(format!("{error:#}: {trigger}"));
        Ok(())
    }
}

/// Makes each hook fail once, and returns what the consumer recorded.
async fn provoke(
    app: &BoxApplication<WebSocket>,
    channels: &Channels,
    recorder: &Recorder,
) -> Vec<String> {
    let mut client = WebSocketCommunicator::open(app, Request::get("/"));
    assert_eq!(client.status().await, 101);
    recorder.wait_for(1).await;
    client.send(r#"{"cents": 7}"#).await;
    recorder.wait_for(2).await;
    client.send(r#"{"id": 3}"#).await;
    recorder.wait_for(4).await;
    client.send(vec![0u8, 1]).await;
    recorder.wait_for(6).await;
    let room = channels.group::<ChatEvent>("room").unwrap();
    room.send(&ChatEvent { text: "hi".into() }).await.unwrap();
    recorder.wait_for(7).await;
    recorder.wait_for(9).await
}

const EXPECTED: [&str; 9] = [
    "opened: opened",
    "received: message",
    r#"unexpected JSON: missing field `cents` at line 1 column 9 in Text("{\"id\": 3}")"#,
    "malformed: message",
    r#"expected a text message in Binary(b"\0\x01")"#,
    "malformed: message",
    "received: event",
    r#"timed: timer "fast""#,
    r#"timed: timer "slow""#,
];

#[tokio::test(start_paused = true)]
async fn failed_and_malformed_get_what_was_handled() {
    let (channels, recorder) = (Channels::in_memory(), Recorder::default());
    let app = Careless::application(&channels).with(Provide(recorder.clone()));

    assert_eq!(provoke(&app.boxed(), &channels, &recorder).await, EXPECTED);
}

#[tokio::test(start_paused = true)]
async fn blocking_hooks_get_the_same() {
    let (channels, recorder) = (Channels::in_memory(), Recorder::default());
    let app = CarelessBlocking::application(&channels).with(Provide(recorder.clone()));

    assert_eq!(provoke(&app.boxed(), &channels, &recorder).await, EXPECTED);
}
