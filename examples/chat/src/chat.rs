//! What pages and sockets share.

use crate::{
    accounts::Accounts, attempts::Attempts, glance::Glances, messages::Messages, news::News,
    presence::Presence, processes::Processes, room_list::RoomList, rooms::Rooms, seen::Seen,
};
use seaway::{Channels, Result, session::Id};
use sqlx::SqlitePool;

/// What pages and sockets share.
pub struct Chat {
    pub accounts: Accounts,
    pub attempts: Attempts,
    pub rooms: Rooms,
    pub list: RoomList,
    pub messages: Messages,
    pub seen: Seen,
    pub glances: Glances,
    pub presence: Presence,
    pub processes: Processes,
    pub news: News,
    /// Whether people come through a proxy on this machine, which says where from.
    pub is_behind_proxy: bool,
}

impl Chat {
    /// The chat in this database, over these channels.
    pub async fn new(
        database: SqlitePool,
        channels: &Channels,
        is_behind_proxy: bool,
    ) -> Result<Self> {
        let messages = Messages::new(database.clone());
        // 128 bits of chance: no two processes have the same name.
        let process = Id::default().to_string();
        Ok(Self {
            accounts: Accounts::new(database.clone()).await?,
            attempts: Attempts::new(database.clone()),
            rooms: Rooms::new(database.clone()),
            list: RoomList::new(database.clone()),
            seen: Seen::new(database.clone()),
            glances: Glances::new(database.clone(), process.clone()),
            presence: Presence::new(database.clone(), process.clone()),
            processes: Processes::new(database, process),
            news: News::new(channels.clone(), messages.clone()),
            messages,
            is_behind_proxy,
        })
    }
}
