//! A glance at a room: every tab takes one every few seconds, so it is one small query.

use crate::rooms::Room;
use sqlx::{FromRow, SqlitePool};

/// What a glance shows.
#[derive(Debug, PartialEq, FromRow)]
pub struct Glance {
    /// The id of the newest message, 0 if there is none.
    pub newest: i64,
    /// The version of the list of people.
    pub people: i64,
    /// Whether this tab is among those that are here.
    pub is_listed: bool,
}

/// Takes glances, for tabs of this process.
pub struct Glances {
    database: SqlitePool,
    process: String,
}

impl Glances {
    /// Glances into this database; `process` is the name of this process.
    pub fn new(database: SqlitePool, process: String) -> Self {
        Self { database, process }
    }

    /// The room as the tab with this channel finds it.
    pub async fn take(&self, room: &Room, channel: &str) -> sqlx::Result<Glance> {
        sqlx::query_as(
            "SELECT coalesce((SELECT max(id) FROM messages WHERE room = ?1), 0) AS newest,
                 changes AS people,
                 EXISTS (SELECT 1 FROM presence WHERE process = ?2 AND channel = ?3) AS is_listed
             FROM rooms WHERE id = ?1",
        )
        .bind(room.id)
        .bind(&self.process)
        .bind(channel)
        .fetch_one(&self.database)
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, messages::Messages, presence::Presence, rooms::tests::a_room_and_ana};

    #[tokio::test]
    async fn a_glance_shows_whether_anything_has_changed() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let glances = Glances::new(database.clone(), "one".to_owned());
        let glance = |newest, people, is_listed| Glance {
            newest,
            people,
            is_listed,
        };
        assert_eq!(glances.take(&room, "a").await.unwrap(), glance(0, 0, false));

        let elsewhere = Presence::new(database.clone(), "two".to_owned());
        elsewhere.enter(&room, &ana, "b").await.unwrap();
        let presence = Presence::new(database.clone(), "one".to_owned());
        presence.enter(&room, &ana, "a").await.unwrap();
        let messages = Messages::new(database);
        messages.store(&room, &ana, "k", "hello").await.unwrap();

        assert_eq!(glances.take(&room, "a").await.unwrap(), glance(1, 1, true));
        assert_eq!(glances.take(&room, "b").await.unwrap(), glance(1, 1, false));
    }
}
