//! The check that Redis still has the memberships of this process, with the format of queues.
//!
//! A group's key can be gone although the heartbeat key is there: evicted, deleted, or expired by
//! the clock of another program. Then nothing arrives for the group, and a process that only
//! receives would not notice.

use super::{
    names::{HostNames, Proxies},
    subscriptions::Subscriptions,
};
use crate::name::GroupName;
use redis::{RedisResult, aio::MultiplexedConnection};
use std::sync::Arc;
use tokio::time::Instant;

/// The number of memberships that are checked at once, with each renewal of the heartbeat key. With
/// 10,000 groups, a loss is noticed within 10 s.
const AT_ONCE: usize = 1000;

/// The check of all memberships, some at a time.
pub(super) struct MembershipCheck {
    names: HostNames,
    proxies: Arc<Proxies>,
    /// The groups that are still to be checked in this round, and the numbers of their
    /// confirmations.
    due: Vec<(GroupName, u64)>,
    /// When this round began.
    since: Instant,
}

/// The result of a check.
pub(super) enum CheckedMemberships {
    /// Some memberships are there; others are still to be checked.
    Part,
    /// Each was there at some time since then.
    All { since: Instant },
    /// Redis has lost one.
    Missing,
}

impl MembershipCheck {
    pub(super) fn new(names: &HostNames, proxies: Arc<Proxies>) -> Self {
        Self {
            names: names.clone(),
            proxies,
            due: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Checks the next memberships, or those of a new round.
    ///
    /// # Errors
    /// That of the connection. A group whose key is not a sorted set is skipped: its senders get an
    /// error.
    pub(super) async fn next(
        &mut self,
        connection: &mut MultiplexedConnection,
        subscriptions: &Subscriptions,
    ) -> RedisResult<CheckedMemberships> {
        if self.due.is_empty() {
            self.since = Instant::now();
            self.due = subscriptions.active();
        }
        let rest = self.due.len().saturating_sub(AT_ONCE);
        let groups = self.due.split_off(rest);
        if !groups.is_empty() {
            let mut pipe = redis::pipe();
            pipe.ignore_errors();
            for (group, _) in &groups {
                let scored = pipe.cmd("ZSCORE").arg(self.names.of_group(group));
                scored.arg(self.proxies.name(group).as_str());
            }
            let scores: Vec<RedisResult<Option<f64>>> = pipe.query_async(connection).await?;
            let mut scored = groups.iter().zip(scores);
            // It may have been left meanwhile.
            let is_missing = scored.any(|((group, number), score)| {
                score == Ok(None) && subscriptions.activation(group) == Some(*number)
            });
            if is_missing {
                self.due = Vec::new();
                return Ok(CheckedMemberships::Missing);
            }
        }
        Ok(match self.due.is_empty() {
            true => CheckedMemberships::All { since: self.since },
            false => CheckedMemberships::Part,
        })
    }
}
