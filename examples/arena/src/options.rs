//! The arena's settings, with an option for every limit of the server.

use launch::{Address, Flag, Mistake, Program, Redis, TRANSPORT_OPTIONS, Transport};
use seaway::{
    channels::{MAILBOX_CAPACITY, PRESENCE_GRACE, TOPIC_EVENTS},
    protocol::{Compression, SlowClient, WebSocketConfig},
};
use std::{str::FromStr, time::Duration};

const PROGRAM: Program = Program {
    name: "arena",
    about: "The server for load and conformance tools. \
            Times are in seconds and may have a fraction, sizes in bytes.",
    settings: &[
        TRANSPORT_OPTIONS,
        &[
            (
                "--redis URL",
                "Redis: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://; again for further hosts",
            ),
            ("--prefix P", "the prefix of its names on that Redis (asgi)"),
            (
                "--layer L",
                "the wire format of that Redis: pubsub, or queue as channels_redis.core (pubsub)",
            ),
            (
                "--max-message-size N",
                "largest WebSocket message (1048576)",
            ),
            (
                "--send-buffer N",
                "bytes that may wait for a slow client (65536)",
            ),
            (
                "--policy P",
                "for clients that read slowly: wait, close, drop-oldest or drop-newest (wait)",
            ),
            (
                "--deflate",
                "compress messages for clients that offer permessage-deflate",
            ),
            ("--heartbeat S", "ping after this silence (20; 0: never)"),
            (
                "--heartbeat-timeout S",
                "and disconnect after this much more (20)",
            ),
            ("--connect-timeout S", "for a consumer's connect (10)"),
            (
                "--close-timeout S",
                "for the client's half of the closing handshake (5)",
            ),
            (
                "--hook-grace S",
                "for handlers after their client has left (5)",
            ),
            (
                "--lease S",
                "for the people of a process that is killed to remain present, over Redis (15)",
            ),
            (
                "--grace S",
                "for people to remain present without a connection (3)",
            ),
            (
                "--mailbox-capacity N",
                "events that may wait for one consumer (1024)",
            ),
            ("--history N", "events that a topic remembers (1000)"),
            ("--max-body-size N", "largest request body (1048576)"),
            ("--head-timeout S", "for the head of a request (10)"),
            ("--max-head-size N", "largest head of a request (65536)"),
            (
                "--body-timeout S",
                "between two pieces of a request body (60)",
            ),
            (
                "--write-timeout S",
                "without progress while a response is written (60)",
            ),
            ("--idle-timeout S", "without a request, over HTTP/2 (60)"),
            (
                "--half-close-timeout S",
                "without progress for a client that sends no more (300)",
            ),
            (
                "--drain-timeout S",
                "for clients when the server stops (30)",
            ),
            (
                "--retry-after S",
                "asks WebSocket clients to reconnect after up to this time when the server stops",
            ),
            (
                "--close-over S",
                "closes WebSockets, event streams and waiting requests over this time when the server stops (0)",
            ),
            (
                "--max-connections N",
                "maximum number of open connections (65536)",
            ),
            (
                "--per-address N",
                "maximum number of open connections from one address",
            ),
            (
                "REDIS_URL",
                "Redis, unless --redis names one; in memory without either",
            ),
        ],
    ],
};

/// The wire format of the Redis layer.
#[derive(Clone, Copy)]
pub enum Layer {
    PubSub,
    Queue,
}

impl FromStr for Layer {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "pubsub" => Ok(Self::PubSub),
            "queue" => Ok(Self::Queue),
            _ => Err("it is pubsub or queue"),
        }
    }
}

/// The settings.
pub struct Options {
    pub address: Address,
    pub transport: Transport,
    pub redis: Option<Redis>,
    /// The URLs of further, independent hosts.
    pub more_hosts: Vec<String>,
    pub prefix: String,
    pub layer: Layer,
    pub sockets: WebSocketConfig,
    pub mailbox_capacity: usize,
    pub presence_lease: Duration,
    pub presence_grace: Duration,
    pub history: usize,
    pub max_body_size: usize,
    pub head_timeout: Duration,
    pub max_head_size: usize,
    pub body_timeout: Duration,
    pub write_timeout: Duration,
    pub idle_timeout: Duration,
    pub half_close_timeout: Duration,
    pub drain_timeout: Duration,
    pub retry_after: Option<Duration>,
    pub close_over: Duration,
    pub max_connections: usize,
    pub per_address: usize,
}

