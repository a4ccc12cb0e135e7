//! How far each person has read each room.

use crate::{accounts::Account, rooms::Room};
use sqlx::SqlitePool;

/// How far everyone has read.
pub struct Seen {
    database: SqlitePool,
}

impl Seen {
    /// The marks in this database.
    pub fn new(database: SqlitePool) -> Self {
        Self { database }
    }

    /// Notes that somebody has seen a room up to this message. Whether that was news, and nothing is unread any more.
    pub async fn mark(&self, user: &Account, room: &Room, message: i64) -> sqlx::Result<bool> {
        // No further than to what was said: a page may send any number.
        let marked = sqlx::query(
            "INSERT INTO seen (user, room, message)
             SELECT ?1, ?2, max(id) FROM messages WHERE room = ?2 AND id <= ?3 HAVING max(id) > 0
             ON CONFLICT (user, room) DO UPDATE SET message = excluded.message
             WHERE excluded.message > seen.message",
        )
        .bind(user.id)
        .bind(room.id)
        .bind(message)
        .execute(&self.database)
        .await?;
        if marked.rows_affected() == 0 {
            return Ok(false);
        }
        let is_left: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM messages WHERE room = ? AND id > ? AND user <> ?)",
        )
        .bind(room.id)
        .bind(message)
        .bind(user.id)
        .fetch_one(&self.database)
        .await?;
        Ok(!is_left)
    }
}
