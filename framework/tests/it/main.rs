//! Tests of the framework's guarantees, through its public API.

mod around;
#[cfg(feature = "sessions")]
mod auth;
#[cfg(feature = "sessions")]
mod auth_app;
#[cfg(feature = "sessions")]
mod auth_attacks;
mod bare_sockets;
mod blocking;
mod client_limits;
mod command_consumer;
mod communicators;
mod compression;
mod consumers;
mod disconnects;
#[cfg(feature = "django-sqlite")]
mod django;
#[cfg(all(feature = "axum", feature = "django", feature = "macros", unix))]
mod django_view;
mod errors;
mod failed_responses;
mod failing_consumers;
mod floods;
#[cfg(feature = "sessions")]
mod foreign_cookies;
#[cfg(feature = "axum")]
mod forwarded;
#[cfg(feature = "axum")]
mod forwarded_host;
mod fuzz_path;
mod fuzz_request_head;
#[cfg(feature = "macros")]
mod group_events;
mod guides;
mod half_closed;
mod handshakes;
#[cfg(feature = "macros")]
mod hook_failures;
mod hooks_after_response;
mod http_consumers;
mod http_framing;
mod http_leaving;
mod http_streams;
mod layers;
mod lifespan;
mod log;
#[cfg(feature = "macros")]
mod macros;
#[cfg(all(feature = "macros", feature = "sessions"))]
mod macros_user;
mod memory;
#[cfg(all(feature = "macros", feature = "server"))]
mod metrics;
#[cfg(feature = "macros")]
mod missed;
#[cfg(all(feature = "macros", feature = "server", feature = "sessions"))]
mod outages;
mod presence;
#[cfg(all(feature = "axum", feature = "proxy", unix))]
mod proxy;
#[cfg(all(feature = "axum", feature = "proxy", unix))]
mod proxy_bodies;
#[cfg(all(feature = "axum", feature = "django", unix))]
mod proxy_connections;
#[cfg(all(feature = "axum", feature = "proxy", feature = "sessions", unix))]
mod proxy_tunnels;
mod public_api;
#[cfg(feature = "sessions")]
mod rate_limits;
#[cfg(all(feature = "macros", feature = "sessions"))]
mod required_state;
mod routing;
mod server;
#[cfg(all(feature = "axum", unix))]
mod server_listeners;
mod service;
mod slow_clients;
mod spans;
#[cfg(feature = "sessions")]
mod sqlite_time;
#[cfg(feature = "macros")]
mod sse_fallback;
#[cfg(feature = "sessions")]
mod stale_cookies;
mod stalled_http;
mod stalled_streams;
mod stopping;
mod support;
#[cfg(feature = "sessions")]
mod test_client;
mod test_consumer;
#[cfg(all(feature = "axum", feature = "tls"))]
mod tls;
#[cfg(all(feature = "macros", feature = "server"))]
mod topics;
mod triggers;
mod type_names;
#[cfg(all(feature = "macros", feature = "typescript"))]
mod typescript;
mod unsaved_sessions;
#[cfg(all(feature = "macros", feature = "server"))]
mod websockets_over_http2;
mod workers;
