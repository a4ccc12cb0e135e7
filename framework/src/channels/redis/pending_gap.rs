//! The gap that the consumers of this process are still to be notified of.

use super::restart::{self, WireCommands};
use crate::{
    channels::{LocalChannels, lost_part::LostPart},
    log_limit::log_limited,
    redis_link::Up,
};
use std::{mem, time::Duration};
use tokio::time::Instant;

/// The reason of a gap in which Redis has counted sent events.
const SENT_MEANWHILE: &str = "other processes have sent events meanwhile";

/// A gap, and the mailboxes that are to be notified of it.
#[derive(Clone, Copy)]
pub(super) struct Notice {
    /// When bytes last arrived on the previous connection.
    pub(super) since: Instant,
    /// The number of mailboxes opened before it was lost: later ones had joined no group.
    pub(super) opened: u64,
    /// Why events may be missing, for the log.
    pub(super) reason: &'static str,
}

impl Notice {
    /// Notifies the consumers of a part of this gap.
    pub(super) fn notify(self, local: &LocalChannels, part: &impl LostPart) {
        let gap: Duration = self.since.elapsed();
        // A connection that breaks repeatedly is a gap each time.
        log_limited!(
            warn,
            seconds = gap.as_secs_f32(),
            reason = self.reason,
            "events sent while this process received nothing may be missing; its consumers are notified"
        );
        local.interrupted_before(self.opened, gap, part);
    }
}

/// Whether events from before the subscriptions were renewed may be missing.
#[derive(Clone, Copy, Default)]
pub(super) enum Gap {
    #[default]
    None,
    /// Only if something was sent meanwhile.
    Suspected(Notice),
    Certain(Notice),
}

/// The gap that consumers of this process were not notified of yet.
///
/// A process that was not connected for a while has a gap if anything may have been sent
/// meanwhile: always, unless Redis itself ended with the connection, came back as another run, and
/// through that run nothing has been sent yet. The first is known from the responses right after
/// the loss, the second from `run_id`, the third from Redis' own count of commands, before and
/// after the subscriptions are renewed.
pub(super) struct PendingGap {
    sending: WireCommands,
    /// The gap since the last connection that had all its subscriptions.
    gap: Option<Notice>,
    /// Whether the loss of the last connection was recorded when it happened.
    is_loss_recorded: bool,
    /// Why something may have been sent meanwhile, if it may.
    certain: Option<&'static str>,
    /// The last connection that had all its subscriptions.
    restored: Option<u64>,
    /// The last connection on which subscriptions were requested.
    attempted: Option<u64>,
}

impl PendingGap {
    /// `sending` is how events are sent.
    pub(super) fn new(sending: WireCommands) -> Self {
        Self {
            sending,
            gap: None,
            is_loss_recorded: false,
            certain: None,
            restored: None,
            attempted: None,
        }
    }

    /// Records that a connection was lost after `opened` mailboxes had been opened: later ones have
    /// no confirmed membership.
    pub(super) fn lost(&mut self, opened: u64) {
        if mem::replace(&mut self.is_loss_recorded, true) {
            return;
        }
        let since = Instant::now();
        let gap = self.gap.get_or_insert(Notice {
            since,
            opened,
            reason: SENT_MEANWHILE,
        });
        gap.opened = gap.opened.max(opened);
    }

    /// Records that events that Redis had accepted may have ended with it.
    pub(super) fn suspect(&mut self) {
        self.certain = Some("events that Redis had accepted may have ended with it");
    }

    /// Handles a new connection that has no subscriptions yet; returns the gap before it.
    pub(super) async fn connected(&mut self, up: &Up, opened: u64) -> Gap {
        let is_repeated = self.attempted.replace(up.generation) == Some(up.generation);
        let Some(loss) = &up.loss else {
            self.gap = None;
            return Gap::None;
        };
        self.lost(opened);
        self.is_loss_recorded = false;
        if let Some(gap) = &mut self.gap {
            gap.since = gap.since.min(loss.last_received);
        }
        let was_whole = self.restored == Some(loss.generation);
        self.certain = match restart::unclean(up, loss) {
            _ if is_repeated => Some("Redis refused a subscription before"),
            _ if !was_whole => {
                Some("an earlier connection ended before its subscriptions were renewed")
            }
            Some(reason) => Some(reason),
            None if !self.is_unused(up).await => Some(SENT_MEANWHILE),
            None => self.certain,
        };
        self.current()
    }

    /// Handles the confirmation of all subscriptions; returns the gap before them, unless nothing
    /// was sent meanwhile.
    pub(super) async fn settled(&mut self, up: &Up) -> Option<Notice> {
        self.restored = Some(up.generation);
        let gap = self.current();
        self.certain = None;
        self.gap = None;
        match gap {
            Gap::None => None,
            Gap::Certain(notice) => Some(notice),
            Gap::Suspected(notice) => (!self.is_unused(up).await).then_some(notice),
        }
    }

    async fn is_unused(&self, up: &Up) -> bool {
        restart::is_unused(&mut up.connection.clone(), self.sending).await
    }

    fn current(&self) -> Gap {
        match (self.gap, self.certain) {
            (Some(gap), Some(reason)) => Gap::Certain(Notice { reason, ..gap }),
            (Some(gap), None) => Gap::Suspected(gap),
            (None, _) => Gap::None,
        }
    }
}
