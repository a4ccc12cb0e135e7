//! The gap that the consumers of this process are still to be notified of.

use super::{
    deliverer::{Deliverer, Notice},
    restart,
};
use crate::{channels::LocalChannels, redis_link::Up};
use redis::aio::MultiplexedConnection;
use std::mem;
use tokio::time::Instant;

/// The gap that consumers of this process were not notified of yet.
///
/// A process that was not connected for a while has a gap if anything may have been published
/// meanwhile: always, unless Redis itself ended with the connection, came back as another run, and
/// that run has published nothing yet. The first is known from the responses right after the loss,
/// the second from `run_id`, the third from Redis' own count of PUBLISH commands, before and after
/// the subscriptions are renewed.
#[derive(Default)]
pub(super) struct PendingGap {
    /// The gap since the last connection that had all its subscriptions.
    gap: Option<Notice>,
    /// Whether the loss of the last connection was recorded when it happened.
    is_noted: bool,
    /// Whether something may have been published meanwhile.
    is_certain: bool,
    /// The last connection that had all its subscriptions.
    restored: Option<u64>,
    /// The last connection on which subscriptions were requested.
    attempted: Option<u64>,
}

impl PendingGap {
    /// Records that a connection was lost after `opened` mailboxes had been opened: later ones have
    /// no confirmed membership, so they cannot have missed anything.
    pub(super) fn lost(&mut self, opened: u64) {
        if mem::replace(&mut self.is_noted, true) {
            return;
        }
        let since = Instant::now();
        let gap = self.gap.get_or_insert(Notice { since, opened });
        gap.opened = gap.opened.max(opened);
    }

    /// Handles a new connection that has no subscriptions yet. Consumers are notified of a certain
    /// gap as the subscriptions are confirmed.
    pub(super) async fn connected(
        &mut self,
        up: &Up,
        connection: &mut MultiplexedConnection,
        local: &LocalChannels,
        deliverer: &Deliverer,
    ) {
        let is_repeated = self.attempted.replace(up.generation) == Some(up.generation);
        let Some(loss) = &up.loss else {
            self.gap = None;
            return;
        };
        self.lost(local.opened());
        self.is_noted = false;
        if let Some(gap) = &mut self.gap {
            gap.since = gap.since.min(loss.last_received);
        }
        let was_whole = self.restored == Some(loss.generation);
        if is_repeated
            || !was_whole
            || !restart::is_clean(up, loss)
            || !restart::is_unused(connection).await
        {
            self.is_certain = true;
        }
        match self.gap {
            Some(gap) if self.is_certain => deliverer.expect_gap(gap),
            Some(gap) => deliverer.suspect_gap(gap),
            None => {}
        }
    }

    /// Handles the confirmation of all subscriptions.
    pub(super) async fn subscribed(
        &mut self,
        up: &Up,
        connection: &mut MultiplexedConnection,
        deliverer: &Deliverer,
    ) {
        self.restored = Some(up.generation);
        let was_notified = mem::take(&mut self.is_certain);
        let is_suspected = self.gap.take().is_some() && !was_notified;
        let is_gap = is_suspected && !restart::is_unused(connection).await;
        if let Some(gap) = deliverer.renewed().filter(|_| is_gap) {
            deliverer.notify_all(gap);
        }
    }
}
