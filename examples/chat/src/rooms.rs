//! Rooms: made once, and found by their slug.

use crate::{
    database::{Result, now},
    names::RoomName,
};
use sqlx::{FromRow, SqlitePool};

/// What a room is called in its address whose name has no letter that an address can have.
const NAMELESS: &str = "room";

/// A place to talk.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Room {
    pub id: i64,
    /// The part of its address that is made from its name.
    pub slug: String,
    pub name: String,
}

/// The rooms in this database.
pub struct Rooms(pub SqlitePool);

impl Rooms {
    /// Makes a room, or says in a sentence why not.
    pub async fn create(&self, name: &str) -> Result<Result<Room, &'static str>> {
        let Some(name) = RoomName::typed(name) else {
            return Ok(Err("A room’s name has 1 to 40 characters."));
        };
        if let Some(problem) = name.problem() {
            return Ok(Err(problem));
        }
        let slug = slug(name.shown());
        let mut made = self.insert(&name, &slug).await?;
        if made.is_none() {
            // Perhaps it is only the slug that a room has, under another name: this one gets a number.
            made = self.insert(&name, &self.numbered(&slug).await?).await?;
        }
        Ok(made.ok_or("There is a room of this name already."))
    }

    /// The room with this slug.
    pub async fn find(&self, slug: &str) -> Result<Option<Room>> {
        let room = sqlx::query_as("SELECT id, slug, name FROM rooms WHERE slug = ?")
            .bind(slug)
            .fetch_optional(&self.0);
        Ok(room.await?)
    }

    /// The slug with a number behind it that no room has.
    async fn numbered(&self, slug: &str) -> Result<String> {
        let taken: Vec<String> =
            sqlx::query_scalar("SELECT slug FROM rooms WHERE slug LIKE ? || '-%'")
                .bind(slug)
                .fetch_all(&self.0)
                .await?;
        let mut numbered = (2..).map(|number| format!("{slug}-{number}"));
        let free = numbered.find(|numbered| !taken.contains(numbered));
        Ok(free.expect("there are more numbers than rooms"))
    }

    async fn insert(&self, name: &RoomName, slug: &str) -> Result<Option<Room>> {
        let room = sqlx::query_as(
            "INSERT INTO rooms (slug, name, folded, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT DO NOTHING RETURNING id, slug, name",
        )
        .bind(slug)
        .bind(name.shown())
        .bind(name.folded())
        .bind(now())
        .fetch_optional(&self.0);
        Ok(room.await?)
    }
}

/// Lower case letters and digits of ASCII, and single hyphens for all that stands between them.
fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    match slug.as_str() {
        "" => NAMELESS.to_owned(),
        _ => slug,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::{accounts::Account, database};

    /// For tests of others: a room, and somebody who talks in it.
    pub async fn a_room_and_ana(database: &SqlitePool) -> (Room, Account) {
        let insert = "INSERT INTO users (name, folded, password) VALUES ('Ana', 'ana', '')
                      RETURNING id, name";
        let ana = sqlx::query_as(insert).fetch_one(database).await.unwrap();
        let creation = Rooms(database.clone()).create("Harbour").await;
        (creation.unwrap().expect("the name is free"), ana)
    }

    #[tokio::test]
    async fn a_name_is_taken_in_any_case_and_a_slug_is_not() {
        let rooms = Rooms(database::in_memory().await);
        let slug = async |name: &str| match rooms.create(name).await.unwrap() {
            Ok(room) => room.slug,
            Err(refusal) => refusal.to_owned(),
        };

        assert_eq!(slug("日本").await, "room");
        assert_eq!(slug("中国").await, "room-2");
        assert_eq!(slug("Lobby").await, "lobby");
        assert!(slug("LOBBY").await.contains("of this name already"));
        assert_eq!(slug("Lobby!").await, "lobby-2");
        assert_eq!(slug("Lobby?").await, "lobby-3");
        assert_eq!(slug("Lobby 2").await, "lobby-2-2");
        assert!(slug(" ").await.contains("1 to 40 characters"));
    }

    #[test]
    fn a_slug_is_clean_whatever_the_name() {
        for (name, expected) in [
            ("Lobby", "lobby"),
            ("The  Old Harbour!", "the-old-harbour"),
            ("-- 2 x 2 --", "2-x-2"),
            ("Café Zoë", "caf-zo"),
            ("日本", "room"),
            ("../../etc", "etc"),
            ("%2e%2e", "2e-2e"),
        ] {
            assert_eq!(slug(name), expected, "{name}");
        }
    }
}
