//! Redis: it carries news between the processes of this chat.

use launch::Redis;
use seaway::{Channels, Result, channels::redis::RedisConfig};
use std::time::Duration;

/// How long news waits for Redis. Messages are stored before they are told, and pages look for themselves.
const NEWS_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to the Redis that the user named, which must work then, or to the one on this machine, if there is one. Returns
/// the channels, and where they lead, for the user.
///
/// `prefix` stands before every name on Redis.
///
/// # Errors
/// If a Redis was named and cannot be used.
pub async fn connect(named: Option<Redis>, prefix: &str) -> Result<(Channels, String)> {
    let is_named = named.is_some();
    let redis = named.unwrap_or_else(Redis::on_this_machine);
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
