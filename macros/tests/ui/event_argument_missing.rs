//! A consumer without a group needs `event =`, on the struct and on the impl.

use seaway::{Context, Event, Result, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
}

#[derive(WebSocketConsumer)]
struct Nowhere {}

#[consumer]
impl Nowhere {
    async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        Ok(ctx.send("ahoy").await?)
    }
}

#[derive(WebSocketConsumer)]
struct OnTheImplOnly {}

#[consumer(event = ChatEvent)]
impl OnTheImplOnly {
    async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        Ok(ctx.send("ahoy").await?)
    }
}

fn main() {}
