//! `#[consumer]` stands on an impl block.
use seaway::{Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer, consumer};

#[consumer]
struct Chat {}

struct Echo;

#[consumer]
impl WebSocketConsumer for Echo {
    type Input = String;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }
    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

#[consumer]
fn main() {}
