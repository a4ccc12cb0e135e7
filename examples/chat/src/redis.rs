//! The connection to Redis, which transports events between the processes of this chat.

use launch::Redis;
use seaway::{Channels, Result, channels::redis::RedisConfig};
use std::time::Duration;

/// How long an event waits for Redis. Messages are stored before they are published, and pages poll
/// the database.
const NEWS_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to the Redis that the user configured, which must work then, or else to the usual one,
/// if it works. Returns the channels, and the Redis as shown to the user.
///
/// `prefix` precedes every key on Redis.
///
/// # Errors
/// If a Redis was configured and cannot be used.
pub async fn connect(
    named: Option<Redis>,
    usual: Redis,
    prefix: &str,
) -> Result<(Channels, String)> {
    let is_named = named.is_some();
    let redis = named.unwrap_or(usual);
    let configure = |config: RedisConfig| config.prefix(prefix).send_timeout(NEWS_TIMEOUT);
    match redis.channels(configure).await {
        Ok(channels) => Ok((channels, redis.to_string())),
        Err(error) if is_named => Err(error.into()),
        Err(error) => {
            tracing::warn!("cannot reach other processes of this chat without Redis: {error}");
            Ok((Channels::in_memory(), "none".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_redis_that_was_named_must_work() {
        let nobody = || Redis::from_option("redis://127.0.0.1:1".to_owned());

        let alone = connect(None, nobody(), "chat").await;
        let named = connect(Some(nobody()), nobody(), "chat").await;

        assert_eq!(alone.unwrap().1, "none");
        assert!(named.is_err());
    }
}
