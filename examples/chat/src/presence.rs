//! Who is here: a row for each tab with an open room, which goes with the tab or with the process that serves it.

use crate::{accounts::Account, database::now, rooms::Room};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Sqlite, SqliteConnection, SqlitePool, Transaction};

/// How many people a list shows.
const SHOWN: i64 = 500;

/// Somebody who is here, in any number of tabs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Person {
    pub id: i64,
    pub name: String,
}

/// Who is in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct People {
    pub people: Vec<Person>,
    /// Of two lists of a room, the one with the higher number is newer.
    pub version: i64,
}

/// Who is where, in all processes.
pub struct Presence {
    database: SqlitePool,
    process: String,
}

impl Presence {
    /// The people in this database; `process` is the name of this process, which no other has.
    pub fn new(database: SqlitePool, process: String) -> Self {
        Self { database, process }
    }

    /// Somebody opens a room in a tab. The new list, if this is the first of their tabs there.
    pub async fn enter(
        &self,
        room: &Room,
        user: &Account,
        channel: &str,
    ) -> sqlx::Result<Option<People>> {
        let mut write = self.write().await?;
        // Others may have taken this process for dead a moment ago.
        sqlx::query("INSERT INTO processes (id, seen_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(&self.process)
            .bind(now())
            .execute(&mut *write)
            .await?;
        let was_here = is_here(&mut write, room.id, user.id).await?;
        sqlx::query(
            "INSERT INTO presence (process, channel, room, user) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING",
        )
        .bind(&self.process)
        .bind(channel)
        .bind(room.id)
        .bind(user.id)
        .execute(&mut *write)
        .await?;
        let people = match was_here {
            true => None,
            false => Some(changed(&mut write, room.id).await?),
        };
        write.commit().await?;
        Ok(people)
    }

    /// A tab is closed. The new list, if this was the last of their tabs there.
    pub async fn leave(
        &self,
        room: &Room,
        user: &Account,
        channel: &str,
    ) -> sqlx::Result<Option<People>> {
        let mut write = self.write().await?;
        let gone = sqlx::query("DELETE FROM presence WHERE process = ? AND channel = ?")
            .bind(&self.process)
            .bind(channel)
            .execute(&mut *write)
            .await?;
        let is_still_here = is_here(&mut write, room.id, user.id).await?;
        let people = match gone.rows_affected() > 0 && !is_still_here {
            true => Some(changed(&mut write, room.id).await?),
            false => None,
        };
        write.commit().await?;
        Ok(people)
    }

    /// Who is in the room now.
    pub async fn people(&self, room: &Room) -> sqlx::Result<People> {
        let mut read = self.database.begin().await?;
        listed(&mut read, room.id).await
    }

    /// A transaction that has the lock from its beginning: reading first and writing then would fail whenever another
    /// writer came between.
    async fn write(&self) -> sqlx::Result<Transaction<'static, Sqlite>> {
        self.database.begin_with("BEGIN IMMEDIATE").await
    }
}

async fn is_here(read: &mut SqliteConnection, room: i64, user: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM presence WHERE room = ? AND user = ?)")
        .bind(room)
        .bind(user)
        .fetch_one(read)
        .await
}

/// Counts a change, and lists who is here after it.
pub async fn changed(write: &mut SqliteConnection, room: i64) -> sqlx::Result<People> {
    sqlx::query("UPDATE rooms SET changes = changes + 1 WHERE id = ?")
        .bind(room)
        .execute(&mut *write)
        .await?;
    listed(write, room).await
}

/// Both reads have to be in one transaction, so that the list is the one of that version.
async fn listed(read: &mut SqliteConnection, room: i64) -> sqlx::Result<People> {
    let version = sqlx::query_scalar("SELECT changes FROM rooms WHERE id = ?")
        .bind(room)
        .fetch_one(&mut *read)
        .await?;
    let people = sqlx::query_as(
        "SELECT id, name FROM users WHERE id IN (SELECT user FROM presence WHERE room = ?)
         ORDER BY folded LIMIT ?",
    )
    .bind(room)
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
        let presence = Presence::new(database, "one".to_owned());

        let first = presence.enter(&room, &ana, "a").await.unwrap();
        let second = presence.enter(&room, &ana, "b").await.unwrap();
        let one_left = presence.leave(&room, &ana, "a").await.unwrap();
        let all_left = presence.leave(&room, &ana, "b").await.unwrap();
        let again = presence.leave(&room, &ana, "b").await.unwrap();

        assert_eq!(first.unwrap().people[0].name, "Ana");
        assert_eq!((second, one_left, again), (None, None, None));
        let nobody = People {
            people: Vec::new(),
            version: 2,
        };
        assert_eq!(all_left, Some(nobody.clone()));
        assert_eq!(presence.people(&room).await.unwrap(), nobody);
    }
}
