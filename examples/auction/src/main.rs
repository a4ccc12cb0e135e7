//! An auction: bidders log in, watch lots, and bid.
//!
//! Open <http://127.0.0.1:8000> in two browsers, and sign up under two names: the first user is the
//! auctioneer. With a Redis at `REDIS_URL`, several processes in one folder are one auction.

mod accounts;
mod auction;
mod bidder;
mod feed;
mod pages;
#[cfg(test)]
mod tests;

use auction::Auction;
use bidder::Bidder;
use launch::Program;
use seaway::{
    ApplicationExt, Result, WebSocketConsumer, from_service,
    middleware::{Auth, Provide, RejectCrossSite, Sessions},
    routing::ProtocolTypeRouter,
    serve,
};
use sqlx::SqlitePool;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;
use tower_sessions_sqlx_store::SqliteStore;

const PROGRAM: Program = Program {
    name: "auction",
    about: "An auction with accounts, bids, and lots that end by themselves.",
    settings: &[launch::REDIS_URL],
};

#[tokio::main]
async fn main() -> Result<()> {
    let address = PROGRAM.start();
    let database = SqlitePool::connect("sqlite:auction.db?mode=rwc").await?;
    let auction = Auction::open(database, launch::channels(&PROGRAM).await?).await?;
    let stop = CancellationToken::new();
    let ticker = tokio::spawn(end_lots(auction.clone(), stop.clone()));
    serve(address.listen().await?, app(auction)).await?;
    stop.cancel();
    Ok(ticker.await?)
}

/// Ends lots once a second, until it is stopped.
async fn end_lots(auction: Auction, stop: CancellationToken) {
    let second = Duration::from_secs(1);
    while stop.run_until_cancelled(sleep(second)).await.is_some() {
        if let Err(error) = auction.end_due_lots().await {
            tracing::warn!("cannot end lots: {error:#}; trying again in a second");
        }
    }
}

/// Returns the application that `main` serves and tests open.
fn app(auction: Auction) -> ProtocolTypeRouter {
    let Auction { database, channels } = &auction;
    let sessions = Sessions::new(SqliteStore::new(database.clone()), channels)
        .cookie_name(PROGRAM.name) // browsers share cookies between all ports of a host
        .secure(false); // Safari stores `Secure` cookies over HTTPS only, even from 127.0.0.1
    ProtocolTypeRouter::new()
        .http(from_service(pages::router(&auction)).with(RejectCrossSite))
        .websocket(Bidder::application(channels))
        .with(Auth::new(auction.clone()))
        .with(sessions)
        .with(Provide(auction.clone()))
}
