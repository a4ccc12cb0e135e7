//! The arena's WebSocket consumers.

use seaway::{
    Close, Context, Group, Handshake, Message, Missed, NoEvent, Rejection, Result, Shared, Text,
    WebSocketConsumer,
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
        let members = handshake.join(&format!("room.{name}")).await?;
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
