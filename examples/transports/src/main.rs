//! One chat room over four transports: polling, long polling, server-sent events and WebSocket.
//!
//! `cargo run --release -p transports`, then <http://127.0.0.1:8000>. On `/fallback`, Seaway's
//! browser client reaches the WebSocket's consumer over server-sent events and POST where
//! WebSockets are blocked.
//!
//! Without the page, use curl. `client` is an id of 1 to 32 letters and digits, `since` the id of
//! the last message that the client has. With `since=0`, `wait` responds at once with `start`, the
//! id for the next request:
//!
//! ```sh
//! curl -N 'http://127.0.0.1:8000/events?client=ana&since=0'
//! curl 'http://127.0.0.1:8000/wait?client=bo&since=0'
//! curl 'http://127.0.0.1:8000/poll?client=cid&since=0'
//! curl -d ahoy http://127.0.0.1:8000/say
//! ```
//!
//! | file | contains |
//! | --- | --- |
//! | `room.rs` | the last messages, by id: those after an id, and whether some were dropped |
//! | `count.rs` | the costs of each client |
//! | `poll.rs`, `long_poll.rs`, `events.rs`, `socket.rs` | the four transports |
//! | `pages.rs` | the pages, and `POST /say` |

mod count;
mod events;
mod long_poll;
mod pages;
mod poll;
mod room;
mod socket;

use count::Counts;
use events::Stream;
use launch::Program;
use long_poll::Wait;
use room::Room;
use seaway::{
    ApplicationExt, Channels, HttpConsumer, Result, WebSocketConsumer,
    consumer::SseFallback,
    from_service,
    middleware::Provide,
    protocol::Http,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use socket::Socket;
use std::sync::Arc;

const PROGRAM: Program = Program {
    name: "transports",
    about: "One room over polling, long polling, server-sent events and WebSocket, side by side.",
    settings: &[],
};

#[tokio::main]
async fn main() -> Result<()> {
    let address = PROGRAM.start();
    let channels = Channels::in_memory();
    let (room, counts) = (Arc::new(Room::new(&channels)?), Arc::new(Counts::default()));
    let sockets = PathRouter::new().route("/ws", Socket::application(&channels));
    let pages = from_service(pages::router(room.clone(), counts.clone()));
    let pages = PathRouter::<Http>::new()
        .route("/wait", Wait::application(&channels))
        .route("/events", Stream::application(&channels))
        .route("/ws", sockets.clone().with(SseFallback::new(&channels)))
        .fallback(pages);
    let app = ProtocolTypeRouter::new()
        .http(pages)
        .websocket(sockets)
        .with(Provide(room))
        .with(Provide(counts));
    let listener = address.listen().await?;
    println!("transports listens on http://{}", listener.local_addr()?);
    Ok(serve(listener, app).await?)
}
