//! What the framework promises, through its public API.

mod actor;
mod auth;
mod blocking;
mod break_ins;
mod bridge;
mod consumers;
mod endings;
mod floors;
mod handshakes;
mod lifespan;
#[cfg(feature = "macros")]
mod macros;
#[cfg(all(feature = "macros", feature = "sessions"))]
mod macros_people;
mod memory;
mod mistakes;
#[cfg(feature = "macros")]
mod mistakes_in_macros;
mod routing;
mod server;
mod site;
mod support;
