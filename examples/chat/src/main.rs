//! A chat: sign up, choose a room, talk, see who is here.
//!
//! `cargo run --release -p chat` serves it at <http://127.0.0.1:8000>. Several of these processes may share a data folder;
//! through a Redis at `REDIS_URL` (or on this machine) they hear each other at once. Chats with other data folders may use
//! the same Redis and do not meet there.
//!
//! | what | where |
//! | --- | --- |
//! | the program | `main.rs`, `options.rs`, `redis.rs`, `chat.rs` (what all share), `rounds.rs` (what it does again and again), `monitor.rs` |
//! | sockets | `room.rs` and `lobby.rs` (the consumers: begin there), `feed.rs` (what a page has and lacks) |
//! | what is told, over channels | `events.rs`, `news.rs` |
//! | what is kept, in SQLite | `database.rs`, `identity.rs`, `rooms.rs`, `room_list.rs`, `messages.rs`, `presence.rs` and `processes.rs` (who is here) |
//! | people | `accounts.rs`, `passwords.rs`, `names.rs`, `attempts.rs` and `limits.rs` (how often) |
//! | pages | `pages/` |

mod accounts;
mod attempts;
mod chat;
mod database;
mod events;
mod feed;
mod identity;
mod limits;
mod lobby;
mod messages;
mod monitor;
mod names;
mod news;
mod options;
mod pages;
mod passwords;
mod presence;
mod processes;
mod redis;
mod room;
mod room_list;
mod rooms;
mod rounds;

use chat::Chat;
use launch::{Metrics, Redis};
use lobby::Onlooker;
use options::Options;
use room::Visitor;
use seaway::{
    ApplicationExt, Result, WebSocketConsumer, from_service,
    middleware::{Auth, Provide, Sessions},
    protocol::WebSocketConfig,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::{process::ExitCode, sync::Arc, time::Duration};
use tower_sessions_sqlx_store::SqliteStore;

/// A message has 2,000 characters at most; this is room for any of them, escaped.
const LARGEST_FRAME: usize = 32 * 1024;

/// How often a socket asks whether its session is still there.
const RECHECK: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    match run(Options::from_command_line()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chat: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    // Before anything is made that counts.
    let metrics = options.monitor.map(|_| Metrics::record()).transpose()?;
    let listener = options.address.listen().await?;
    let database = database::open(&options.data).await?;
    let name = identity::name(&database).await?;
    let (channels, redis) = redis::connect(options.redis, Redis::on_this_machine(), &name).await?;
    let chat = Arc::new(Chat::new(database, &channels, options.is_https).await?);
    let _rounds = rounds::begin(&chat).await?;

    let sockets = PathRouter::new()
        .route("/ws/rooms", Onlooker::application(&channels))
        .route("/ws/rooms/{slug}", Visitor::application(&channels))
        .with(Provide(chat.clone()))
        .with(WebSocketConfig::new().max_message_size(LARGEST_FRAME));
    // Sessions are in the same file as all else: who is logged in stays so while Redis is away.
    let sessions = Sessions::new(SqliteStore::new(chat.database.clone()), &channels)
        .cookie_name(name)
        // Over plain HTTP a browser keeps no `Secure` cookie, unless it makes an exception for this very machine, and
        // not all do.
        .secure(options.is_https);
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages::router(chat.clone())))
        .websocket(sockets)
        // The word of a log-out may be lost while Redis is away, so sockets look for themselves, too.
        .with(Auth::new(chat.accounts.clone()).recheck(RECHECK))
        .with(sessions);

    let monitor = match (options.monitor, metrics) {
        (Some(port), Some(metrics)) => {
            let monitor = monitor::begin(port, metrics, &channels).await?;
            format!(", monitoring: http://{monitor}")
        }
        _ => String::new(),
    };
    let (address, data) = (listener.local_addr()?, options.data.display());
    println!("chat listens on http://{address} (data: {data}, Redis: {redis}{monitor})");
    if !address.ip().is_loopback() && !options.is_https {
        tracing::warn!(
            "passwords and messages travel unencrypted; put a proxy with TLS before it, and give --https"
        );
    }
    serve(listener, app)
        .on_shutdown(async move || {
            if let Err(error) = chat.presence.end().await {
                tracing::warn!(%error, "the next process will clear up after this one");
            }
        })
        .await
}
