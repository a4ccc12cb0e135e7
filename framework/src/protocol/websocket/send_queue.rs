//! The queue of messages to one client: its bounds, and what happens at them. Without I/O.

use crate::message::{Close, Message};
use bytes::Bytes;
use std::{
    cell::Cell,
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    time::Duration,
};

/// The policy for messages to a client that reads slowly, at the bounds of its queue; see
/// [`slow_client`](super::WebSocketConfig::slow_client).
///
/// Volatile messages are dropped first, whatever the policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlowClient {
    /// The sender waits for room, and closes the connection with 1013 once the client has accepted
    /// nothing for this time.
    ///
    /// Senders get room in the order of their calls. A client that reads slowly, but reads, is not
    /// closed, except by a send that blocks a thread
    /// ([`BlockingContext::send`](crate::BlockingContext::send)). Detection takes up to twice the
    /// time.
    Wait(Duration),
    /// The connection is closed with 1013, and messages that are still queued are dropped.
    Close,
    /// The oldest queued messages are dropped.
    DropOldest,
    /// The message that was to be sent is dropped.
    DropNewest,
}

/// The outcome of sending a message without waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "the message may have been dropped"]
pub enum Sent {
    /// The message is queued.
    Queued,
    /// The message is queued in the place of an older one of its key, which is dropped.
    Replaced,
    /// The message is dropped, because the queue is full.
    Dropped,
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) bytes: usize,
    pub(super) messages: usize,
    pub(super) policy: SlowClient,
    /// Whether other messages wait for room: they are first.
    pub(super) is_awaited: bool,
}

/// A message to write.
pub(crate) enum Outbound {
    Plain(Message),
    /// A compressed payload (RFC 7692, 6.1), only on connections that negotiated it.
    Deflated {
        is_text: bool,
        payload: Bytes,
    },
}

/// Which messages may be dropped or replaced before others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Importance {
    Normal,
    Volatile,
    /// Only the newest message of a key is of interest.
    Latest(u64),
}

impl Importance {
    pub(crate) fn latest(key: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        Self::Latest(hasher.finish())
    }
}

/// The outcome of offering a message to the queue.
pub(super) enum Offer {
    Done(Sent),
    /// The queue is full, and the policy is to wait for this time at most.
    Full(Outbound, Duration),
    /// The queue is full, and the policy is to close.
    Close,
}

/// Why a message was dropped at the bounds of the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum DropReason {
    /// It was the oldest, under [`SlowClient::DropOldest`].
    Oldest,
    /// It was the message that was to be sent, and its sender does not wait.
    Newest,
    /// It was volatile.
    Volatile,
    /// A newer message of its key took its place.
    Replaced,
}

impl DropReason {
    pub(super) const ALL: [Self; 4] = [Self::Oldest, Self::Newest, Self::Volatile, Self::Replaced];

    /// Returns its name in the metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Oldest => "oldest",
            Self::Newest => "newest",
            Self::Volatile => "volatile",
            Self::Replaced => "replaced",
        }
    }
}

/// How many messages were dropped at the bounds, by [`DropReason`].
pub(super) type Drops = [u64; DropReason::ALL.len()];

/// The queued messages, in order.
type Messages = VecDeque<(Importance, Outbound)>;

thread_local! {
    /// The memory of the last queue of this thread that became empty, for the next one that grows.
    static SPARE: Cell<Messages> = const { Cell::new(Messages::new()) };
}

/// The capacity that an empty queue keeps, in messages: most connections never have a second one at
/// once.
const IDLE: usize = 1;

/// The largest capacity that a thread keeps, in messages.
const SPARE_MESSAGES: usize = 64;

/// The queued messages, and the close that follows them.
#[derive(Default)]
pub(crate) struct SendQueue {
    messages: Messages,
    bytes: usize,
    close: Option<Box<Close>>,
    /// `None` if none was dropped, as for most clients.
    drops: Option<Box<Drops>>,
}

/// The cost of a queued message besides its payload, in bytes, so that a flood of empty ones is
/// bounded, too.
const MESSAGE_COST: usize = 64;

impl Outbound {
    pub(super) fn payload(&self) -> &Bytes {
        match self {
            Self::Plain(message) => message.shared_payload(),
            Self::Deflated { payload, .. } => payload,
        }
    }

    fn cost(&self) -> usize {
        self.payload().len() + MESSAGE_COST
    }
}

impl SendQueue {
    /// Queues a message, or applies the policy if the queue is full.
    pub(super) fn offer(
        &mut self,
        message: Outbound,
        importance: Importance,
        bounds: Bounds,
    ) -> Offer {
        if let Some(older) = self.replaceable(importance, bounds) {
            return Offer::Done(self.replace(older, message));
        }
        let was_full = self.is_full(bounds);
        if was_full {
            let is_volatile = |importance| importance == Importance::Volatile;
            self.drop_while_full(bounds, DropReason::Volatile, is_volatile);
        }
        if self.is_full(bounds) {
            if importance == Importance::Volatile {
                self.count_dropped(DropReason::Volatile);
                return Offer::Done(Sent::Dropped);
            }
            match bounds.policy {
                SlowClient::Wait(limit) => return Offer::Full(message, limit),
                SlowClient::Close => return Offer::Close,
                SlowClient::DropOldest => {
                    self.drop_while_full(bounds, DropReason::Oldest, |_| true);
                }
                SlowClient::DropNewest => {
                    self.count_dropped(DropReason::Newest);
                    return Offer::Done(Sent::Dropped);
                }
            }
        }
        // The older message of its key may still be there, now that there is room.
        if was_full && let Some(older) = self.replaceable(importance, bounds) {
            return Offer::Done(self.replace(older, message));
        }
        self.bytes += message.cost();
        self.grow();
        self.messages.push_back((importance, message));
        Offer::Done(Sent::Queued)
    }

