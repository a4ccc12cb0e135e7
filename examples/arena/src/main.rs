//! The server that load and conformance tools talk to, written with Seaway's public API only.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /` | answers `hello` |
//! | `POST /body` | answers the body it got |
//! | `GET /healthz` | answers `ok` |
//! | `GET /metrics` | answers the metrics, as Prometheus reads them |
//! | `GET /events/room/{name}` | streams every text of that room as server-sent events |
//! | `GET /ws/echo` | echoes text and binary |
//! | `GET /ws/room/{name}` | sends every received text verbatim to all members of the room, the sender too |
//!
//! `arena --help` lists its settings.

mod options;
mod pages;
mod sockets;
mod streams;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use options::Options;
use seaway::{
    ApplicationExt, Channels, WebSocketConsumer,
    channels::{InMemoryChannelLayer, redis::RedisConfig},
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use sockets::{Echo, Room};
use std::{env, io::IsTerminal, process::ExitCode, time::Duration};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    if env::args().any(|word| word == "--help" || word == "-h") {
        println!("{}", options::HELP);
        return ExitCode::SUCCESS;
    }
    let options = match Options::from_command_line() {
        Ok(options) => options,
        Err(help) => {
            eprintln!("{help}");
            return ExitCode::from(2);
        }
    };
    // Before anything is made that counts.
    let prometheus = match PrometheusBuilder::new().install_recorder() {
        Ok(prometheus) => prometheus,
        Err(error) => {
            eprintln!("arena: cannot record metrics: {error}");
            return ExitCode::FAILURE;
        }
    };
    match run(options, prometheus).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("arena: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// How often recorded samples are put together: until then they take memory.
const UPKEEP: Duration = Duration::from_secs(5);

async fn run(options: Options, prometheus: PrometheusHandle) -> seaway::Result<()> {
    let upkeep = prometheus.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP).await;
            upkeep.run_upkeep();
        }
    });
    let channels = match &options.redis {
        Some(url) => {
            let config = RedisConfig::new(url).mailbox_capacity(options.mailbox_capacity);
            Channels::redis(config).await?
        }
        None => Channels::new(InMemoryChannelLayer::with_mailbox_capacity(
            options.mailbox_capacity,
        )),
    };
    let app = ProtocolTypeRouter::new()
        .http(pages::router(options.max_body_size, &channels, prometheus))
        .websocket(
            PathRouter::new()
                .route("/ws/echo", Echo::application(&channels))
                .route("/ws/room/{name}", Room::application(&channels))
                .with(options.sockets.clone()),
        );
    let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
    println!("arena listens on http://{}", listener.local_addr()?);
    serve(listener, app)
        .head_timeout(options.head_timeout)
        .max_head_size(options.max_head_size)
        .drain_timeout(options.drain_timeout)
        .max_connections(options.max_connections)
        .await
}
