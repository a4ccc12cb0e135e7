//! Tests of the framework's guarantees, through its public API.

mod actor;
#[cfg(feature = "sessions")]
mod auth;
mod blocking;
#[cfg(feature = "sessions")]
mod break_ins;
mod bridge;
mod communicators;
mod consumers;
mod endings;
#[cfg(feature = "sessions")]
mod foreign_cookies;
mod giving_up;
mod going_on;
mod guest;
mod half_closed;
mod handshakes;
mod http_consumers;
mod http_framing;
mod http_leaving;
mod http_streams;
mod layers;
mod lifespan;
#[cfg(any(feature = "macros", feature = "sessions"))]
mod log;
#[cfg(feature = "macros")]
mod macros;
#[cfg(all(feature = "macros", feature = "sessions"))]
mod macros_people;
mod memory;
#[cfg(feature = "macros")]
mod missed;
mod mistakes;
#[cfg(feature = "sessions")]
mod replies;
mod routing;
mod server;
#[cfg(feature = "sessions")]
mod site;
mod spans;
#[cfg(feature = "sessions")]
mod stale_cookies;
mod stalled_http;
mod support;
