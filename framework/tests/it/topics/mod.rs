//! Tests of topics: what consumers receive over each transport, and of a layer that loses events;
//! and what topics in memory drop.

mod consumers;
mod expiry;
mod gaps;
mod lossy;
mod over_http;
mod reads;
mod without_topics;

use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Event, Handshake, Json, Missed, Position, Rejection, Result,
    Shared, Text, Topic, TopicEvent, WebSocketConsumer, testing::WebSocketCommunicator,
};
use serde_json::{Value, json};

#[derive(Debug, Event)]
enum LotEvent {
    Placed { cents: u64 },
}

#[derive(Debug, Event)]
enum ChatEvent {
    Said { text: String },
}

#[derive(Debug, Event)]
enum HallEvent {
    Closing,
}

#[derive(Debug, Event)]
enum DeskEvent {
    #[event(include)]
    Lot(TopicEvent<LotEvent>),
    #[event(include)]
    Chat(TopicEvent<ChatEvent>),
    #[event(include)]
    Hall(HallEvent),
}

/// A consumer of two topics and a group, which passes all events on.
struct Desk;

impl WebSocketConsumer for Desk {
    type Input = Text;
    type Event = DeskEvent;

    async fn connect(handshake: &mut Handshake<DeskEvent>) -> Result<Self, Rejection> {
        let lot = handshake.channels().topic::<LotEvent>("lot.7")?;
        handshake.resume(&lot, handshake.since(&lot)?).await?;
        handshake.join_as::<HallEvent>("hall").await?;
        Ok(Desk)
    }

    /// Resumes the chat, as the client says: with a place or without.
    async fn receive(&mut self, ctx: &mut Context<DeskEvent>, place: Text) -> Result<()> {
        let chat = ctx.channels().topic::<ChatEvent>("chat.3")?;
        if &*place == "leave" {
            return Ok(ctx.leave(chat.group()).await?);
        }
        Ok(ctx.resume(&chat, place.parse().ok()).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<DeskEvent>,
        event: Shared<DeskEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    async fn missed(&mut self, ctx: &mut Context<DeskEvent>, _: Missed) -> Result<()> {
        Ok(ctx.send("missed").await?)
    }
}

async fn open(channels: &Channels, path: &str) -> WebSocketCommunicator {
    let app = Desk::application(channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get(path));
    assert_eq!(client.status().await, 101, "{path}");
    client
}

fn lot(channels: &Channels) -> Topic<LotEvent> {
    channels.topic("lot.7").unwrap()
}

async fn place(lot: &Topic<LotEvent>, cents: u64) -> Position {
    lot.send(&LotEvent::Placed { cents }).await.unwrap()
}

fn placed(position: &Position, cents: u64) -> Value {
    json!({
        "topic": "lot.7",
        "offset": position.offset(),
        "epoch": position.epoch(),
        "event": {"type": "lot.placed", "cents": cents},
    })
}

fn recovered(topic: &str, position: &Position, all: bool) -> Value {
    json!({
        "topic": topic,
        "recovered": all,
        "offset": position.offset(),
        "epoch": position.epoch(),
    })
}
