//! Rooms: made once, and found by their slug.

use crate::{
    database::now,
    names::{clean, folded},
    slug::slug,
};
use moka::future::Cache;
use sqlx::{FromRow, SqlitePool};

/// How many rooms are kept in memory. They never change, so only their number needs a bound.
const KEPT: u64 = 10_000;

/// A place to talk.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Room {
    pub id: i64,
    pub slug: String,
    pub name: String,
}

/// How making a room ended.
#[derive(Debug, PartialEq)]
pub enum Creation {
    Done(Room),
    BadName,
    Taken,
}

/// All rooms.
pub struct Rooms {
    database: SqlitePool,
    by_slug: Cache<String, Room>,
}

impl Rooms {
    /// The rooms in this database.
    pub fn new(database: SqlitePool) -> Self {
        Self {
            database,
            by_slug: Cache::new(KEPT),
        }
    }

    /// Makes a room, unless the name will not do or a room has it, in any case.
    pub async fn create(&self, name: &str) -> sqlx::Result<Creation> {
        let Some(name) = clean(name, 40) else {
            return Ok(Creation::BadName);
        };
        let made = match self.insert(name, slug(name)).await? {
            Some(room) => Some(room),
            // Perhaps it is only the slug that a room has, under another name: this one gets a number.
            None => self.insert(name, self.numbered(&slug(name)).await?).await?,
        };
        Ok(made.map_or(Creation::Taken, Creation::Done))
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

    /// The slug with a number behind it that no room has.
    async fn numbered(&self, slug: &str) -> sqlx::Result<String> {
        let taken: Vec<String> =
            sqlx::query_scalar("SELECT slug FROM rooms WHERE slug LIKE ? || '-%'")
                .bind(slug)
                .fetch_all(&self.database)
                .await?;
        let mut numbered = (2..).map(|number| format!("{slug}-{number}"));
        let free = numbered.find(|numbered| !taken.contains(numbered));
        Ok(free.expect("there are more numbers than rooms"))
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
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{accounts::Account, database};

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
        assert_eq!(slug("Lobby!").await, "lobby-2");
        assert_eq!(slug("Lobby?").await, "lobby-3");
        assert_eq!(slug("Lobby 2").await, "lobby-2-2");
        assert_eq!(slug(" ").await, "BadName");
    }
}
