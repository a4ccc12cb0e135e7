//! The common startup code of the examples: command line, log, listener, Redis, metrics.
//!
//! | file | contains |
//! | --- | --- |
//! | `command_line.rs` | `--host`, `--port`, `--help`, `PORT`, and the options of one program |
//! | `address.rs` | the address to listen on |
//! | `transport.rs` | TCP, TLS or a Unix socket |
//! | `redis.rs` | the Redis that the user configured |
//! | `metrics.rs` | the metrics of this process |

mod address;
mod command_line;
mod metrics;
mod redis;
mod transport;

pub use self::{
    address::Address,
    command_line::{Flag, Mistake, Program, Settings},
    metrics::Metrics,
    redis::{REDIS_URL, Redis, channels},
    transport::{Listening, TRANSPORT_OPTIONS, Transport},
};

use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// The log filter unless `RUST_LOG` is set. `tower_http` logs each request at `debug`; h2 warns
/// about client input as often as a client sends it.
const LOGGED: &str = "info,h2=error,tower_http=debug";

/// Writes the log to standard error.
pub fn log() {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(filter.unwrap_or_else(|_| LOGGED.into()))
        .init();
}
