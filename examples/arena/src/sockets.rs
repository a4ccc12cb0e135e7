//! The arena's sockets.

use seaway::{
    Close, Context, Group, Handshake, Message, Missed, NoEvent, Rejection, Result, Shared, Text,
    WebSocketConsumer,
};
use serde::{Deserialize, Serialize};

/// Says what it hears.
pub struct Echo;

impl WebSocketConsumer for Echo {
    type Input = Message;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }

    async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> {
        ctx.send(message).await
    }
}

/// Says what it hears to everyone in the room.
pub struct Room {
    members: Group<RoomEvent>,
}

/// What members of a room tell each other.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RoomEvent {
    #[serde(rename = "room.message")]
    Message { text: String },
}

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
        self.members.send(&RoomEvent::Message { text }).await
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        let message =
            event.message(|RoomEvent::Message { text }| Ok(Message::text(text.as_str())))?;
        ctx.send(message).await
    }

    /// Events may be missing: the client is to come back, at once if it is not to blame.
    async fn missed(&mut self, ctx: &mut Context<RoomEvent>, missed: Missed) -> Result<()> {
        let code = match missed {
            Missed::Overflowed { .. } => Close::TRY_AGAIN,
            _ => SERVICE_RESTART,
        };
        ctx.close(Close::new(code, missed.to_string())).await
    }
}

/// "Service restart": the client may reconnect at once.
const SERVICE_RESTART: u16 = 1012;
