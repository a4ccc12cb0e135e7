//! The background task that ends lots.

use crate::auction::Auction;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

/// Ends lots once a second, until it is stopped.
pub async fn run(auction: Auction, stop: CancellationToken) {
    let second = Duration::from_secs(1);
    while stop.run_until_cancelled(sleep(second)).await.is_some() {
        if let Err(error) = auction.end_due_lots().await {
            tracing::warn!("cannot end lots: {error:#}; trying again in a second");
        }
    }
}
