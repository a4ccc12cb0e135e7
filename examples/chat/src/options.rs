//! What the command line and the environment ask for.

use launch::{Address, Program, Redis};
use std::path::{self, PathBuf};

const PROGRAM: Program = Program {
    name: "chat",
    about: "A chat with accounts and rooms; several processes may share its data folder.",
    settings: &[
        (
            "--data FOLDER",
            "where accounts, rooms and messages are kept (chat-data)",
        ),
        (
            "--https",
            "people come over HTTPS, through a proxy that sets X-Forwarded-For",
        ),
        (
            "--monitor PORT",
            "serve /metrics (for Prometheus) and /ready on that port of 127.0.0.1 (0: any free port)",
        ),
        (
            "REDIS_URL",
            "the Redis that connects several processes (unset: redis://127.0.0.1:6379, if it answers)",
        ),
    ],
};

/// The settings.
pub struct Options {
    pub address: Address,
    /// An absolute path, as it is shown.
    pub data: PathBuf,
    pub is_https: bool,
    /// The port for monitoring.
    pub monitor: Option<u16>,
    /// The Redis that the user named.
    pub redis: Option<Redis>,
}

impl Options {
    /// Reads both; ends the process if the command line asks for help or is wrong.
    pub fn from_command_line() -> Self {
        let mut data = PathBuf::from("chat-data");
        let mut is_https = false;
        let mut monitor = None;
        let address = PROGRAM.start_with(|flag| {
            match flag.name() {
                "--data" => data = flag.value()?,
                "--https" => is_https = true,
                "--monitor" => monitor = Some(flag.value()?),
                _ => return Ok(false),
            }
            Ok(true)
        });
        Self {
            address,
            // It fails for an empty path and where the current folder is gone; the database then says so.
            data: path::absolute(&data).unwrap_or(data),
            is_https,
            monitor,
            redis: Redis::from_env(),
        }
    }
}
