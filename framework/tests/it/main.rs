//! What the framework promises, through its public API.

mod actor;
mod auth;
mod break_ins;
mod bridge;
mod consumers;
mod endings;
mod floors;
mod handshakes;
#[cfg(feature = "macros")]
mod macros;
mod memory;
mod mistakes;
mod routing;
mod server;
mod site;
mod support;
