//! The arena's settings: every limit of the server has a flag.

use seaway::{channels::MAILBOX_CAPACITY, protocol::WebSocketConfig};
use std::{env, fmt::Display, str::FromStr, time::Duration};

/// What `--help` prints. Times are seconds and may have a fraction; sizes are bytes.
pub const HELP: &str = "\
arena --port P [--redis URL] [limits]

  --port P                 the port on 127.0.0.1 (0: any free one)
  --redis URL              Redis, as redis://127.0.0.1:6379; also from REDIS_URL; in memory without either
  --max-message-size N     largest WebSocket message (1048576)
  --send-buffer N          bytes that may wait for a slow client (65536)
  --heartbeat S            ping after this silence (20; 0: never)
  --heartbeat-timeout S    and give up after this much more (20)
  --connect-timeout S      for a consumer's connect (10)
  --close-timeout S        for the client's half of the closing handshake (5)
  --grace S                for handlers after their client has left (5)
  --mailbox-capacity N     events that may wait for one consumer (1024)
  --max-body-size N        largest request body (1048576)
  --head-timeout S         for the head of a request (10)
  --max-head-size N        largest head of a request (65536)
  --drain-timeout S        for clients when the server stops (30)
  --max-connections N      clients at once (65536)";

/// The settings.
pub struct Options {
    pub port: u16,
    pub redis: Option<String>,
    pub sockets: WebSocketConfig,
    pub mailbox_capacity: usize,
    pub max_body_size: usize,
    pub head_timeout: Duration,
    pub max_head_size: usize,
    pub drain_timeout: Duration,
    pub max_connections: usize,
}

impl Options {
    /// Reads the command line; an error is what to print.
    pub fn from_command_line() -> Result<Self, String> {
        let mut options = Self {
            port: 0,
            redis: env::var("REDIS_URL").ok().filter(|url| !url.is_empty()),
            sockets: WebSocketConfig::new(),
            mailbox_capacity: MAILBOX_CAPACITY,
            max_body_size: 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            max_head_size: 64 * 1024,
            drain_timeout: Duration::from_secs(30),
            max_connections: 65_536,
        };
        let mut heartbeat = (Duration::from_secs(20), Duration::from_secs(20));
        let mut port = None;
        let mut words = env::args().skip(1);
        while let Some(flag) = words.next() {
            let value = words
                .next()
                .ok_or_else(|| format!("arena: {flag} needs a value\n\n{HELP}"))?;
            let sockets = options.sockets.clone();
            match flag.as_str() {
                "--port" => port = Some(parse(&flag, &value)?),
                "--redis" => options.redis = Some(value),
                "--max-message-size" => {
                    options.sockets = sockets.max_message_size(parse(&flag, &value)?);
                }
                "--send-buffer" => options.sockets = sockets.send_buffer(parse(&flag, &value)?),
                "--heartbeat" => heartbeat.0 = seconds(&flag, &value)?,
                "--heartbeat-timeout" => heartbeat.1 = seconds(&flag, &value)?,
                "--connect-timeout" => {
                    options.sockets = sockets.connect_timeout(seconds(&flag, &value)?);
                }
                "--close-timeout" => {
                    options.sockets = sockets.close_timeout(seconds(&flag, &value)?);
                }
                "--grace" => options.sockets = sockets.grace(seconds(&flag, &value)?),
                "--mailbox-capacity" => options.mailbox_capacity = parse(&flag, &value)?,
                "--max-body-size" => options.max_body_size = parse(&flag, &value)?,
                "--head-timeout" => options.head_timeout = seconds(&flag, &value)?,
                "--max-head-size" => options.max_head_size = parse(&flag, &value)?,
                "--drain-timeout" => options.drain_timeout = seconds(&flag, &value)?,
                "--max-connections" => options.max_connections = parse(&flag, &value)?,
                _ => return Err(format!("arena: there is no {flag}\n\n{HELP}")),
            }
        }
        options.port = port.ok_or_else(|| format!("arena: --port is missing\n\n{HELP}"))?;
        options.sockets = match heartbeat {
            (Duration::ZERO, _) => options.sockets.no_heartbeat(),
            (interval, timeout) => options.sockets.heartbeat(interval, timeout),
        };
        Ok(options)
    }
}

fn parse<T: FromStr<Err: Display>>(flag: &str, value: &str) -> Result<T, String> {
    value
        .parse()
        .map_err(|error| format!("arena: {flag} {value}: {error}"))
}

fn seconds(flag: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(parse(flag, value)?)
        .map_err(|error| format!("arena: {flag} {value}: {error}"))
}
