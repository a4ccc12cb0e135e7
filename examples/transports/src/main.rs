//! One room by four transports, side by side: polling, long polling, server-sent events and WebSocket.
//!
//! `cargo run --release -p transports`, then <http://127.0.0.1:8000>.
//!
//! Without a page, each with a name of 1 to 32 letters and digits, and the id of the last message that it knows;
//! for one that knows none `wait` answers at once with `start`, the id to ask with:
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8000/events?client=ana&since=0'
//! curl 'http://127.0.0.1:8000/wait?client=bo&since=0'
//! curl 'http://127.0.0.1:8000/poll?client=cid&since=0'
//! curl -d ahoy http://127.0.0.1:8000/say
//! ```
//!
//! | file | idea |
//! | --- | --- |
//! | `room.rs` | the last messages, by id: what was missed, and what is gone |
//! | `count.rs` | what each client has cost |
//! | `poll.rs`, `wait.rs`, `events.rs`, `socket.rs` | the four ways to hear |
//! | `pages.rs` | the page, and what it says |

mod count;
mod events;
mod pages;
mod poll;
mod room;
mod socket;
mod wait;

use count::Counts;
use events::Stream;
use launch::Program;
use room::Room;
use seaway::{
    Channels, HttpConsumer, Result, WebSocketConsumer, from_service,
    middleware::Provide,
    protocol::Http,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use socket::Socket;
use std::sync::Arc;
use wait::Wait;

const PROGRAM: Program = Program {
    name: "transports",
    about: "One room by polling, long polling, server-sent events and WebSocket, side by side.",
    settings: &[],
};

#[tokio::main]
async fn main() -> Result<()> {
    let address = PROGRAM.start();
    let channels = Channels::in_memory();
    let (room, counts) = (Arc::new(Room::new(&channels)?), Arc::new(Counts::default()));
    let pages = from_service(pages::router(room.clone(), counts.clone()));
    let pages = PathRouter::<Http>::new()
        .route("/wait", Wait::application(&channels))
        .route("/events", Stream::application(&channels))
        .route("/", pages.clone())
        .route("/{*page}", pages);
    let app = ProtocolTypeRouter::new()
        .http(pages)
        .websocket(PathRouter::new().route("/ws", Socket::application(&channels)))
        .with(Provide(room))
        .with(Provide(counts));
    let listener = address.listen().await?;
    println!("transports listens on http://{}", listener.local_addr()?);
    serve(listener, app).await
}
