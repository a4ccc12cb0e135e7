//! The list of rooms: the same for all, but for what each person has not read.

use crate::accounts::Account;
use moka::future::Cache;
use sqlx::{FromRow, SqlitePool};
use std::{collections::HashMap, io, sync::Arc, time::Duration};

/// How many rooms the list shows; those that were silent longest are left out.
const LISTED: i64 = 200;

/// How far unread messages are counted.
const UNREAD: i64 = 1_000;

/// How long the list is kept in memory, should the word that it has changed not come through.
const LIFE: Duration = Duration::from_secs(1);

/// A room in somebody's list.
#[derive(Debug, PartialEq)]
pub struct ListedRoom {
    pub slug: String,
    pub name: String,
    pub unread: i64,
    /// What was said last.
    pub last_id: Option<i64>,
    /// When that was, in milliseconds since 1970.
    pub last_at: Option<i64>,
    /// The beginning of it.
    pub last_text: Option<String>,
}

/// Everyone's list.
pub struct RoomList {
    database: SqlitePool,
    /// One entry: what all lists have in common.
    lines: Cache<(), Arc<Vec<Line>>>,
}

/// What a room looks like in everyone's list.
#[derive(FromRow)]
struct Line {
    id: i64,
    slug: String,
    name: String,
    last_id: Option<i64>,
    last_at: Option<i64>,
    last_text: Option<String>,
}

impl RoomList {
    /// The list of the rooms in this database.
    pub fn new(database: SqlitePool) -> Self {
        let lines = Cache::builder().max_capacity(1).time_to_live(LIFE).build();
        Self { database, lines }
    }

    /// Somebody's list: the room where something was said last comes first.
    pub async fn of(&self, user: &Account) -> sqlx::Result<Vec<ListedRoom>> {
        let lines = self.lines().await?;
        let unread = self.unread(user, &lines).await?;
        let listed = lines.iter().map(|line| ListedRoom {
            slug: line.slug.clone(),
            name: line.name.clone(),
            unread: unread.get(&line.id).copied().unwrap_or(0),
            last_id: line.last_id,
            last_at: line.last_at,
            last_text: line.last_text.clone(),
        });
        Ok(listed.collect())
    }

    /// It has changed: a room was made, or something was said.
    pub async fn forget(&self) {
        self.lines.invalidate(&()).await;
    }

    /// What all lists have in common; of many who ask at once, one reads it for all.
    async fn lines(&self) -> sqlx::Result<Arc<Vec<Line>>> {
        let reading = async {
            let lines = sqlx::query_as(
                "SELECT r.id, r.slug, r.name,
                     m.id AS last_id, m.at AS last_at, substr(m.text, 1, 200) AS last_text
                 FROM rooms r
                 LEFT JOIN messages m ON m.id = (SELECT max(id) FROM messages WHERE room = r.id)
                 ORDER BY coalesce(m.at, r.created_at) DESC, r.id DESC LIMIT ?",
            )
            .bind(LISTED)
            .fetch_all(&self.database)
            .await?;
            Ok(Arc::new(lines))
        };
        let lines = self.lines.try_get_with((), reading).await;
        lines.map_err(|error: Arc<sqlx::Error>| sqlx::Error::Io(io::Error::other(error)))
    }

    /// What others have said in each of these rooms since this person looked.
    async fn unread(&self, user: &Account, lines: &[Line]) -> sqlx::Result<HashMap<i64, i64>> {
        let ids: Vec<String> = lines.iter().map(|line| line.id.to_string()).collect();
        // One parameter for all ids: a JSON array, which SQLite reads as a table.
        let counts: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT r.value, (
                 SELECT count(*) FROM (
                     SELECT 1 FROM messages m
                     WHERE m.room = r.value AND m.id > coalesce(s.message, 0) AND m.user <> ?1
                     LIMIT ?2))
             FROM json_each(?3) r
             LEFT JOIN seen s ON s.room = r.value AND s.user = ?1",
        )
        .bind(user.id)
        .bind(UNREAD)
        .bind(format!("[{}]", ids.join(",")))
        .fetch_all(&self.database)
        .await?;
        Ok(counts.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, messages::Messages, rooms::tests::a_room_and_ana, seen::Seen};

    #[tokio::test]
    async fn unread_is_what_others_have_said_since_one_looked() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let insert = "INSERT INTO users (name, folded, password) VALUES ('Bo', 'bo', '')";
        sqlx::query(insert).execute(&database).await.unwrap();
        let bo = Account {
            id: 2,
            name: "Bo".to_owned(),
        };
        let messages = Messages::new(database.clone());
        for (user, key) in [(&ana, "1"), (&bo, "2"), (&ana, "3"), (&ana, "4")] {
            messages.store(&room, user, key, "hi").await.unwrap();
        }
        let (list, seen) = (RoomList::new(database.clone()), Seen::new(database));
        let unread = async |user| list.of(user).await.unwrap()[0].unread;

        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 3));
        assert!(!seen.mark(&bo, &room, 3).await.unwrap());
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 1));
        assert!(seen.mark(&bo, &room, i64::MAX).await.unwrap());
        assert!(!seen.mark(&bo, &room, 1).await.unwrap());
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 0));
    }
}
