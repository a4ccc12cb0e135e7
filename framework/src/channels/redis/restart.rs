//! Detection of a plain restart of Redis: nothing that was sent meanwhile can have been missed.

use crate::redis_link::{Loss, Server, Up, are_two_runs};
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long a process waits after it has reconnected to a restarted Redis before it publishes: the
/// other processes reconnect at most 200 ms apart, and renew their subscriptions in a few round
/// trips.
pub(super) const SETTLE: Duration = Duration::from_millis(400);

/// The timeout of the INFO command that returns the counts.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns whether the server of the lost connection ended with it, and this is another run.
pub(super) fn is_clean(up: &Up, loss: &Loss) -> bool {
    loss.server == Server::Ended && is_another_run(up, loss)
}

/// Returns until when other processes may be renewing their subscriptions to a restarted Redis.
pub(super) fn settles_at(up: &Up) -> Option<Instant> {
    let loss = up.loss.as_ref()?;
    is_another_run(up, loss).then(|| up.since + SETTLE)
}

fn is_another_run(up: &Up, loss: &Loss) -> bool {
    are_two_runs(up.run_id.as_deref(), loss.run_id.as_deref())
}

/// Returns whether this run of Redis has published nothing yet; false if the user lacks the
/// permission to ask.
pub(super) async fn is_unused(connection: &mut MultiplexedConnection) -> bool {
    let mut info = redis::cmd("INFO");
    info.arg("commandstats");
    let asking = info.query_async::<String>(connection);
    match timeout(INFO_TIMEOUT, asking).await {
        Ok(Ok(text)) => !text.lines().any(is_publishing),
        _ => false,
    }
}

/// Returns whether a line of the statistics counts publishing. A command appears with its first
/// call.
fn is_publishing(line: &str) -> bool {
    line.starts_with("cmdstat_publish:") || line.starts_with("cmdstat_spublish:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_publishing_counts() {
        for (line, expected) in [
            ("cmdstat_publish:calls=1,usec=8", true),
            ("cmdstat_spublish:calls=1,usec=8", true),
            ("cmdstat_subscribe:calls=9,usec=8", false),
            ("# Commandstats", false),
        ] {
            assert_eq!(is_publishing(line), expected, "{line}");
        }
    }
}
