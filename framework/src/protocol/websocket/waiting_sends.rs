//! The sends that wait for room in the queue to one client, in the order of their calls.

use super::send_queue::Outbound;
use std::collections::VecDeque;
use tokio::sync::oneshot::{self, Receiver};

/// The sends that wait. `None` if it would be empty, as for most clients.
///
/// If it is dropped, they fail.
#[derive(Default)]
pub(super) struct WaitingSends(Option<Box<Sends>>);

#[derive(Default)]
struct Sends {
    queue: VecDeque<WaitingSend>,
    /// How many of them were cancelled since the last time that those were removed.
    cancelled: usize,
}

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
        sends.queue.push_back(WaitingSend { message, queued });
        receiver
    }

    /// Takes out the first.
    pub(super) fn pop(&mut self) -> Option<WaitingSend> {
        let sends = self.0.as_mut()?;
        let first = sends.queue.pop_front();
        if sends.queue.is_empty() {
            self.0 = None;
        }
        first
    }

    /// Removes the sends whose receivers are closed, of which there is one more: all at once when
    /// they are every second one, so that many of them cost no more than the others.
    pub(super) fn remove_cancelled(&mut self) {
        let Some(sends) = &mut self.0 else {
            return;
        };
        sends.cancelled += 1;
        if sends.cancelled * 2 < sends.queue.len() {
            return;
        }
        sends.cancelled = 0;
        sends.queue.retain(|send| !send.queued.is_closed());
        if sends.queue.is_empty() {
            self.0 = None;
        }
    }
}
