//! The settings from the command line and the environment.

use launch::{Address, Program, Redis, TRANSPORT_OPTIONS, Transport};
use seaway::TrustedProxies;
use std::path::{self, PathBuf};

const PROGRAM: Program = Program {
    name: "chat",
    about: "A chat with accounts and rooms; several processes may share its data folder.",
    settings: &[
        TRANSPORT_OPTIONS,
        &[
            (
                "--data FOLDER",
                "where accounts, rooms and messages are stored (chat-data)",
            ),
            (
                "--https",
                "clients connect over HTTPS, through a proxy on this machine, or --trusted-proxies",
            ),
            (
                "--monitor PORT",
                "serve /metrics (for Prometheus) and /ready on that port of 127.0.0.1 (0: any free port)",
            ),
            (
                "REDIS_URL",
                "the Redis that connects several processes (unset: redis://127.0.0.1:6379, if available)",
            ),
        ],
    ],
};

/// The settings.
pub struct Options {
    pub address: Address,
    pub transport: Transport,
    /// The data folder, as an absolute path.
    pub data: PathBuf,
    /// Whether a proxy in front serves HTTPS.
    pub is_proxied: bool,
    /// The port for monitoring.
    pub monitor: Option<u16>,
    /// The Redis that the user configured.
    pub redis: Option<Redis>,
}

impl Options {
    /// Returns the proxies that state their clients' addresses: with `--https`, those on this
    /// machine, unless others are given.
    pub fn proxies(&self) -> Option<TrustedProxies> {
        let here = || TrustedProxies::new(["127.0.0.1", "::1", "unix"]);
        let given = self.transport.trusted_proxies();
        given.or_else(|| self.is_proxied.then(here))
    }

    /// Reads both; exits the process if the command line asks for help or is invalid.
    pub fn from_command_line() -> Self {
        let mut data = PathBuf::from("chat-data");
        let mut is_proxied = false;
        let mut transport = Transport::default();
        let mut monitor = None;
        let address = PROGRAM.start_with(|flag| {
            match flag.name() {
                "--data" => data = flag.value()?,
                "--https" => is_proxied = true,
                "--monitor" => monitor = Some(flag.value()?),
                _ => return transport.read(flag),
            }
            Ok(true)
        });
        Self {
            address,
            transport,
            // This fails for an empty path and if the current folder is gone; opening the database
            // then reports it.
            data: path::absolute(&data).unwrap_or(data),
            is_proxied,
            monitor,
            redis: Redis::from_env(),
        }
    }
}
