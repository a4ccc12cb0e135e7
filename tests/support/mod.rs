//! The test harness. Every value owns what it started, and stops it on drop.
//!
//! - [`redis`], [`server`], [`start_line`], [`python`], [`django`], [`postgres`],
//!   [`mariadb`], [`browser`]: processes;
//! - [`sentinels`], [`cluster`], [`authority`]: Redis behind Sentinels, in a Cluster, and with TLS;
//! - [`jobs`]: worker processes, and their account of the jobs;
//! - [`client`]: a WebSocket client; [`raw`]: a client that may violate protocols;
//! - [`proxy`]: a network that can stall, delay, lose and reset;
//! - [`stage`]: two processes and forty clients for a fault; [`crowd`]: those clients; [`account`]:
//!   the account of their messages; [`flood`]: thousands of clients that only count;
//!   [`idle`]: connections that do nothing;
//! - [`roster`]: a client that keeps the list of a presence; [`place`]: what clients of topics
//!   receive;
//! - [`churn`]: thousands of members that join and leave;
//! - [`page`], [`devtools`]: a page in the browser, and the connection to it; [`visitor`]: a user
//!   of the chat;
//! - [`child`], [`port`], [`scratch`], [`usage`], [`wait`]: helpers.

pub mod account;
pub mod authority;
pub mod browser;
pub mod child;
pub mod churn;
pub mod client;
pub mod cluster;
pub mod crowd;
pub mod devtools;
pub mod django;
pub mod flood;
pub mod idle;
pub mod jobs;
pub mod mariadb;
pub mod page;
pub mod place;
pub mod port;
pub mod postgres;
pub mod proxy;
pub mod python;
pub mod raw;
pub mod redis;
pub mod roster;
pub mod scratch;
pub mod sentinels;
pub mod server;
pub mod stage;
pub mod start_line;
pub mod usage;
pub mod visitor;
pub mod wait;

pub use self::{
    authority::Authority,
    browser::Browser,
    client::Client,
    cluster::Cluster,
    django::{Database, Databases, Django},
    mariadb::MariaDb,
    page::Page,
    postgres::Postgres,
    proxy::Proxy,
    python::Python,
    raw::RawClient,
    redis::Redis,
    roster::Roster,
    scratch::Scratch,
    sentinels::Sentinels,
    server::Server,
    stage::{Stage, Verdict},
    start_line::StartLine,
    visitor::Visitor,
};
