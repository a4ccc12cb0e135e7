//! The integration tests, in one binary.

mod bad_redis_url;
mod chat_browser;
mod chat_page;
mod graceful_stop;
mod harm;
mod interop;
mod outage;
mod redis_layer;
mod sessions;
