//! The WebSocket: requests with replies, and topics that are resumed, joined and left.

use crate::accounts::Account;
use crate::auction::{Auction, Lot, LotEvent, Refusal};
use seaway::{Context, Position, Result, Topic, TopicEvent, WebSocketConsumer, consumer};

/// One open tab of a bidder. It gets the events of all lots, and the bids on one.
#[derive(WebSocketConsumer)]
pub struct Bidder {
    #[user]
    account: Account,
    #[state]
    auction: Auction,
    #[topic("lots")]
    _lots: Topic<LotEvent>,
    #[default]
    watched: Option<Topic<LotEvent>>,
}

#[consumer(forward, typescript)]
impl Bidder {
    /// Leaves the lot before, resumes this one, and replies with it and its watchers.
    #[on_message("watch", reply)]
    async fn watch(
        &mut self,
        ctx: &mut Context<TopicEvent<LotEvent>>,
        lot: i64,
        since: Option<Position>,
    ) -> Result<Result<(Lot, u64), Refusal>> {
        if let Some(topic) = self.watched.take() {
            ctx.leave(topic.group()).await?;
        }
        if self.auction.lot(lot).await?.is_none() {
            return Ok(Err(Refusal::NoSuchLot)); // its topic would be stored for a day
        }
        let topic = ctx.channels().topic(format!("lot.{lot}"))?;
        let topic = self.watched.insert(topic);
        let others = ctx.channels().members(topic.name()).await?;
        ctx.resume(topic, since).await?;
        // Read after joining: later bids arrive as events.
        let lot = self.auction.lot(lot).await?.ok_or(Refusal::NoSuchLot);
        Ok(lot.map(|lot| (lot, others + 1)))
    }

    #[on_message("bid", reply)]
    async fn bid(&mut self, lot: i64, cents: i64) -> Result<Result<Lot, Refusal>> {
        self.auction.bid(lot, cents, &self.account.name).await
    }
}
