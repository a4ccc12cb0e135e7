//! The presence list: a row for each tab with an open room, which is deleted with the tab or with
//! the process that serves it.

use crate::{
    accounts::Account,
    database::{Result, now, write},
    rooms::Room,
};
use seaway::session::Id;
use serde::{Deserialize, Serialize};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};

/// The number of people that a list shows.
const SHOWN: i64 = 500;

/// The people in a room, each in any number of tabs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct People {
    pub people: Vec<Account>,
    /// The version: of two lists of a room, the one with the higher number is newer.
    pub version: i64,
}

/// The presence lists of all rooms, across all processes.
pub struct Presence {
    pub database: SqlitePool,
    /// The unique name of this process.
    pub process: String,
}

impl Presence {
    /// Returns the presence lists in this database, for a new process.
    pub fn new(database: SqlitePool) -> Self {
        // 128 random bits.
        let process = Id::default().to_string();
        Self { database, process }
    }

    /// Adds a tab with an open room. Returns the new list, if this is the user's first tab there.
    pub async fn enter(
        &self,
        room: &Room,
        user: &Account,
        channel: &str,
    ) -> Result<Option<People>> {
        let mut write = write(&self.database).await?;
        // Another process may just have deleted this one as dead.
        sqlx::query("INSERT INTO processes (id, seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&self.process)
            .bind(now())
            .execute(&mut *write)
            .await?;
        let entered = sqlx::query(
            "INSERT INTO presence (process, channel, room, user) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.process)
        .bind(channel)
        .bind(room.id)
        .bind(user.id)
        .execute(&mut *write)
        .await?;
        let is_first = entered.rows_affected() > 0 && tabs(&mut write, room, user).await? == 1;
        commit(write, room, is_first).await
    }

    /// Removes a closed tab. Returns the new list, if this was the user's last tab there.
    pub async fn leave(
        &self,
        room: &Room,
        user: &Account,
        channel: &str,
    ) -> Result<Option<People>> {
        let mut write = write(&self.database).await?;
        let left = sqlx::query("DELETE FROM presence WHERE process = ? AND channel = ?")
            .bind(&self.process)
            .bind(channel)
            .execute(&mut *write)
            .await?;
        let is_last = left.rows_affected() > 0 && tabs(&mut write, room, user).await? == 0;
        commit(write, room, is_last).await
    }

    /// Returns the people who are in the room now.
    pub async fn people(&self, room: &Room) -> Result<People> {
        let mut read = self.database.begin().await?;
        listed(&mut read, room).await
    }
}

/// Commits a change. Returns the new list, if it has changed.
async fn commit(
    mut write: Transaction<'_, Sqlite>,
    room: &Room,
    has_changed: bool,
) -> Result<Option<People>> {
    let people = match has_changed {
        true => Some(changed(&mut write, room).await?),
        false => None,
    };
    write.commit().await?;
    Ok(people)
}

/// Returns the number of tabs that a user has in the room.
async fn tabs(read: &mut SqliteConnection, room: &Room, user: &Account) -> Result<i64> {
    let tabs = sqlx::query_scalar("SELECT count(*) FROM presence WHERE room = ? AND user = ?")
        .bind(room.id)
        .bind(user.id)
        .fetch_one(read);
    Ok(tabs.await?)
}

/// Increments the version, and returns the list after it.
pub async fn changed(write: &mut SqliteConnection, room: &Room) -> Result<People> {
    sqlx::query("UPDATE rooms SET changes = changes + 1 WHERE id = ?")
        .bind(room.id)
        .execute(&mut *write)
        .await?;
    listed(write, room).await
}

/// Returns the list and its version. Both reads must be in one transaction, so that they match.
async fn listed(read: &mut SqliteConnection, room: &Room) -> Result<People> {
    let version = sqlx::query_scalar("SELECT changes FROM rooms WHERE id = ?")
        .bind(room.id)
        .fetch_one(&mut *read)
        .await?;
    let people = sqlx::query_as(
        "SELECT id, name FROM users WHERE id IN (SELECT user FROM presence WHERE room = ?)
         ORDER BY folded LIMIT ?",
    )
    .bind(room.id)
    .bind(SHOWN)
    .fetch_all(&mut *read)
    .await?;
    Ok(People { people, version })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, rooms::tests::a_room_and_ana};

    #[tokio::test]
    async fn several_tabs_are_one_person() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let presence = Presence::new(database);

        let first = presence.enter(&room, &ana, "a").await.unwrap();
        let second = presence.enter(&room, &ana, "b").await.unwrap();
        let one_left = presence.leave(&room, &ana, "a").await.unwrap();
        let all_left = presence.leave(&room, &ana, "b").await.unwrap();
        let again = presence.leave(&room, &ana, "b").await.unwrap();

        assert_eq!(first.unwrap().people, [ana]);
        assert_eq!((second, one_left, again), (None, None, None));
        let nobody = People {
            people: Vec::new(),
            version: 2,
        };
        assert_eq!(all_left, Some(nobody.clone()));
        assert_eq!(presence.people(&room).await.unwrap(), nobody);
    }
}
