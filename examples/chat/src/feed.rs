//! The synchronization of a page with its room: it is sent every message once and in order.

use crate::{
    chat::Chat,
    events::{ChatEvent, Welcome},
    messages::{Message, Page},
    rooms::Room,
};
use seaway::{
    Context, FromScope, Json, Rejection, Result, Scope, Shared, http::StatusCode,
    protocol::WebSocket,
};
use std::sync::Arc;

/// The state of a page: what it has been sent of its room.
pub struct Feed {
    pub room: Room,
    chat: Arc<Chat>,
    /// The page has all messages up to this id; `None` before the first message to it.
    sent: Option<i64>,
}

/// The handling of a message event.
#[derive(Debug, PartialEq)]
enum Step {
    /// The page has it already.
    Skip,
    /// It is the next message.
    Send,
    /// An earlier message has not arrived, or not yet: read the missing ones from the database.
    CatchUp,
}

/// Reads the room from the path; an unknown room rejects the handshake with 404.
impl FromScope<WebSocket> for Feed {
    async fn from_scope(scope: &Scope<WebSocket>) -> Result<Self, Rejection> {
        let chat = scope.state::<Arc<Chat>>()?.clone();
        let slug: String = scope.param("slug")?;
        let room = chat.rooms.find(&slug).await?;
        Ok(Self {
            room: room.ok_or(Rejection::from_status(StatusCode::NOT_FOUND))?,
            chat,
            sent: None,
        })
    }
}

impl Feed {
    /// Sends the first message to a page, once.
    pub async fn enter(&mut self, ctx: &Context<ChatEvent>, since: Option<i64>) -> Result<()> {
        match self.sent {
            None => self.welcome(ctx, since).await,
            Some(_) => Ok(()),
        }
    }

    /// Sends the messages after this id, or without an id, or if those are too many, the newest
    /// ones.
    async fn welcome(&mut self, ctx: &Context<ChatEvent>, since: Option<i64>) -> Result<()> {
        let messages = &self.chat.messages;
        let missed = match since {
            Some(id) => messages.since(&self.room, id).await?,
            None => None,
        };
        let reset = since.is_some() && missed.is_none();
        let before = if reset { 0 } else { since.unwrap_or(0) };
        let page = match missed {
            Some(messages) => Page {
                messages,
                more: false,
            },
            None => messages.newest(&self.room).await?,
        };
        self.sent = Some(page.messages.last().map_or(before, |message| message.id));
        Ok(ctx.send(Json(Welcome { page, reset })).await?)
    }

    /// Sends an event of the room to the page, each message once and in order.
    pub async fn pass_on(
        &mut self,
        ctx: &Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        if let ChatEvent::Message(message) = &*event {
            match step(self.sent, message) {
                Step::Skip => return Ok(()),
                Step::CatchUp => return self.catch_up(ctx).await,
                Step::Send => self.sent = Some(message.id),
            }
        }
        Ok(ctx.send(Json(event)).await?)
    }

    /// Sends the messages that the page lacks.
    pub async fn catch_up(&mut self, ctx: &Context<ChatEvent>) -> Result<()> {
        let Some(sent) = self.sent else {
            return Ok(());
        };
        let Some(missed) = self.chat.messages.since(&self.room, sent).await? else {
            return self.welcome(ctx, Some(sent)).await;
        };
        for message in missed {
            self.sent = Some(message.id);
            ctx.send(Json(ChatEvent::Message(message))).await?;
        }
        Ok(())
    }
}

/// Decides about a message; `sent` is the last id that the page was sent, and it has all messages
/// of the room up to there.
///
/// Events of two processes may arrive out of order. The gap is then read from the database at once,
/// and the earlier message is skipped when it arrives.
fn step(sent: Option<i64>, message: &Message) -> Step {
    match sent {
        Some(sent) if message.id <= sent => Step::Skip,
        Some(sent) if message.previous <= sent => Step::Send,
        Some(_) => Step::CatchUp,
        // The first message to the page contains it.
        None => Step::Skip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_comes_once_and_in_order() {
        for (sent, previous, id, expected) in [
            (None, 0, 1, Step::Skip),
            (Some(0), 0, 1, Step::Send),
            (Some(4), 4, 7, Step::Send),
            (Some(7), 4, 7, Step::Skip),
            (Some(7), 2, 4, Step::Skip),
            (Some(4), 7, 9, Step::CatchUp),
            (Some(0), 7, 9, Step::CatchUp),
        ] {
            let message = Message {
                id,
                user: 1,
                from: "Ana".to_owned(),
                text: "hello".to_owned(),
                at: 0,
                key: "k".to_owned(),
                previous,
            };
            assert_eq!(step(sent, &message), expected, "{sent:?} {previous} {id}");
        }
    }
}
