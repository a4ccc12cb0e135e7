//! The program of `cargo xtask django`: what a Seaway server beside a Django site costs.
//! An argument, `proxy` or `rechecks`, selects one of both:
//!
//! - `rechecks.rs`: the checks of 10,000 open WebSockets, in queries and CPU time;
//! - `proxied.rs`: the CPU time of a page through the proxy, next to nginx.

mod proxied;
mod rechecks;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use seaway_tests::support::{Database, Django, Postgres, Redis, django::Version};
use serde_json::json;

#[tokio::main]
async fn main() {
    // All clients are in this process.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit of open files");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit up to the hard one");

    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    let database = Database::Postgres(&postgres);
    let mut site = Django::start(Version::Newest, database, &redis, json!({})).await;
    let only = std::env::args().nth(1);
    let is_selected = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if is_selected("proxy") {
        proxied::measure(&site).await;
    }
    if is_selected("rechecks") {
        rechecks::measure(&mut site, &postgres).await;
    }
}