    /// Returns the place of the older message of a key; `None` if there is none, or if the queue is
    /// full without it: the bound in bytes holds for replacements too.
    fn replaceable(&self, importance: Importance, bounds: Bounds) -> Option<usize> {
        let Importance::Latest(_) = importance else {
            return None;
        };
        let mut messages = self.messages.iter();
        let index = messages.position(|(one, _)| *one == importance)?;
        let others = self.bytes - self.messages[index].1.cost();
        (others < bounds.bytes).then_some(index)
    }

    fn replace(&mut self, index: usize, message: Outbound) -> Sent {
        let older = &mut self.messages[index].1;
        self.bytes = self.bytes - older.cost() + message.cost();
        *older = message;
        self.count_dropped(DropReason::Replaced);
        Sent::Replaced
    }

    /// Returns whether the next message has to wait. The message that exceeds the bound in bytes is
    /// still accepted whole.
    pub(super) fn is_full(&self, bounds: Bounds) -> bool {
        bounds.is_awaited || self.bytes >= bounds.bytes || self.messages.len() >= bounds.messages
    }

    pub(super) fn is_half_full(&self, bounds: Bounds) -> bool {
        let half = |bound: usize| (bound / 2).max(1);
        self.bytes >= half(bounds.bytes) || self.messages.len() >= half(bounds.messages)
    }

    /// Returns how full it is, in percent of the bound that is nearer; the message that exceeds the
    /// bound in bytes makes that more than 100.
    pub(super) fn percent(&self, bounds: Bounds) -> u64 {
        let percent = |used: usize, bound: usize| used as u128 * 100 / bound.max(1) as u128;
        let bytes = percent(self.bytes, bounds.bytes);
        let nearer = bytes.max(percent(self.messages.len(), bounds.messages));
        u64::try_from(nearer).unwrap_or(u64::MAX)
    }

    /// Drops the oldest messages of these kinds until there is room for one more.
    fn drop_while_full(
        &mut self,
        bounds: Bounds,
        reason: DropReason,
        is_dropped: impl Fn(Importance) -> bool,
    ) {
        let mut index = 0;
        while index < self.messages.len() && self.is_full(bounds) {
            if !is_dropped(self.messages[index].0) {
                index += 1;
                continue;
            }
            if let Some((_, message)) = self.messages.remove(index) {
                self.bytes -= message.cost();
                self.count_dropped(reason);
            }
        }
    }

    /// Removes the next message to write.
    pub(crate) fn pop(&mut self) -> Option<Outbound> {
        let (_, message) = self.messages.pop_front()?;
        self.bytes -= message.cost();
        // An idle connection must not keep the memory of its peak.
        if self.messages.is_empty() && self.messages.capacity() > IDLE {
            let messages = mem::take(&mut self.messages);
            if messages.capacity() <= SPARE_MESSAGES {
                // At the end of a thread there may be no place for it any more.
                _ = SPARE.try_with(|spare| spare.set(messages));
            }
        }
        Some(message)
    }

    /// Makes room for one more message.
    fn grow(&mut self) {
        if self.messages.capacity() == 0 {
            self.messages.reserve_exact(IDLE);
        } else if self.messages.len() == IDLE && self.messages.capacity() == IDLE {
            let mut grown = SPARE.try_with(Cell::take).unwrap_or_default();
            grown.append(&mut self.messages);
            self.messages = grown;
        }
    }

    /// Sets the close that follows the queued messages.
    pub(super) fn set_close(&mut self, close: Close) {
        self.close = Some(Box::new(close));
    }

    /// Returns the close to send once all messages are written.
    pub(crate) fn close(&self) -> Option<&Close> {
        self.close.as_deref()
    }

    /// Drops all messages; returns how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let count = self.messages.len() as u64;
        self.messages = VecDeque::new();
        self.bytes = 0;
        count
    }

    /// Counts a message that was dropped at the bounds, here or by its sender.
    pub(super) fn count_dropped(&mut self, reason: DropReason) {
        self.drops.get_or_insert_default()[reason as usize] += 1;
    }

    /// Returns how many messages were dropped or replaced at the bounds.
    pub(super) fn drops(&self) -> Drops {
        self.drops.as_deref().copied().unwrap_or_default()
    }

    /// Returns the sum of all reasons.
    pub(super) fn dropped(&self) -> u64 {
        self.drops().iter().sum()
    }
}

#[cfg(test)]
mod tests;
