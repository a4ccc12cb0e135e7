//! A chat with accounts, rooms, presence and unread counts.
//!
//! `cargo run --release -p chat` serves it at <http://127.0.0.1:8000>. Several of these processes
//! may share a data folder; through a Redis at `REDIS_URL` (or on this machine) they exchange
//! events at once. Chats with other data folders may use the same Redis without receiving each
//! other's events.
//!
//! | part | files |
//! | --- | --- |
//! | the program | `main.rs`, `options.rs`, `redis.rs`, `chat.rs` (shared state), `periodic.rs` (periodic tasks), `monitor.rs` |
//! | WebSockets | `room.rs` and `lobby.rs` (the consumers: begin there), `feed.rs` (synchronization of a page) |
//! | events, over channels | `events.rs`, `notifications.rs` |
//! | storage, in SQLite | `database.rs`, `identity.rs`, `rooms.rs`, `room_list.rs`, `messages.rs` |
//! | users | `accounts.rs`, `passwords.rs`, `names.rs`, `attempts.rs` and `limits.rs` (rate limits) |
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
mod notifications;
mod options;
mod pages;
mod passwords;
mod periodic;
mod redis;
mod room;
mod room_list;
mod rooms;

use chat::Chat;
use launch::{Metrics, Redis};
use lobby::Onlooker;
use options::Options;
use room::Visitor;
use seaway::{
    ApplicationExt, Result, WebSocketConsumer, from_service,
    middleware::{Auth, Provide, RejectCrossSite, Sessions},
    protocol::WebSocketConfig,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::{process::ExitCode, sync::Arc, time::Duration};
use tower_sessions_sqlx_store::SqliteStore;

/// The largest WebSocket message in bytes: enough for a text of 2,000 characters, escaped.
const LARGEST_FRAME: usize = 32 * 1024;

/// The interval at which a WebSocket checks that its session still exists.
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
    // Before anything that records metrics is created.
    let metrics = options.monitor.map(|_| Metrics::record()).transpose()?;
    let proxies = options.proxies();
    let listener = options.transport.listen(&options.address).await?;
    let database = database::open(&options.data).await?;
    let name = identity::name(&database).await?;
    let (channels, redis) = redis::connect(options.redis, Redis::on_this_machine(), &name).await?;
    let chat = Arc::new(Chat::new(database, &channels).await?);
    let _rounds = periodic::begin(&chat);

    let sockets = PathRouter::new()
        .route("/ws/rooms", Onlooker::application(&channels))
        .route("/ws/rooms/{slug}", Visitor::application(&channels))
        .with(Provide(chat.clone()))
        .with(WebSocketConfig::new().max_message_size(LARGEST_FRAME));
    // Sessions are in the same database, so users remain logged in while Redis is down.
    let sessions = Sessions::new(SqliteStore::new(chat.database.clone()), &channels)
        .cookie_name(name)
        // Over plain HTTP browsers do not store `Secure` cookies. Some make an exception for
        // localhost, but not all.
        .secure(options.is_proxied || options.transport.is_tls());
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages::router(chat.clone())).with(RejectCrossSite))
        .websocket(sockets)
        // The event of a logout may be lost while Redis is down, so WebSockets also check by
        // themselves.
        .with(Auth::new(chat.accounts.clone()).recheck(RECHECK))
        .with(sessions);

    let monitor = match (options.monitor, metrics) {
        (Some(port), Some(metrics)) => {
            let monitor = monitor::begin(port, metrics, &channels).await?;
            format!(", monitoring: http://{monitor}")
        }
        _ => String::new(),
    };
    let (url, data) = (listener.url()?, options.data.display());
    println!("chat listens on {url} (data: {data}, Redis: {redis}{monitor})");
    if !listener.is_local()? && !options.is_proxied && !options.transport.is_tls() {
        tracing::warn!(
            "passwords and messages are sent unencrypted; pass --tls-cert and --tls-key, or run a TLS proxy in front and pass --https"
        );
    }
    let mut server = serve(listener, app);
    if let Some(proxies) = proxies {
        server = server.trusted_proxies(proxies);
    }
    Ok(server.await?)
}
