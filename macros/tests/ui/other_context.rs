//! The context of another consumer.
#![allow(unused_variables)]

use seaway::{Context, Event, Group, Result, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Left,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer]
impl Chat {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send("welcome").await?)
    }
}

fn main() {}
