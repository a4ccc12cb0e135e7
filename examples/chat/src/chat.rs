//! The state that pages and WebSockets share.

use crate::{
    accounts::Accounts, attempts::Attempts, limits::Limits, messages::Messages,
    notifications::News, rooms::Rooms,
};
use seaway::{Channels, Result};
use sqlx::SqlitePool;

/// The state that pages and WebSockets share.
pub struct Chat {
    pub database: SqlitePool,
    pub accounts: Accounts,
    pub attempts: Attempts,
    pub limits: Limits,
    pub rooms: Rooms,
    pub messages: Messages,
    pub news: News,
}

impl Chat {
    /// Returns the chat in this database, over these channels.
    pub async fn new(database: SqlitePool, channels: &Channels) -> Result<Self> {
        Ok(Self {
            accounts: Accounts::new(database.clone()).await?,
            attempts: Attempts(database.clone()),
            limits: Limits::new(),
            rooms: Rooms(database.clone()),
            messages: Messages(database.clone()),
            news: News::new(channels.clone()),
            database,
        })
    }
}
