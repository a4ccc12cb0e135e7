//! The identity of this chat.
//!
//! Other chats may use the same Redis, with the same room names and user ids, or run on the same
//! host, where a browser sends one chat the cookies of the other.

use crate::database::Result;
use sqlx::SqlitePool;

/// Returns the name of the chat with this data: created once, at random, of letters, digits and a
/// hyphen.
pub async fn name(database: &SqlitePool) -> Result<String> {
    let id: String = sqlx::query_scalar("SELECT id FROM chat")
        .fetch_one(database)
        .await?;
    Ok(format!("chat-{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database;

    #[tokio::test]
    async fn each_database_has_a_name_of_its_own() {
        let (one, other) = (database::in_memory().await, database::in_memory().await);

        let first = name(&one).await.unwrap();

        assert_eq!(name(&one).await.unwrap(), first);
        assert_ne!(name(&other).await.unwrap(), first);
        // Redis takes a prefix of at most 30 characters.
        assert_eq!(first.len(), "chat-".len() + 16);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        assert!(first.bytes().all(is_plain), "{first}");
    }
}
