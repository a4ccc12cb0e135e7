//! Detection of a plain restart of Redis: nothing that was sent meanwhile can have been missed.

use crate::redis_link::{LONGEST_UNSEEN, Loss, Server, Up, are_two_runs};
use redis::aio::MultiplexedConnection;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a process waits after it has reconnected to another run of Redis before it publishes:
/// the other processes reconnect at most 200 ms apart, and renew their subscriptions in a few round
/// trips. One that has not noticed this run before it ends knows that it may have missed something,
/// unless it was suspended for less than 0.6 s.
pub(super) const SETTLE: Duration = LONGEST_UNSEEN.saturating_add(Duration::from_millis(50));

/// The timeout of the INFO command that returns the counts.
const INFO_TIMEOUT: Duration = Duration::from_secs(5);

/// Returns why this is not certain: the server of the lost connection ended with it, and this is
/// the next run.
pub(super) fn unclean(up: &Up, loss: &Loss) -> Option<&'static str> {
    if loss.server != Server::Ended || !is_another_run(up, loss) {
        Some("Redis may have continued without this process")
    } else if loss.may_hide_a_run {
        Some("this process was suspended or slow, so Redis may have run unnoticed")
    } else {
        None
    }
}

/// Waits until other processes have had the time to renew their subscriptions to another run of
/// Redis, be it restarted or the replica that has replaced the primary: what is published before is
/// a gap for them.
///
/// # Cancel safety
/// Safe.
pub(super) async fn settled(up: &Up) {
    let is_another_run = up
        .loss
        .as_ref()
        .is_some_and(|loss| is_another_run(up, loss));
    let at = up.since + SETTLE;
    if is_another_run && at > Instant::now() {
        sleep_until(at).await;
    }
}

fn is_another_run(up: &Up, loss: &Loss) -> bool {
    are_two_runs(up.run_id.as_deref(), loss.run_id.as_deref())
}

/// How events are sent, and so which commands Redis has counted if some were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireCommands {
    /// With PUBLISH.
    Publishing,
    /// By adding to queues. Every sender, Python as well, calls ZREMRANGEBYSCORE before it reads
    /// the members of a group, maybe on another host, or adds to a queue, so it counts also what
    /// was sent to a group whose members had not joined again. Nothing else calls it.
    Queueing,
}

/// Returns whether nothing was sent through this run of Redis yet; false if the user lacks the
/// permission to ask.
pub(super) async fn is_unused(
    connection: &mut MultiplexedConnection,
    sending: WireCommands,
) -> bool {
    let mut info = redis::cmd("INFO");
    info.arg("commandstats");
    let query = info.query_async::<String>(connection);
    match timeout(INFO_TIMEOUT, query).await {
        Ok(Ok(text)) => !text.lines().any(|line| sending.is_counted_in(line)),
        _ => false,
    }
}

impl WireCommands {
    /// Returns whether a line of the statistics counts sent events. A command appears with its
    /// first call.
    fn is_counted_in(self, line: &str) -> bool {
        let commands: &[&str] = match self {
            Self::Publishing => &["cmdstat_publish:", "cmdstat_spublish:"],
            Self::Queueing => &["cmdstat_zremrangebyscore:", "cmdstat_zcount:"],
        };
        commands.iter().any(|command| line.starts_with(command))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_that_send_count_as_use_by_others() {
        for (line, publishing, queueing) in [
            ("cmdstat_publish:calls=1,usec=8", true, false),
            ("cmdstat_spublish:calls=1,usec=8", true, false),
            ("cmdstat_zcount:calls=1,usec=8", false, true),
            ("cmdstat_zremrangebyscore:calls=1,usec=8", false, true),
            ("cmdstat_zrange:calls=1,usec=8", false, false),
            ("cmdstat_zadd:calls=1,usec=8", false, false),
            ("cmdstat_subscribe:calls=9,usec=8", false, false),
            ("# Commandstats", false, false),
        ] {
            let counted =
                [WireCommands::Publishing, WireCommands::Queueing].map(|s| s.is_counted_in(line));
            assert_eq!(counted, [publishing, queueing], "{line}");
        }
    }
}
