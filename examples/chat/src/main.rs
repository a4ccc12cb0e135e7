//! A chat: choose a name and a room, talk, see who is here.
//!
//! `cargo run --release -p chat` serves it at <http://127.0.0.1:8000>. With a Redis at `REDIS_URL` (or on this machine)
//! any number of these processes share their rooms; without one, each has its own.

mod log;
mod pages;
mod room;

use log::Log;
use room::Room;
use seaway::{
    ApplicationExt, Channels, WebSocketConsumer, from_service,
    middleware::Provide,
    protocol::WebSocketConfig,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::{env, io::IsTerminal, process::ExitCode, sync::Arc};
use tokio::net::TcpListener;

const HELP: &str = "\
chat [--port P]

  --port P      the port on 127.0.0.1 (8000)
  REDIS_URL     where Redis is (redis://127.0.0.1:6379); rooms live in this process alone if none answers";

/// A message has 2,000 characters at most; this is room for any of them, escaped.
const LARGEST_FRAME: usize = 32 * 1024;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if env::args().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let Some(port) = port(env::args().skip(1)) else {
        eprintln!("{HELP}");
        return ExitCode::from(2);
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: cannot serve on port {port}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(port: u16) -> seaway::Result<()> {
    let channels = channels().await;
    let sockets = PathRouter::new()
        .route("/ws/chat/{room}", Room::application(&channels))
        .with(Provide(Arc::new(Log::default())))
        .with(WebSocketConfig::new().max_message_size(LARGEST_FRAME));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages::router()))
        .websocket(sockets);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("chat is at http://{}", listener.local_addr()?);
    serve(listener, app).await
}

/// Redis if it answers; else this process alone, said aloud.
async fn channels() -> Channels {
    let url = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    match Channels::redis(url).await {
        Ok(channels) => channels,
        Err(error) => {
            tracing::warn!("rooms live in this process alone: {error}");
            Channels::in_memory()
        }
    }
}

/// The port that the command line asks for; `None` if it asks for anything else.
fn port(mut words: impl Iterator<Item = String>) -> Option<u16> {
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => Some(8000),
        (Some("--port"), Some(port), None) => port.parse().ok(),
        _ => None,
    }
}
