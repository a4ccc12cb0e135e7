//! What the framework promises, through its public API.

mod bridge;
mod consumers;
mod floors;
mod handshakes;
mod memory;
mod routing;
mod server;
mod support;
