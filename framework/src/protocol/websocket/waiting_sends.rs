//! The sends that wait for room in the queue to one client, in the order of their calls.

use super::send_queue::Outbound;
use std::collections::VecDeque;
use tokio::sync::oneshot::{self, Receiver};

/// The sends that wait. `None` if it would be empty, as for most clients.
///
/// If it is dropped, they fail.
#[derive(Default)]
#[expect(
    clippy::box_collection,
    reason = "each connection has one, and most are empty"
)]
pub(super) struct WaitingSends(Option<Box<VecDeque<WaitingSend>>>);

/// A message that waits for room.
pub(super) struct WaitingSend {
    pub(super) message: Outbound,
    /// Notified once the message is queued.
    pub(super) queued: oneshot::Sender<()>,
}

impl WaitingSends {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Adds a message; the receiver is notified once it is queued.
    pub(super) fn push(&mut self, message: Outbound) -> Receiver<()> {
        let (queued, receiver) = oneshot::channel();
        let sends = self.0.get_or_insert_default();
        sends.push_back(WaitingSend { message, queued });
        receiver
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<WaitingSend> {
        let first = self.0.as_mut()?.pop_front();
        self.shrink();
        first
    }

    /// Removes the sends whose receivers are closed.
    pub(super) fn remove_cancelled(&mut self) {
        if let Some(sends) = &mut self.0 {
            sends.retain(|send| !send.queued.is_closed());
        }
        self.shrink();
    }

    fn shrink(&mut self) {
        if self.0.as_ref().is_some_and(|sends| sends.is_empty()) {
            self.0 = None;
        }
    }
}
