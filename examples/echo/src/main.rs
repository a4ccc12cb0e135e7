//! The smallest server: it sends back what it receives, at `ws://127.0.0.1:8000/`.
//!
//! In the console of a browser at <http://127.0.0.1:8000/>, which says that there is no page:
//! `ws = new WebSocket("ws://127.0.0.1:8000/")`, `ws.onmessage = (said) => console.log(said.data)`, `ws.send("ahoy")`.

use launch::Program;
use seaway::{Channels, Context, Message, Result, WebSocketConsumer, consumer, serve};

/// Sends back what it receives, text and bytes alike.
#[derive(WebSocketConsumer)]
struct Echo;

#[consumer]
impl Echo {
    async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> {
        ctx.send(message).await
    }
}

const PROGRAM: Program = Program {
    name: "echo",
    about: "A WebSocket server that sends back what it receives.",
    settings: &[],
};

#[tokio::main]
async fn main() -> Result<()> {
    let listener = PROGRAM.start().listen().await?;
    println!("echo listens on ws://{}", listener.local_addr()?);
    serve(listener, Echo::application(&Channels::in_memory())).await
}
