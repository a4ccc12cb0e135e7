//! What the framework promises, through its public API.

mod actor;
mod auth;
mod blocking;
mod break_ins;
mod bridge;
mod communicators;
mod consumers;
mod endings;
mod floors;
mod guest;
mod handshakes;
mod http_consumers;
mod http_leaving;
mod http_streams;
mod lifespan;
#[cfg(feature = "macros")]
mod macros;
#[cfg(all(feature = "macros", feature = "sessions"))]
mod macros_people;
mod memory;
mod mistakes;
mod routing;
mod server;
mod site;
mod spans;
mod support;
