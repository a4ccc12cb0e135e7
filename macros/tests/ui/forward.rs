//! `forward` sends events to the client.

use seaway::{Context, Event, Group, Result, Shared, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
    Left,
}

#[derive(WebSocketConsumer)]
struct Both {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer(forward)]
impl Both {
    async fn event(&mut self, ctx: &mut Context<ChatEvent>, _: Shared<ChatEvent>) -> Result<()> {
        Ok(ctx.send("ahoy").await?)
    }
}

#[derive(WebSocketConsumer)]
struct Twice {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer(forward("chat.message", "chat.left"))]
impl Twice {
    #[on("chat.left")]
    fn left(&mut self) {}
}

#[derive(WebSocketConsumer)]
struct Some {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer(forward("chat.message"))]
impl Some {}

#[derive(WebSocketConsumer)]
struct Unknown {}

#[consumer(forwards)]
impl Unknown {}

fn main() {}
