//! One question to a Sentinel, or to a node of a Cluster.

use super::connect_error::{Cause, ConnectError};
use redis::{RedisError, RedisResult};
use std::{future::Future, time::Duration};
use tokio::time::timeout;

/// The timeout for an answer on an open connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for an answer.
///
/// # Errors
/// If there is none in time, or the server refuses.
pub(super) async fn answer<T>(
    asking: impl Future<Output = RedisResult<T>>,
) -> Result<T, ConnectError> {
    let answer = timeout(ANSWER_TIMEOUT, asking).await;
    let answer = answer.map_err(|_| ConnectError::timeout("no response within 1 s"))?;
    answer.map_err(|error: RedisError| {
        let text = error.to_string();
        let reason = if text.contains("cluster support disabled") {
            "it is not a node of a Cluster; write redis:// for a single server"
        } else if text.contains("unknown command") {
            "it is not a Sentinel; use the port of one, or write redis:// for a single server"
        } else if text.contains("NOPERM") {
            "its user lacks a permission; add the permissions for SENTINEL and SUBSCRIBE that docs/redis.md lists"
        } else {
            return ConnectError::of(&error);
        };
        ConnectError::new(reason, Cause::Denied)
    })
}
