//! Lots and bids in SQLite, and the events that are sent about them.

use seaway::{Channels, Event, Result, typescript::TS};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqlitePool, query_as};
use tower_sessions_sqlx_store::SqliteStore;

/// A lot, as it is stored and as clients get it.
#[derive(Clone, Serialize, Deserialize, FromRow, TS)]
#[ts(crate = "seaway::typescript::ts_rs")]
pub struct Lot {
    pub id: i64,
    pub title: String,
    /// The highest bid; 0 if there is none.
    pub cents: i64,
    pub bidder: Option<String>,
    /// Seconds since 1970.
    pub ends_at: i64,
    pub is_ended: bool,
}

/// What happens to a lot. `Raised` is sent to the lot's own topic, the others to the topic `lots`.
#[derive(Event)]
#[event(typescript)]
pub enum LotEvent {
    Opened(Lot),
    Raised(Lot),
    Ended(Lot),
}

/// Why a request of a bidder is refused.
#[derive(Serialize, TS)]
#[serde(rename_all = "snake_case")]
#[ts(crate = "seaway::typescript::ts_rs")]
pub enum Refusal {
    NoSuchLot,
    Ended,
    TooLow { cents: i64 },
    TooHigh,
}

/// The auction. Clones share it.
#[derive(Clone)]
pub struct Auction {
    pub database: SqlitePool,
    pub channels: Channels,
}

impl Auction {
    /// Creates the tables, if they do not exist.
    pub async fn open(database: SqlitePool, channels: Channels) -> Result<Self> {
        sqlx::migrate!().run(&database).await?;
        SqliteStore::new(database.clone()).migrate().await?;
        Ok(Self { database, channels })
    }

    pub async fn lot(&self, id: i64) -> Result<Option<Lot>> {
        let lot = query_as("SELECT * FROM lots WHERE id = ?").bind(id);
        Ok(lot.fetch_optional(&self.database).await?)
    }

    pub async fn open_lot(&self, title: &str, seconds: u32) -> Result<()> {
        let insert = "INSERT INTO lots (title, ends_at) VALUES (?, unixepoch() + ?) RETURNING *";
        let lot = query_as(insert).bind(title).bind(seconds);
        let lot = lot.fetch_one(&self.database).await?;
        self.send("lots", &LotEvent::Opened(lot)).await
    }

    /// Bids in one statement: of two equal bids at the same time, the second is too low.
    pub async fn bid(&self, id: i64, cents: i64, bidder: &str) -> Result<Result<Lot, Refusal>> {
        let raise = "UPDATE lots SET cents = ?1, bidder = ?2
                     WHERE id = ?3 AND cents < ?1 AND ?1 <= 1e12 AND NOT is_ended RETURNING *";
        let raise = query_as::<_, Lot>(raise).bind(cents).bind(bidder).bind(id);
        let Some(lot) = raise.fetch_optional(&self.database).await? else {
            return Ok(Err(match self.lot(id).await? {
                None => Refusal::NoSuchLot,
                Some(lot) if lot.is_ended => Refusal::Ended,
                Some(lot) if lot.cents < cents => Refusal::TooHigh,
                Some(lot) => Refusal::TooLow { cents: lot.cents },
            }));
        };
        let event = LotEvent::Raised(lot.clone());
        self.send(&format!("lot.{id}"), &event).await?;
        Ok(Ok(lot))
    }

    /// Ends the lots whose time has passed. Several processes may call it: one ends each lot.
    pub async fn end_due_lots(&self) -> Result<()> {
        let end = "UPDATE lots SET is_ended = TRUE WHERE id = (SELECT id FROM lots
                   WHERE ends_at <= unixepoch() AND NOT is_ended LIMIT 1) RETURNING *";
        // One at a time: after a send that fails, the next call ends and announces the others.
        while let Some(lot) = query_as(end).fetch_optional(&self.database).await? {
            tracing::info!("a lot has ended: {}", serde_json::to_string::<Lot>(&lot)?);
            self.send("lots", &LotEvent::Ended(lot)).await?;
        }
        Ok(())
    }

    async fn send(&self, topic: &str, event: &LotEvent) -> Result<()> {
        Ok(self.channels.topic(topic)?.send(event).await.map(drop)?)
    }
}
