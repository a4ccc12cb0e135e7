//! How every example starts: its command line, its log, its listener, its Redis, its metrics.
//!
//! | file | contains |
//! | --- | --- |
//! | `command_line.rs` | `--host`, `--port`, `--help`, and the options of one program |
//! | `address.rs` | the address to listen on |
//! | `redis.rs` | the Redis that a user named |
//! | `metrics.rs` | the metrics of a process |

mod address;
mod command_line;
mod metrics;
mod redis;

pub use self::{
    address::Address,
    command_line::{Flag, Mistake, Program},
    metrics::Metrics,
    redis::Redis,
};

use std::io::{IsTerminal, stderr};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. `tower_http` logs each request at this level; h2 warns of what a client
/// sends, as often as it sends it, and tower-sessions of each request while its store is down, which Seaway logs too.
const LOGGED: &str = "info,h2=error,tower_http=debug,tower_sessions_core=off";

/// Shows the log on standard error.
pub fn log() {
    let filter = EnvFilter::try_from_default_env();
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_env_filter(filter.unwrap_or_else(|_| LOGGED.into()))
        .init();
}
