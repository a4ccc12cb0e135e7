//! The smallest server: an echo server at `ws://127.0.0.1:8000/`.
//!
//! To try it, open <http://127.0.0.1:8000/> in a browser (the response is an error page, as there
//! is no HTTP route) and type in its console: `ws = new WebSocket("ws://127.0.0.1:8000/")`,
//! `ws.onmessage = (event) => console.log(event.data)`, `ws.send("ahoy")`.

use launch::Program;
use seaway::{Channels, Context, Message, Result, WebSocketConsumer, consumer, serve};

/// A consumer that echoes text and binary messages.
#[derive(WebSocketConsumer)]
struct Echo;

#[consumer]
impl Echo {
    async fn receive(&mut self, ctx: &mut Context, message: Message) -> Result<()> {
        Ok(ctx.send(message).await?)
    }
}

const PROGRAM: Program = Program {
    name: "echo",
    about: "A WebSocket server that echoes every message.",
    settings: &[],
};

#[tokio::main]
async fn main() -> Result<()> {
    let listener = PROGRAM.start().listen().await?;
    println!("echo listens on ws://{}", listener.local_addr()?);
    Ok(serve(listener, Echo::application(&Channels::in_memory())).await?)
}
