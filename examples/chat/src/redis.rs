//! Redis: it carries news between the processes of this chat.

use launch::Redis;
use seaway::{Channels, Result, channels::redis::RedisConfig};
use std::time::Duration;

/// How long news waits for Redis. Messages are stored before they are told, and pages look for themselves.
const NEWS_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to the Redis that the user named, which must work then, or else to the usual one, if it does. Returns the
/// channels, and where they lead, for the user.
///
/// `prefix` stands before every name on Redis.
///
/// # Errors
/// If a Redis was named and cannot be used.
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
        Err(error) if is_named => Err(error),
        Err(error) => {
            tracing::warn!("this process serves alone: {error}");
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
