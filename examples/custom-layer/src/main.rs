//! A room over a custom channel layer, in any number of processes:
//!
//! ```text
//! cargo run -p custom-layer -- --hub
//! cargo run -p custom-layer -- --port 8000
//! cargo run -p custom-layer -- --port 8001
//! ```
//!
//! What is sent to `ws://127.0.0.1:8000/` arrives at all clients of both.

use custom_layer::{Hub, SocketLayer};
use launch::Program;
use seaway::{
    Channels, Context, Event, Group, Handshake, Rejection, Result, Shared, WebSocketConsumer, serve,
};
use std::path::PathBuf;

/// The events of the room.
#[derive(Event)]
enum RoomEvent {
    Said { text: String },
}

/// A member of the room.
struct Member {
    room: Group<RoomEvent>,
}

impl WebSocketConsumer for Member {
    type Input = String;
    type Event = RoomEvent;

    async fn connect(handshake: &mut Handshake<RoomEvent>) -> Result<Self, Rejection> {
        let room = handshake.join("room").await?;
        Ok(Self { room })
    }

    async fn receive(&mut self, _: &mut Context<RoomEvent>, text: String) -> Result<()> {
        Ok(self.room.send(&RoomEvent::Said { text }).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        let RoomEvent::Said { text } = &*event;
        Ok(ctx.send(text.clone()).await?)
    }
}

const PROGRAM: Program = Program {
    name: "custom-layer",
    about: "A room over a custom channel layer: a hub on a Unix socket.",
    settings: &[&[
        ("--hub", "be the hub, and serve no clients"),
        (
            "--socket PATH",
            "the socket of the hub (custom-layer.sock, in the folder for temporary files)",
        ),
    ]],
};

#[tokio::main]
async fn main() -> Result<()> {
    let mut socket = std::env::temp_dir().join("custom-layer.sock");
    let mut is_hub = false;
    let address = PROGRAM.start_with(|flag| {
        match flag.name() {
            "--hub" => is_hub = true,
            "--socket" => socket = flag.value::<PathBuf>()?,
            _ => return Ok(false),
        }
        Ok(true)
    });
    if is_hub {
        println!("the hub listens on {}", socket.display());
        return Ok(Hub::bind(&socket).await?.run().await?);
    }
    let channels = Channels::new(SocketLayer::connect(&socket).await?);
    let listener = address.listen().await?;
    println!("custom-layer listens on ws://{}", listener.local_addr()?);
    Ok(serve(listener, Member::application(&channels)).await?)
}
