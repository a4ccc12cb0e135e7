//! The test harness. Every value owns what it started, and stops it on drop.
//!
//! - [`redis`], [`server`], [`start_line`], [`python`], [`django`], [`postgres`],
//!   [`mariadb`], [`browser`]: processes;
//! - [`sentinels`], [`cluster`], [`authority`]: Redis behind Sentinels, in a Cluster, and with TLS;
//! - [`jobs`]: worker processes, and their account of the jobs;
//! - [`client`]: a WebSocket client; [`raw`]: a client that may violate protocols;
//! - [`proxy`]: a network that can stall, delay, lose and reset; [`reply_proxy`]: one that loses or
//!   adds replies of Redis;
//! - [`fault_setup`]: two processes and forty clients for a fault; [`clients`]: those clients; [`delivery_report`]:
//!   the account of their messages; [`load`]: thousands of clients that only count;
//!   [`idle`]: connections that do nothing;
//! - [`presence_list`]: a client that keeps the list of a presence; [`position`]: what clients of topics
//!   receive;
//! - [`reconnects`]: thousands of members that join and leave;
//! - [`page`], [`devtools`]: a page in the browser, and the connection to it; [`browser_user`]: a user
//!   of the chat;
//! - [`child`], [`clock`], [`port`], [`temp_dir`], [`usage`], [`wait`]: helpers.

pub mod authority;
pub mod browser;
pub mod browser_user;
pub mod child;
pub mod client;
pub mod clients;
pub mod clock;
pub mod cluster;
pub mod delivery_report;
pub mod devtools;
pub mod django;
pub mod fault_setup;
pub mod idle;
pub mod jobs;
pub mod load;
pub mod mariadb;
pub mod page;
pub mod port;
pub mod position;
pub mod postgres;
pub mod presence_list;
pub mod proxy;
pub mod python;
pub mod raw;
pub mod reconnects;
pub mod redis;
pub mod reply_proxy;
pub mod sentinels;
pub mod server;
pub mod start_line;
pub mod temp_dir;
pub mod usage;
pub mod wait;

pub use self::{
    authority::Authority,
    browser::Browser,
    browser_user::Visitor,
    client::Client,
    cluster::Cluster,
    django::{Database, Databases, Django},
    fault_setup::{FaultSetup, Verdict},
    mariadb::MariaDb,
    page::Page,
    postgres::Postgres,
    presence_list::Roster,
    proxy::Proxy,
    python::Python,
    raw::RawClient,
    redis::Redis,
    reply_proxy::ReplyProxy,
    sentinels::Sentinels,
    server::Server,
    start_line::StartLine,
    temp_dir::Scratch,
};
