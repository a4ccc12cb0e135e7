//! The server for load and conformance tools, written with Seaway's public API only.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /` | responds with `hello` |
//! | `POST /body` | responds with the request body |
//! | `GET /healthz` | responds with `ok` |
//! | `GET /metrics` | responds with the metrics in the Prometheus text format |
//! | `GET /events/room/{name}` | streams every text message of that room as server-sent events |
//! | `GET /ws/echo` | echoes text and binary messages |
//! | `GET /ws/panic` | panics at the first message, as a consumer with a mistake does |
//! | `GET /ws/room/{name}` | sends every text message verbatim to all members of the room, including the sender |
//! | `GET /ws/presence/{group}?key=K` | is a connection of the person K: sends who is connected to the group, once whole, then each change |
//! | `GET /ws/topic/{name}` | publishes every text message to that topic, and sends each event as `{"offset","epoch","text"}`; with `?since=OFFSET&epoch=E` first those after that position, and `{"recovered": bool}` |
//! | `GET`, `POST` below `/ws` | the same five without a WebSocket, over server-sent events |
//!
//! `arena --help` lists its settings.

mod options;
mod pages;
mod presence;
mod sockets;
mod streams;

use launch::Metrics;
use options::{Layer, Options};
use presence::Here;
use seaway::{
    ApplicationExt, Channels, Result, WebSocketConsumer,
    channels::{InMemoryChannelLayer, redis::RedisConfig},
    consumer::SseFallback,
    middleware::Provide,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use sockets::{Echo, Follower, History, Panic, Room};

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::from_command_line();
    // Before anything that records metrics is created.
    let metrics = Metrics::record()?;
    let capacity = options.mailbox_capacity;
    let channels = match &options.redis {
        Some(redis) => {
            let configure = |config: RedisConfig| {
                let config = config
                    .prefix(&options.prefix)
                    .mailbox_capacity(capacity)
                    .presence_lease(options.presence_lease)
                    .presence_grace(options.presence_grace);
                let more = options.more_hosts.iter();
                let config = more.fold(config, |config, url| config.host(url));
                match options.layer {
                    Layer::PubSub => config,
                    Layer::Queue => config.queue(),
                }
            };
            redis.channels(configure).await?
        }
        None => {
            let layer = InMemoryChannelLayer::with_mailbox_capacity(capacity);
            Channels::new(layer.presence_grace(options.presence_grace))
        }
    };
    let sockets = PathRouter::new()
        .route("/ws/echo", Echo::application(&channels))
        .route("/ws/panic", Panic::application(&channels))
        .route("/ws/room/{name}", Room::application(&channels))
        .route("/ws/presence/{group}", Here::application(&channels))
        .route(
            "/ws/topic/{name}",
            Follower::application(&channels).with(Provide(History(options.history))),
        )
        .with(options.sockets);
    let streams = sockets.clone().with(SseFallback::new(&channels));
    let pages = pages::router(options.max_body_size, &channels, metrics);
    let app = ProtocolTypeRouter::new()
        .http(pages.route("/ws/{*path}", streams))
        .websocket(sockets);
    let listener = options.transport.listen(&options.address).await?;
    print!("arena listens on {}", listener.url()?);
    match &options.redis {
        Some(redis) => println!(" (Redis: {redis})"),
        None => println!(),
    }
    let mut server = serve(listener, app);
    if let Some(limit) = options.retry_after {
        server = server.retry_after(limit);
    }
    if let Some(proxies) = options.transport.trusted_proxies() {
        server = server.trusted_proxies(proxies);
    }
    Ok(server
        .head_timeout(options.head_timeout)
        .max_head_size(options.max_head_size)
        .body_timeout(options.body_timeout)
        .write_timeout(options.write_timeout)
        .idle_timeout(options.idle_timeout)
        .half_close_timeout(options.half_close_timeout)
        .drain_timeout(options.drain_timeout)
        .close_over(options.close_over)
        .max_connections(options.max_connections)
        .max_connections_per_address(options.per_address)
        .await?)
}
