//! The list of rooms, with the unread counts of each user.

use crate::{
    accounts::Account,
    database::Result,
    rooms::{Room, Rooms},
};
use sqlx::FromRow;

/// The number of rooms that the list shows; those without messages for longest are left out.
const LISTED: i64 = 200;

/// The number of a room's newest messages that are counted as unread at most.
const UNREAD: i64 = 1_000;

/// A room in a user's list.
#[derive(Debug, PartialEq, FromRow)]
pub struct ListedRoom {
    pub slug: String,
    pub name: String,
    pub unread: i64,
    /// The id of the last message.
    pub last_id: Option<i64>,
    /// The time of the last message, in milliseconds since 1970.
    pub last_at: Option<i64>,
    /// The beginning of its text.
    pub last_text: Option<String>,
}

impl Rooms {
    /// Returns a user's list, the room with the newest message first.
    pub async fn listed_for(&self, user: &Account) -> Result<Vec<ListedRoom>> {
        let rooms = sqlx::query_as(
            "WITH listed AS (
                 SELECT id, slug, name, active_at FROM rooms ORDER BY active_at DESC, id DESC LIMIT ?2)
             SELECT slug, name, last.id AS last_id, last.at AS last_at,
                 substr(last.text, 1, 200) AS last_text, (
                 SELECT count(*) FROM (
                     SELECT user FROM messages
                     WHERE room = listed.id AND id > coalesce(seen.message, 0)
                     ORDER BY id DESC LIMIT ?3)
                 WHERE user <> ?1) AS unread
             FROM listed
             LEFT JOIN messages last ON last.id = (SELECT max(id) FROM messages WHERE room = listed.id)
             LEFT JOIN seen ON seen.room = listed.id AND seen.user = ?1
             ORDER BY active_at DESC, listed.id DESC",
        )
        .bind(user.id)
        .bind(LISTED)
        .bind(UNREAD)
        .fetch_all(&self.0);
        Ok(rooms.await?)
    }

    /// Records that a user has seen a room up to this message. If that is new, and nothing there is
    /// unread any more, returns the id of the newest message.
    pub async fn mark_seen(
        &self,
        user: &Account,
        room: &Room,
        message: i64,
    ) -> Result<Option<i64>> {
        // At most up to the newest message: a page may send any number.
        let seen: Option<i64> = sqlx::query_scalar(
            "INSERT INTO seen (user, room, message)
             SELECT ?1, ?2, max(id) FROM messages WHERE room = ?2 AND id <= ?3 HAVING max(id) > 0
             ON CONFLICT (user, room) DO UPDATE SET message = excluded.message
             WHERE excluded.message > seen.message
             RETURNING message",
        )
        .bind(user.id)
        .bind(room.id)
        .bind(message)
        .fetch_optional(&self.0)
        .await?;
        let Some(seen) = seen else {
            return Ok(None);
        };
        let newest = sqlx::query_scalar(
            "SELECT CASE WHEN EXISTS (
                 SELECT 1 FROM messages WHERE room = ?1 AND id > ?2 AND user <> ?3)
             THEN NULL ELSE (SELECT max(id) FROM messages WHERE room = ?1) END",
        )
        .bind(room.id)
        .bind(seen)
        .bind(user.id)
        .fetch_one(&self.0);
        Ok(newest.await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database, messages::Messages, rooms::tests::a_room_and_ana};

    #[tokio::test]
    async fn messages_of_others_are_unread_until_they_are_seen() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let insert = "INSERT INTO users (name, folded, password) VALUES ('Bo', 'bo', '')
                      RETURNING id, name";
        let bo = sqlx::query_as(insert).fetch_one(&database).await.unwrap();
        let messages = Messages(database.clone());
        for (user, key) in [(&ana, "1"), (&bo, "2"), (&ana, "3"), (&ana, "4")] {
            messages.store(&room, user, key, "hi").await.unwrap();
        }
        let rooms = Rooms(database);
        let unread = async |user| rooms.listed_for(user).await.unwrap()[0].unread;

        let marked = async |user, id| rooms.mark_seen(user, &room, id).await.unwrap();

        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 3));
        assert_eq!(marked(&bo, 3).await, None);
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 1));
        assert_eq!(marked(&bo, 4).await, Some(4));
        assert_eq!(marked(&bo, 1).await, None);
        assert_eq!((unread(&ana).await, unread(&bo).await), (1, 0));
        assert_eq!(marked(&ana, 2).await, Some(4), "the last two are her own");
    }

    #[tokio::test]
    async fn a_later_message_is_unread_even_if_a_higher_id_was_marked_as_seen() {
        let database = database::in_memory().await;
        let (room, ana) = a_room_and_ana(&database).await;
        let bo = Account {
            id: sqlx::query_scalar(
                "INSERT INTO users (name, folded, password) VALUES ('Bo', 'bo', '') RETURNING id",
            )
            .fetch_one(&database)
            .await
            .unwrap(),
            name: "Bo".to_owned(),
        };
        let (messages, rooms) = (Messages(database.clone()), Rooms(database));
        messages.store(&room, &ana, "1", "hi").await.unwrap();

        let before = rooms.mark_seen(&bo, &room, i64::MAX).await.unwrap();
        messages.store(&room, &ana, "2", "and bye").await.unwrap();
        let again = rooms.mark_seen(&bo, &room, 1).await.unwrap();

        assert_eq!((before, again), (Some(1), None));
        assert_eq!(rooms.listed_for(&bo).await.unwrap()[0].unread, 1);
    }

    #[tokio::test]
    async fn the_room_with_the_newest_message_comes_first() {
        let database = database::in_memory().await;
        let (harbour, ana) = a_room_and_ana(&database).await;
        let rooms = Rooms(database.clone());
        rooms
            .create("Cabin")
            .await
            .unwrap()
            .expect("the name is free");
        sqlx::query("UPDATE rooms SET active_at = id")
            .execute(&database)
            .await
            .unwrap();
        let first = async || rooms.listed_for(&ana).await.unwrap().swap_remove(0);

        assert_eq!(first().await.name, "Cabin");
        let messages = Messages(database.clone());
        messages.store(&harbour, &ana, "1", "ahoy").await.unwrap();
        let first = first().await;
        assert_eq!(first.name, "Harbour");
        assert_eq!(first.last_text.as_deref(), Some("ahoy"));
    }
}
