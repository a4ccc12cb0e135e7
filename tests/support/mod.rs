//! The harness. Every value owns what it started and ends it when dropped.
//!
//! - [`redis`], [`server`], [`start_line`], [`python`], [`browser`]: processes;
//! - [`client`]: a WebSocket client; [`raw`]: a client that may break the rules;
//! - [`proxy`]: a network that can stall, delay, lose and cut;
//! - [`stage`]: two processes and forty clients for a fault to happen to; [`crowd`]: those clients; [`account`]: what
//!   became of their messages; [`flood`]: thousands of clients that only count;
//! - [`churn`]: members that come and go by the thousand;
//! - [`page`], [`devtools`]: one page in the browser, and the wire to it; [`visitor`]: a person in the chat;
//! - [`child`], [`port`], [`scratch`], [`usage`], [`block_on`]: the small things under them.

pub mod account;
pub mod browser;
pub mod child;
pub mod churn;
pub mod client;
pub mod crowd;
pub mod devtools;
pub mod flood;
pub mod page;
pub mod port;
pub mod proxy;
pub mod python;
pub mod raw;
pub mod redis;
pub mod scratch;
pub mod server;
pub mod stage;
pub mod start_line;
pub mod usage;
pub mod visitor;
pub mod wait;

pub use self::{
    browser::Browser,
    client::Client,
    page::Page,
    proxy::Proxy,
    python::Python,
    raw::RawClient,
    redis::Redis,
    scratch::Scratch,
    server::Server,
    stage::{Stage, Verdict},
    start_line::StartLine,
    visitor::Visitor,
};
