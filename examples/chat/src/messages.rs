//! The stored messages: written before they are published, and read in pages.

use crate::{
    accounts::Account,
    database::{Result, now},
    rooms::Room,
};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, SqlitePool};

/// The number of messages per page of history.
const PAGE: usize = 50;

/// The number of missed messages that are sent one by one. A client that missed more starts again
/// with the newest page.
const MISSED: usize = 200;

/// A message in a room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Message {
    /// The id; later messages have higher ones, across all rooms.
    pub id: i64,
    pub user: i64,
    pub from: String,
    pub text: String,
    /// Milliseconds since 1970.
    pub at: i64,
    /// A key that the sender's page chose.
    pub key: String,
    /// The id of the previous message in its room, or 0: a client without that one has missed a
    /// message.
    pub previous: i64,
}

/// Messages, the oldest first, and whether there are older ones.
#[derive(Debug, Serialize)]
pub struct Page {
    pub messages: Vec<Message>,
    pub more: bool,
}

/// The outcome of storing a message.
#[derive(Debug, PartialEq)]
pub enum Stored {
    New(Message),
    /// The message that is stored under this key already.
    Known(Message),
    /// The key belongs to a message of this user in another room.
    Elsewhere,
}

/// The messages of all rooms in this database.
pub struct Messages(pub SqlitePool);

impl Messages {
    /// Stores a message, once per user and key.
    pub async fn store(
        &self,
        room: &Room,
        user: &Account,
        key: &str,
        text: &str,
    ) -> Result<Stored> {
        let inserted = sqlx::query(
            "INSERT INTO messages (room, user, key, text, at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (user, key) DO NOTHING",
        )
        .bind(room.id)
        .bind(user.id)
        .bind(key)
        .bind(text)
        .bind(now())
        .execute(&self.0)
        .await?;
        let message = sqlx::query_as("SELECT * FROM said WHERE user = ? AND key = ? AND room = ?")
            .bind(user.id)
            .bind(key)
            .bind(room.id)
            .fetch_optional(&self.0)
            .await?;
        Ok(match (message, inserted.rows_affected()) {
            (None, _) => Stored::Elsewhere,
            (Some(message), 0) => Stored::Known(message),
            (Some(message), _) => Stored::New(message),
        })
    }

    /// Returns the newest page.
    pub async fn newest(&self, room: &Room) -> Result<Page> {
        self.before(room, i64::MAX).await
    }

    /// Returns the page before this id.
    pub async fn before(&self, room: &Room, id: i64) -> Result<Page> {
        // One more than a page has, to see whether there are older ones.
        let mut messages: Vec<Message> =
            sqlx::query_as("SELECT * FROM said WHERE room = ? AND id < ? ORDER BY id DESC LIMIT ?")
                .bind(room.id)
                .bind(id)
                .bind(PAGE as i64 + 1)
                .fetch_all(&self.0)
                .await?;
        let more = messages.len() > PAGE;
        messages.truncate(PAGE);
        messages.reverse();
        Ok(Page { messages, more })
    }

    /// Returns the messages after this id; `None` if those are too many to send, or if no message
    /// has this id or a higher one.
    pub async fn since(&self, room: &Room, id: i64) -> Result<Option<Vec<Message>>> {
        let messages: Vec<Message> =
            sqlx::query_as("SELECT * FROM said WHERE room = ? AND id > ? ORDER BY id LIMIT ?")
                .bind(room.id)
                .bind(id)
                .bind(MISSED as i64 + 1)
                .fetch_all(&self.0)
                .await?;
        if messages.is_empty() {
            let newest: Option<i64> = sqlx::query_scalar("SELECT max(id) FROM messages")
                .fetch_one(&self.0)
                .await?;
            return Ok((id <= newest.unwrap_or(0)).then_some(messages));
        }
        Ok((messages.len() <= MISSED).then_some(messages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, rooms::tests::a_room_and_ana};

    #[tokio::test]
    async fn the_same_key_again_is_the_same_message() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let messages = Messages(database);

        let first = messages.store(&room, &ana, "k1", "hello").await.unwrap();
        let again = messages.store(&room, &ana, "k1", "something else").await;
        let second = messages.store(&room, &ana, "k2", "and bye").await.unwrap();

        let (Stored::New(first), Stored::New(second)) = (first, second) else {
            panic!("their keys are new");
        };
        assert_eq!((first.previous, second.previous), (0, first.id));
        assert_eq!(again.unwrap(), Stored::Known(first));
    }

    #[tokio::test]
    async fn the_past_comes_in_pages_and_the_missed_in_one_go() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let messages = Messages(database);
        for number in 1..=201 {
            let key = number.to_string();
            messages.store(&room, &ana, &key, "hi").await.unwrap();
        }
        let ids = |messages: &[Message]| (messages[0].id, messages[messages.len() - 1].id);

        let newest = messages.newest(&room).await.unwrap();
        let oldest = messages.before(&room, 51).await.unwrap();
        let missed = messages.since(&room, 1).await.unwrap().unwrap();

        assert_eq!((ids(&newest.messages), newest.more), ((152, 201), true));
        assert_eq!((ids(&oldest.messages), oldest.more), ((1, 50), false));
        assert_eq!(ids(&missed), (2, 201));
        assert!(messages.since(&room, 0).await.unwrap().is_none());
        assert_eq!(messages.since(&room, 201).await.unwrap(), Some(Vec::new()));
        assert!(messages.since(&room, 999).await.unwrap().is_none());
    }
}
