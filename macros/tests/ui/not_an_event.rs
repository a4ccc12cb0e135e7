//! A type that consumers send each other is an event.

use seaway::{Channels, Context, NoEvent, Result, WebSocketConsumer, consumer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct ChatEvent {
    text: String,
}

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn receive(&mut self, ctx: &mut Context<NoEvent>, text: String) -> Result<()> {
        let channel = ctx.channel();
        Ok(ctx.channels().send(channel, &text).await?)
    }
}

fn main() {
    let channels = Channels::in_memory();
    _ = channels.group::<ChatEvent>("chat");
}
