//! One visitor of one room.

use crate::log::Log;
use http::StatusCode;
use seaway::{
    ChannelName, Close, Context, Group, Handshake, Json, Reject, Result, Shared, WebSocketConsumer,
};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// One visitor of one room.
pub struct Room {
    /// This visitor's channel: one person may be here in several tabs.
    id: String,
    name: String,
    room: String,
    members: Group<RoomEvent>,
    log: Arc<Log>,
}

/// What a visitor's page sends.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Request {
    /// `key` is the page's own: it comes back with the message, or with the refusal.
    Say { key: String, text: String },
}

/// What visitors tell each other, and their pages.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RoomEvent {
    #[serde(rename = "chat.message")]
    Message(Message),
    #[serde(rename = "chat.joined")]
    Joined { id: String, name: String },
    /// The answer to a newcomer, for it alone.
    #[serde(rename = "chat.here")]
    Here { id: String, name: String },
    #[serde(rename = "chat.left")]
    Left { id: String, name: String },
}

/// Something said in a room.
#[derive(Clone, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    pub key: String,
    pub from: String,
    pub text: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// What a page gets for itself alone.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Reply {
    Welcome { you: String, past: Vec<Message> },
    Refused { key: String, reason: String },
}

impl WebSocketConsumer for Room {
    type Input = Json<Request>;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Reject> {
        let name: String = handshake.query("name")?;
        let name = name.trim().to_owned();
        if name.is_empty() || name.chars().count() > 30 {
            return Err(bad("a name has 1 to 30 characters"));
        }
        let room: String = handshake.path("room")?;
        if room.len() > 40 {
            return Err(bad("a room's name has 1 to 40 characters"));
        }
        let log = handshake.state::<Arc<Log>>()?.clone();
        let members = handshake.join(&format!("chat.{room}")).await?;
        Ok(Room {
            id: handshake.channel().to_string(),
            name,
            room,
            members,
            log,
        })
    }

    async fn opened(&mut self, ctx: &mut Context<RoomEvent>) -> Result<()> {
        ctx.send(Json(Reply::Welcome {
            you: self.id.clone(),
            past: self.log.past(&self.room),
        }))
        .await?;
        let (id, name) = (self.id.clone(), self.name.clone());
        self.tell(&RoomEvent::Joined { id, name }).await;
        Ok(())
    }

    async fn receive(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        Json(Request::Say { key, text }): Json<Request>,
    ) -> Result<()> {
        let refused = |key, reason: &str| {
            let reason = reason.to_owned();
            ctx.send(Json(Reply::Refused { key, reason }))
        };
        if key.len() > 100 || text.trim().is_empty() || text.chars().count() > 2_000 {
            return refused(key, "a message has 1 to 2,000 characters").await;
        }
        let message = RoomEvent::Message(Message {
            id: format!("{:016x}", fastrand::u64(..)),
            key: key.clone(),
            from: self.name.clone(),
            text,
            at: now(),
        });
        match self.members.send(&message).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "a message was not sent");
                refused(key, "the server cannot reach Redis just now").await
            }
        }
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        match &*event {
            RoomEvent::Message(message) => self.log.note(&self.room, message),
            RoomEvent::Joined { id, .. } if *id != self.id => {
                let here = RoomEvent::Here {
                    id: self.id.clone(),
                    name: self.name.clone(),
                };
                // Any process may have sent this: its id is taken for an address only if it is one.
                if let Ok(newcomer) = ChannelName::new(id.as_str())
                    && let Err(error) = ctx.channels().send(&newcomer, &here).await
                {
                    tracing::debug!(%error, "a newcomer was not greeted");
                }
            }
            _ => {}
        }
        ctx.send(Json(event)).await
    }

    async fn disconnect(self, _: Close) {
        let (id, name) = (self.id.clone(), self.name.clone());
        self.tell(&RoomEvent::Left { id, name }).await;
    }
}

impl Room {
    /// Tells the room what it can do without, should Redis be away.
    async fn tell(&self, event: &RoomEvent) {
        if let Err(error) = self.members.send(event).await {
            tracing::debug!(%error, "the room was not told");
        }
    }
}

fn bad(reason: &'static str) -> Reject {
    Reject::new(StatusCode::BAD_REQUEST, reason)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
