//! The arena's event stream.

use crate::sockets::RoomEvent;
use seaway::{HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Rejection, Result, SseEvent};

/// A consumer that streams the messages of a room as server-sent events.
pub struct Listener;

impl HttpConsumer for Listener {
    type Event = RoomEvent;

    async fn connect(handshake: &mut HttpHandshake<RoomEvent>) -> Result<Self, Rejection> {
        let name: String = handshake.param("name")?;
        handshake.join(format!("room.{name}")).await?;
        Ok(Listener)
    }

    async fn handle(&mut self, ctx: &mut HttpContext<RoomEvent>) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        while let Some(event) = ctx.next_event().await? {
            events.send(SseEvent::shared(&event, written)?).await?;
        }
        Ok(events.end())
    }
}

fn written(RoomEvent::Message { text }: &RoomEvent) -> Result<SseEvent> {
    Ok(SseEvent::text(text))
}
