//! WebSocket: one request, after which both sides send at any time. A frame header of the server
//! has two to four bytes here.

use crate::{
    count::{Counts, Tally},
    room::{GROUP, Listener, Message, Room, RoomEvent, UNFIT, is_fit},
};
use seaway::{Context, Handshake, Json, Rejection, Result, Shared, WebSocketConsumer};
use serde::Serialize;
use std::sync::Arc;

/// One WebSocket connection.
pub struct Socket {
    room: Arc<Room>,
    listener: Listener,
    tally: Tally,
}

/// A message to the page.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Sent<'a> {
    /// The id before the first message, and the bytes of the request head of this connection.
    Hello {
        start: u64,
        heads: u64,
    },
    Gap,
    Message(&'a Message),
    /// The response to a message that was not accepted.
    Refused {
        reason: &'static str,
    },
}

impl WebSocketConsumer for Socket {
    type Input = String;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        let counts = handshake.state::<Arc<Counts>>()?.clone();
        handshake.join(GROUP).await?;
        let room = handshake.state::<Arc<Room>>()?.clone();
        Ok(Self {
            listener: Listener::new(room.clone(), handshake.query("since")?),
            room,
            tally: Tally::open(counts, handshake.query("client")?, &handshake.scope().head),
        })
    }

    async fn opened(&mut self, ctx: &mut Context<RoomEvent>) -> Result<()> {
        let (start, heads) = (self.listener.start(), self.tally.head);
        ctx.send(Json(Sent::Hello { start, heads })).await?;
        self.send_missed(ctx).await
    }

    /// Publishes a message that the client sends on the WebSocket instead of by `POST /say`.
    async fn receive(&mut self, ctx: &mut Context<RoomEvent>, text: String) -> Result<()> {
        match is_fit(&text) {
            true => self.room.say(text).await.map(drop),
            false => Ok(ctx.send(Json(Sent::Refused { reason: UNFIT })).await?),
        }
    }

    async fn event(&mut self, ctx: &mut Context<RoomEvent>, _: Shared<RoomEvent>) -> Result<()> {
        self.send_missed(ctx).await
    }
}

impl Socket {
    async fn send_missed(&mut self, ctx: &Context<RoomEvent>) -> Result<()> {
        let missed = self.listener.missed();
        if missed.gap {
            ctx.send(Json(Sent::Gap)).await?;
        }
        for message in &missed.messages {
            self.send(ctx, message).await?;
        }
        Ok(())
    }

    async fn send(&self, ctx: &Context<RoomEvent>, message: &Message) -> Result<()> {
        let text =
            serde_json::to_string(&Sent::Message(message)).expect("numbers and texts are JSON");
        let payload = text.len();
        ctx.send(text).await?;
        self.tally.record(1, payload);
        Ok(())
    }
}