impl Options {
    /// Reads the command line; ends the process if it asks for help or is wrong.
    pub fn from_command_line() -> Self {
        let mut options = Self {
            address: Address::default(),
            transport: Transport::default(),
            redis: Redis::from_env(),
            more_hosts: Vec::new(),
            // The default of channels_redis: its clients find the arena's rooms.
            prefix: "asgi".to_owned(),
            layer: Layer::PubSub,
            sockets: WebSocketConfig::new(),
            mailbox_capacity: MAILBOX_CAPACITY,
            presence_lease: Duration::from_secs(15),
            presence_grace: PRESENCE_GRACE,
            history: TOPIC_EVENTS,
            max_body_size: 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            max_head_size: 64 * 1024,
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            half_close_timeout: Duration::from_secs(300),
            drain_timeout: Duration::from_secs(30),
            retry_after: None,
            close_over: Duration::ZERO,
            max_connections: 65_536,
            per_address: usize::MAX,
        };
        let mut heartbeat = (Duration::from_secs(20), Duration::from_secs(20));
        let mut has_redis = false;
        let address = PROGRAM.start_with(|flag| {
            let sockets = options.sockets.clone();
            match flag.name() {
                "--redis" if has_redis => options.more_hosts.push(flag.value()?),
                "--redis" => {
                    has_redis = true;
                    options.redis = Some(Redis::from_option(flag.value()?));
                }
                "--prefix" => options.prefix = flag.value()?,
                "--layer" => options.layer = flag.value()?,
                "--max-message-size" => options.sockets = sockets.max_message_size(flag.value()?),
                "--send-buffer" => options.sockets = sockets.send_buffer(flag.value()?),
                "--policy" => options.sockets = sockets.slow_client(policy(flag)?),
                "--deflate" => options.sockets = sockets.compression(Compression::new()),
                "--heartbeat" => heartbeat.0 = seconds(flag)?,
                "--heartbeat-timeout" => heartbeat.1 = seconds(flag)?,
                "--connect-timeout" => options.sockets = sockets.connect_timeout(seconds(flag)?),
                "--close-timeout" => options.sockets = sockets.close_timeout(seconds(flag)?),
                "--lease" => options.presence_lease = seconds(flag)?,
                "--grace" => options.presence_grace = seconds(flag)?,
                "--hook-grace" => options.sockets = sockets.grace(seconds(flag)?),
                "--mailbox-capacity" => options.mailbox_capacity = flag.value()?,
                "--history" => options.history = flag.value()?,
                "--max-body-size" => options.max_body_size = flag.value()?,
                "--head-timeout" => options.head_timeout = seconds(flag)?,
                "--max-head-size" => options.max_head_size = flag.value()?,
                "--body-timeout" => options.body_timeout = seconds(flag)?,
                "--write-timeout" => options.write_timeout = seconds(flag)?,
                "--idle-timeout" => options.idle_timeout = seconds(flag)?,
                "--half-close-timeout" => options.half_close_timeout = seconds(flag)?,
                "--drain-timeout" => options.drain_timeout = seconds(flag)?,
                "--max-connections" => options.max_connections = flag.value()?,
                "--retry-after" => options.retry_after = Some(seconds(flag)?),
                "--close-over" => options.close_over = seconds(flag)?,
                "--per-address" => options.per_address = flag.value()?,
                _ => return options.transport.read(flag),
            }
            Ok(true)
        });
        options.address = address;
        options.sockets = match heartbeat {
            (Duration::ZERO, _) => options.sockets.no_heartbeat(),
            (interval, timeout) => options.sockets.heartbeat(interval, timeout),
        };
        options
    }
}

fn seconds(flag: &mut Flag<'_>) -> Result<Duration, Mistake> {
    let seconds = flag.value()?;
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| format!("{} {seconds}: {error}", flag.name()).into())
}

fn policy(flag: &mut Flag<'_>) -> Result<SlowClient, Mistake> {
    match flag.value::<String>()?.as_str() {
        "wait" => Ok(SlowClient::Wait(Duration::from_secs(60))),
        "close" => Ok(SlowClient::Close),
        "drop-oldest" => Ok(SlowClient::DropOldest),
        "drop-newest" => Ok(SlowClient::DropNewest),
        other => {
            Err(format!("--policy {other}: use wait, close, drop-oldest or drop-newest").into())
        }
    }
}
