//! The smallest server: it says what it hears, at `ws://127.0.0.1:8000/`. Another address may be its first argument.
//!
//! In the console of a browser at <http://127.0.0.1:8000/>, which says that there is no page:
//! `ws = new WebSocket("ws://127.0.0.1:8000/")`, `ws.onmessage = (said) => console.log(said.data)`, `ws.send("ahoy")`.

use seaway::{Channels, Context, Frame, Result, WebSocketConsumer, consumer, serve};

/// Says what it hears, text and bytes alike.
#[derive(WebSocketConsumer)]
struct Echo;

#[consumer]
impl Echo {
    async fn receive(&mut self, ctx: &mut Context, frame: Frame) -> Result<()> {
        ctx.send(frame).await
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    println!("echo is at ws://{address}");
    serve(address, Echo::application(&Channels::in_memory())).await
}
