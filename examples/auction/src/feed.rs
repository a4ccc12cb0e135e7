//! The server-sent events for everybody, with or without a login.

use crate::auction::{Auction, Lot, LotEvent};
use seaway::{Group, HttpConsumer, Json, Result, Sse, consumer};

#[derive(HttpConsumer)]
pub struct Feed {
    #[state]
    auction: Auction,
    #[group("lots")]
    _lots: Group<LotEvent>,
}

#[consumer(sse, forward)]
impl Feed {
    /// Sends the lots as they are. The group was joined before: later changes follow as events.
    async fn opened(&mut self, events: &Sse) -> Result<()> {
        let lots = sqlx::query_as::<_, Lot>("SELECT * FROM lots ORDER BY id DESC LIMIT 50");
        for lot in lots.fetch_all(&self.auction.database).await? {
            events.send(Json(lot)).await?;
        }
        Ok(())
    }
}
