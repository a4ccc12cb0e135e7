//! A type of event that there is not.
#![allow(unused_variables)]

use seaway::{Context, Event, Group, Json, Result, Shared, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer]
impl Chat {
    #[on("chat.mesage")]
    async fn message(&mut self, ctx: &mut Context<ChatEvent>, event: Shared<ChatEvent>) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }
}

fn main() {}
