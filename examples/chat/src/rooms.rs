//! Rooms: made once, found by their slug, and listed with what each person has not read.

use crate::{
    accounts::{Account, folded},
    database::now,
    slug::slug,
};
use moka::future::Cache;
use sqlx::{FromRow, SqlitePool};
use std::{collections::HashMap, io, sync::Arc, time::Duration};

/// How many rooms the list shows; those that were silent longest are left out.
const LISTED: i64 = 200;

/// How far unread messages are counted.
const UNREAD: i64 = 1_000;

/// How many rooms are kept in memory. They never change, so only their number needs a bound.
const KEPT: u64 = 10_000;

/// How long the list is kept in memory, should the word that it has changed not come through.
const LIST_LIFE: Duration = Duration::from_secs(1);

/// A place to talk.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Room {
    pub id: i64,
    pub slug: String,
    pub name: String,
}

/// A room in somebody's list.
#[derive(Debug, PartialEq)]
pub struct ListedRoom {
    pub slug: String,
    pub name: String,
    pub unread: i64,
    /// What was said last.
    pub last_id: Option<i64>,
    /// When something was said last, in milliseconds since 1970.
    pub last_at: Option<i64>,
    pub last_text: Option<String>,
}

/// How making a room ended.
#[derive(Debug, PartialEq)]
pub enum Creation {
    Done(Room),
    BadName,
    Taken,
}

/// All rooms.
#[derive(Clone)]
pub struct Rooms {
    database: SqlitePool,
    by_slug: Cache<String, Room>,
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

impl Rooms {
    /// The rooms in this database.
    pub fn new(database: SqlitePool) -> Self {
        let lines = Cache::builder().max_capacity(1).time_to_live(LIST_LIFE);
        Self {
            database,
            by_slug: Cache::new(KEPT),
            lines: lines.build(),
        }
    }

    /// Makes a room, unless the name will not do or a room has it, in any case.
    pub async fn create(&self, name: &str) -> sqlx::Result<Creation> {
        let name = name.trim();
        let fits = (1..=40).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Ok(Creation::BadName);
        }
        let made = match self.insert(name, slug(name)).await? {
            Some(room) => Some(room),
            None => {
                // Perhaps it is only the slug that a room has, under another name: this one gets a number.
                let rooms: i64 = sqlx::query_scalar("SELECT count(*) FROM rooms")
                    .fetch_one(&self.database)
                    .await?;
                let numbered = format!("{}-{}", slug(name), rooms + 1);
                self.insert(name, numbered).await?
            }
        };
        let Some(room) = made else {
            return Ok(Creation::Taken);
        };
        self.forget_list().await;
        Ok(Creation::Done(room))
    }

    /// The room with this slug.
    pub async fn find(&self, slug: &str) -> sqlx::Result<Option<Room>> {
        if let Some(room) = self.by_slug.get(slug).await {
            return Ok(Some(room));
        }
        let room: Option<Room> = sqlx::query_as("SELECT id, slug, name FROM rooms WHERE slug = ?")
            .bind(slug)
            .fetch_optional(&self.database)
            .await?;
        if let Some(room) = &room {
            self.by_slug.insert(slug.to_owned(), room.clone()).await;
        }
        Ok(room)
    }

    /// Somebody's list: the room where something was said last comes first.
    pub async fn list(&self, user: &Account) -> sqlx::Result<Vec<ListedRoom>> {
        let lines = self.lines().await?;
        let mut unread = self.unread(user, &lines).await?;
        let listed = lines.iter().map(|line| ListedRoom {
            slug: line.slug.clone(),
            name: line.name.clone(),
            unread: unread.remove(&line.id).unwrap_or(0),
            last_id: line.last_id,
            last_at: line.last_at,
            last_text: line.last_text.clone(),
        });
        Ok(listed.collect())
    }

    /// Says that the list has changed: a room was made, or something was said.
    pub async fn forget_list(&self) {
        self.lines.invalidate(&()).await;
    }

    async fn insert(&self, name: &str, slug: String) -> sqlx::Result<Option<Room>> {
        sqlx::query_as(
            "INSERT INTO rooms (slug, name, folded, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING RETURNING id, slug, name",
        )
        .bind(slug)
        .bind(name)
        .bind(folded(name))
        .bind(now())
        .fetch_optional(&self.database)
        .await
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
        // One parameter for all ids: a list of their own as JSON.
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
pub mod tests {
    use super::*;
    use crate::{database, messages::Messages, seen::Seen};

    /// For tests of others: a room, and somebody who talks in it.
    pub async fn a_room_and_ana(database: &SqlitePool) -> (Room, Account) {
        let insert = "INSERT INTO users (name, folded, password) VALUES ('Ana', 'ana', '')";
        sqlx::query(insert).execute(database).await.unwrap();
        let creation = Rooms::new(database.clone()).create("Harbour").await;
        let Creation::Done(room) = creation.unwrap() else {
            panic!("the name is free");
        };
        let ana = Account {
            id: 1,
            name: "Ana".to_owned(),
        };
        (room, ana)
    }

    #[tokio::test]
    async fn a_name_is_taken_in_any_case_and_a_slug_is_not() {
        let rooms = Rooms::new(database::in_memory().await);
        let slug = async |name: &str| match rooms.create(name).await.unwrap() {
            Creation::Done(room) => room.slug,
            other => format!("{other:?}"),
        };

        assert_eq!(slug("日本").await, "room");
        assert_eq!(slug("中国").await, "room-2");
        assert_eq!(slug("Lobby").await, "lobby");
        assert_eq!(slug("LOBBY").await, "Taken");
        assert_eq!(slug("Lobby!").await, "lobby-4");
        assert_eq!(slug(" ").await, "BadName");
    }

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
        let (rooms, seen) = (Rooms::new(database.clone()), Seen::new(database));
        let unread = async |user| rooms.list(user).await.unwrap()[0].unread;

        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 3));
        assert!(!seen.mark(&bo, &room, 3).await.unwrap());
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 1));
        assert!(seen.mark(&bo, &room, i64::MAX).await.unwrap());
        assert!(!seen.mark(&bo, &room, 1).await.unwrap());
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 0));
    }
}
