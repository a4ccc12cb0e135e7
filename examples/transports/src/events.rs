//! Server-sent events: one request, whose response streams messages as long as the connection
//! lasts. The page sends messages in separate requests.

use crate::{
    count::{Counts, Tally},
    room::{GROUP, Listener, Message, Room, RoomEvent},
};
use seaway::{
    HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Rejection, Result, Sse, SseEvent,
};
use std::sync::Arc;

/// One event stream.
pub struct Stream {
    listener: Listener,
    tally: Tally,
}

impl HttpConsumer for Stream {
    type Event = RoomEvent;

    async fn connect(handshake: &mut HttpHandshake<RoomEvent>) -> Result<Self, Rejection> {
        let counts = handshake.state::<Arc<Counts>>()?.clone();
        handshake.join(GROUP).await?;
        // A browser that reconnects by itself sends the last id that it received.
        let heard = handshake.last_event_id().and_then(|id| id.parse().ok());
        let since = match heard {
            Some(id) => id,
            None => handshake.query("since").unwrap_or(0),
        };
        Ok(Self {
            listener: Listener::new(handshake.state::<Arc<Room>>()?.clone(), since),
            tally: Tally::open(counts, handshake.query("client")?, &handshake.scope().head),
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext<RoomEvent>) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        let (start, since) = (self.listener.start(), self.listener.since());
        let hello = format!("{{\"start\":{start},\"heads\":{}}}", self.tally.head);
        let hello = SseEvent::text(hello).name("hello");
        // With an id, so that a page that disconnects before its first message can resume from
        // here.
        events.send(hello.id(since.to_string())).await?;
        self.send_missed(&events).await?;
        // The room has all messages, so missed events need no handling of their own.
        while !matches!(ctx.next_event().await, Ok(None)) {
            self.send_missed(&events).await?;
        }
        Ok(events.end())
    }
}

impl Stream {
    async fn send_missed(&mut self, events: &Sse) -> Result<()> {
        let missed = self.listener.missed();
        if missed.gap {
            events.send(SseEvent::text("{}").name("gap")).await?;
        }
        for message in &missed.messages {
            self.send(events, message).await?;
        }
        Ok(())
    }

    async fn send(&self, events: &Sse, message: &Message) -> Result<()> {
        let data = serde_json::to_string(message).expect("numbers and texts are JSON");
        let event = SseEvent::text(&data).name("message");
        events.send(event.id(message.id.to_string())).await?;
        self.tally.record(1, data.len());
        Ok(())
    }
}
