//! The arena's WebSocket consumers.

use seaway::{
    Close, Context, Group, Handshake, Message, Missed, NoEvent, Position, Rejection, Result,
    Shared, Text, Topic, TopicEvent, WebSocketConsumer,
};
use serde::{Deserialize, Serialize};

/// A consumer that echoes every message.
pub struct Echo;

impl WebSocketConsumer for Echo {
    type Input = Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }

    async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> {
        Ok(ctx.send(message).await?)
    }

    /// Tells tests that this hook ran for each client.
    async fn disconnect(self, close: Close) {
        tracing::debug!(code = close.code, "an echoing client has disconnected");
    }
}

/// A consumer with a mistake: it panics at the first message.
pub struct Panic;

impl WebSocketConsumer for Panic {
    type Input = Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Panic)
    }

    async fn receive(&mut self, _: &mut Context, _: Message) -> Result<()> {
        panic!("the consumer of /ws/panic panics")
    }
}

/// A consumer that sends every text message to all members of its room.
pub struct Room {
    members: Group<RoomEvent>,
}

/// The events of a room.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RoomEvent {
    #[serde(rename = "room.message")]
    Message { text: String },
}

impl seaway::Event for RoomEvent {}

impl WebSocketConsumer for Room {
    type Input = Text;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        let name: String = handshake.param("name")?;
        let members = handshake.join(format!("room.{name}")).await?;
        Ok(Room { members })
    }

    async fn receive(&mut self, _: &mut Context<RoomEvent>, text: Text) -> Result<()> {
        let text = text.into();
        Ok(self.members.send(&RoomEvent::Message { text }).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        let message =
            event.message(|RoomEvent::Message { text }| Ok(Message::text(text.as_str())))?;
        Ok(ctx.send(message).await?)
    }

    /// Closes the connection, as events may be missing. The client should reconnect: at once,
    /// unless its own mailbox overflowed.
    async fn missed(&mut self, ctx: &mut Context<RoomEvent>, missed: Missed) -> Result<()> {
        let code = match missed {
            Missed::Overflowed { .. } => Close::TRY_AGAIN,
            _ => SERVICE_RESTART,
        };
        Ok(ctx.close(Close::new(code, missed.to_string()))?)
    }
}

/// The close code "service restart": the client may reconnect at once.
const SERVICE_RESTART: u16 = 1012;

/// A consumer that publishes every text message to a topic, and sends its events with their places.
///
/// With `?since=OFFSET&epoch=E` the client first receives what it has missed.
pub struct Follower {
    topic: Topic<RoomEvent>,
    /// Whether the end of the resume is still to be received, and the client has not asked for one.
    is_new: bool,
}

/// The number of events that a topic remembers.
#[derive(Clone, Copy)]
pub struct History(pub usize);

impl WebSocketConsumer for Follower {
    type Input = Text;
    type Event = TopicEvent<RoomEvent>;

    async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
        let name: String = handshake.param("name")?;
        let History(size) = *handshake.state()?;
        let topic = handshake.channels().topic(format!("topic.{name}"))?;
        let topic = topic.history_size(size);
        let since = match handshake.query_opt("since")? {
            Some(offset) => {
                let epoch = handshake.raw_query("epoch").unwrap_or_default();
                // What is no epoch is none of this topic.
                let position = Position::new(offset, &epoch);
                Some(position.or_else(|_| Position::new(offset, "none"))?)
            }
            None => None,
        };
        let is_new = since.is_none();
        handshake.resume(&topic, since).await?;
        Ok(Follower { topic, is_new })
    }

    async fn receive(&mut self, _: &mut Context<Self::Event>, text: Text) -> Result<()> {
        let text = text.into();
        self.topic.send(&RoomEvent::Message { text }).await?;
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<Self::Event>,
        event: Shared<Self::Event>,
    ) -> Result<()> {
        // A client that has not asked for the past gets no end of it.
        if std::mem::take(&mut self.is_new) && matches!(*event, TopicEvent::Recovered { .. }) {
            return Ok(());
        }
        Ok(ctx.send(event.message(written)?).await?)
    }

    /// The topic reads what was missed itself, or tells of a gap.
    async fn missed(&mut self, _: &mut Context<Self::Event>, _: Missed) -> Result<()> {
        Ok(())
    }
}

/// The JSON that a client of a topic receives.
#[derive(Serialize)]
#[serde(untagged)]
enum Written<'a> {
    Event {
        offset: u64,
        epoch: &'a str,
        text: &'a str,
    },
    Recovered {
        recovered: bool,
        offset: u64,
        epoch: &'a str,
    },
}

fn written(event: &TopicEvent<RoomEvent>) -> Result<Message> {
    let (offset, epoch) = (event.position().offset(), event.position().epoch());
    let written = match event {
        TopicEvent::Event {
            event: RoomEvent::Message { text },
            ..
        } => Written::Event {
            offset,
            epoch,
            text,
        },
        TopicEvent::Recovered { all, .. } => Written::Recovered {
            recovered: *all,
            offset,
            epoch,
        },
    };
    Ok(Message::text(serde_json::to_string(&written)?))
}
