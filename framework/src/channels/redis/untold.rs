//! The gap that the members of this process are still to be told of.

use super::{
    deliverer::{Deliverer, Notice},
    restart,
};
use crate::{channels::LocalChannels, redis_link::Up};
use redis::aio::MultiplexedConnection;
use std::mem;
use tokio::time::Instant;

/// The events that may have been missed and that nobody was told of yet.
///
/// A process that was not connected for a while has a gap if anything may have been published meanwhile: always, unless
/// Redis itself ended with the connection, came back as another run, and that run has published nothing yet. The first is
/// known by what answered right after the loss, the second by `run_id`, the third by Redis' own count of PUBLISH commands,
/// before and after the subscriptions are renewed.
#[derive(Default)]
pub(super) struct Untold {
    /// The gap since the last connection that had all its subscriptions.
    gap: Option<Notice>,
    /// Whether the loss of the last connection was noted when it happened.
    is_noted: bool,
    /// Whether something may have been published meanwhile.
    is_real: bool,
    /// The last connection that had all its subscriptions.
    restored: Option<u64>,
    /// The last connection on which subscriptions were asked for.
    attempted: Option<u64>,
}

impl Untold {
    /// A connection was lost, with so many mailboxes open: those opened later have no confirmed membership to miss for.
    pub(super) fn lost(&mut self, opened: u64) {
        if mem::replace(&mut self.is_noted, true) {
            return;
        }
        let since = Instant::now();
        let gap = self.gap.get_or_insert(Notice { since, opened });
        gap.opened = gap.opened.max(opened);
    }

    /// There is a connection, without subscriptions yet. What is known to be missing is told as they are confirmed.
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
            gap.since = gap.since.min(loss.last_heard);
        }
        let was_whole = self.restored == Some(loss.generation);
        if is_repeated
            || !was_whole
            || !restart::is_clean(up, loss)
            || !restart::is_unused(connection).await
        {
            self.is_real = true;
        }
        match self.gap {
            Some(gap) if self.is_real => deliverer.expect_gap(gap),
            Some(gap) => deliverer.suspect_gap(gap),
            None => {}
        }
    }

    /// All subscriptions are renewed.
    pub(super) async fn subscribed(
        &mut self,
        up: &Up,
        connection: &mut MultiplexedConnection,
        deliverer: &Deliverer,
    ) {
        self.restored = Some(up.generation);
        let is_told = mem::take(&mut self.is_real);
        let is_suspected = self.gap.take().is_some() && !is_told;
        let is_gap = is_suspected && !restart::is_unused(connection).await;
        if let Some(gap) = deliverer.renewed().filter(|_| is_gap) {
            deliverer.tell(gap);
        }
    }
}
