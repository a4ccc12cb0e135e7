//! The arena's sockets.

use seaway::{
    Context, Error, ErrorKind, Frame, Group, Handshake, NoEvent, Reject, Result, Shared, Text,
    WebSocketConsumer,
};
use serde::{Deserialize, Serialize};

/// Says what it hears.
pub struct Echo;

impl WebSocketConsumer for Echo {
    type Input = Frame;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Reject> {
        Ok(Echo)
    }

    async fn receive(&mut self, ctx: &mut Context, frame: Frame) -> Result<()> {
        ctx.send(frame).await
    }
}

/// Says what it hears to everyone in the room.
pub struct Room {
    members: Group<Message>,
}

/// What members of a room tell each other.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
pub struct Message {
    text: String,
}

impl WebSocketConsumer for Room {
    type Input = Text;
    type Event = Message;

    async fn connect(handshake: &mut Handshake<Message>) -> Result<Self, Reject> {
        let name: String = handshake.path("name")?;
        let members = handshake.join(&format!("room.{name}")).await?;
        Ok(Room { members })
    }

    async fn receive(&mut self, _: &mut Context<Message>, text: Text) -> Result<()> {
        let text = text.into();
        self.members.send(&Message { text }).await
    }

    async fn event(&mut self, ctx: &mut Context<Message>, message: Shared<Message>) -> Result<()> {
        let frame = message.frame(|message| Ok(Frame::text(message.text.as_str())))?;
        ctx.send(frame).await
    }

    /// While Redis is away the sender is told, and stays.
    async fn failed(&mut self, ctx: &mut Context<Message>, error: Error) -> Result<()> {
        match error.kind() {
            ErrorKind::Layer => ctx.send(error.to_string()).await,
            _ => Err(error),
        }
    }
}
