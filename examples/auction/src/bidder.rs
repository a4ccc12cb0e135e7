//! The WebSocket: requests with replies, and groups that are joined and left.

use crate::{
    accounts::Account,
    auction::{Auction, Lot, LotEvent, Refusal},
};
use seaway::{Context, Group, Result, WebSocketConsumer, consumer};

/// One open tab of a bidder. It gets the events of the feed, and those of one lot.
#[derive(WebSocketConsumer)]
pub struct Bidder {
    #[user]
    account: Account,
    #[state]
    auction: Auction,
    #[group("lots")]
    _lots: Group<LotEvent>,
    #[default]
    watched: Option<Group<LotEvent>>,
}

#[consumer(forward, typescript)]
impl Bidder {
    /// Leaves the lot before, joins this one, and replies with it and its watchers in this process.
    #[on_message("watch", reply)]
    async fn watch(
        &mut self,
        ctx: &mut Context<LotEvent>,
        lot: i64,
    ) -> Result<Result<(Lot, usize), Refusal>> {
        if let Some(group) = self.watched.take() {
            ctx.leave(&group).await?;
        }
        let group = self.watched.insert(ctx.join(&format!("lot.{lot}")).await?);
        let watchers = ctx.channels().local_members(group.name());
        // Read after joining: later bids arrive as events.
        let lot = self.auction.lot(lot).await?.ok_or(Refusal::NoSuchLot);
        Ok(lot.map(|lot| (lot, watchers)))
    }

    #[on_message("bid", reply)]
    async fn bid(&mut self, lot: i64, cents: i64) -> Result<Result<Lot, Refusal>> {
        self.auction.bid(lot, cents, &self.account.name).await
    }
}
