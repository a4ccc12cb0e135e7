//! A mailbox: the receiving end of one channel.

use super::{
    Envelope, Missed,
    topics::{Merge, Merged, ReadFrom, Recovery},
};
use crate::{
    name::{ChannelName, GroupName},
    waker::store_waker,
};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The number of envelopes that may wait for one consumer, unless its layer is configured
/// otherwise.
///
/// When the mailbox is full, envelopes for that consumer are dropped and counted, the consumer is
/// [notified](Missed::Overflowed), and the sender never waits.
pub const MAILBOX_CAPACITY: usize = 1024;

/// The number of encoded bytes that may wait for one consumer, whatever the number of envelopes.
/// Past it, envelopes are dropped as above; the one that exceeds it is still accepted whole.
const MAILBOX_BYTES: usize = 4 * 1024 * 1024;

/// The receiving end of one channel.
///
/// Dropping it ends the channel's group memberships. Each consumer has a mailbox; code outside a
/// consumer opens one with [`Channels::open`](super::Channels::open).
///
/// ```
/// use seaway::{Channels, Event, Result};
///
/// /// Prints the events of a group.
/// async fn listen<E: Event + std::fmt::Debug>(channels: &Channels, group: &str) -> Result<()> {
///     let mut mailbox = channels.open().await?;
///     channels.group::<E>(group)?.add(mailbox.name()).await?;
///     loop {
///         match mailbox.receive().await {
///             Ok(envelope) => println!("{:?}", envelope.decode::<E>()?),
///             Err(missed) => println!("{missed}"),
///         }
///     }
/// }
/// ```
pub struct Mailbox {
    slot: Arc<Slot>,
    /// Removes the channel from the registry and from its groups.
    unregister: Option<Unregister>,
}

type Unregister = Box<dyn FnOnce(&ChannelName) + Send + Sync>;

/// The shared half of a mailbox, which the registry holds to deliver envelopes.
pub(super) struct Slot {
    name: ChannelName,
    /// The number of mailboxes opened before it.
    number: u64,
    capacity: usize,
    queue: Mutex<MailboxQueue>,
    /// Whether the queue may have a signal for the watcher: checked on every step of the driver, so
    /// it needs no lock.
    has_signal: AtomicBool,
    dropped: AtomicU64,
    /// The topics that its owner has resumed, if it has; boxed, since few have.
    merge: OnceLock<Box<Mutex<Merge>>>,
}

#[derive(Default)]
struct MailboxQueue {
    /// Envelopes, and notices of missed events between them. At most one more than the capacity: a
    /// notice of dropped envelopes follows the last accepted envelope.
    waiting: VecDeque<Received>,
    bytes: usize,
    /// The number of envelopes taken out.
    taken: u64,
    is_under_pressure: bool,
    /// The disconnect request. It is received first, and no number of events displaces it.
    end: Option<Envelope>,
    reader: Option<Waker>,
    /// When the last notice was queued.
    noticed_at: Option<Instant>,
    /// Whether the watcher is still to be notified of an interruption.
    is_interrupted: bool,
    /// Whether the resumed topics are to be read again.
    must_reread: bool,
    /// The task that waits for a disconnect request and for interruptions while another one reads.
    watcher: Option<Waker>,
}

/// A signal to the task that watches the connection.
pub(crate) enum MailboxSignal {
    /// This envelope closes the connection.
    Disconnect(Envelope),
    /// Notices that a session or user has ended may have been missed.
    Interrupted,
}

/// An envelope, or a notice that events before the next one may have been missed.
pub(crate) type Received = Result<Envelope, Missed>;

/// The outcome of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    /// The envelope was accepted. `depth` is the number of envelopes that wait now;
    /// `is_nearly_full` is true if the mailbox has just become more than half full, so that a
    /// backend should wait.
    Taken { depth: usize, is_nearly_full: bool },
    /// The mailbox was full.
    Dropped,
    /// The envelope excludes this member.
    Excluded,
}

impl Mailbox {
    pub(super) fn new(
        slot: Arc<Slot>,
        unregister: impl FnOnce(&ChannelName) + Send + Sync + 'static,
    ) -> Self {
        Self {
            slot,
            unregister: Some(Box::new(unregister)),
        }
    }

    /// Returns the channel's name, its address in every process.
    pub fn name(&self) -> &ChannelName {
        &self.slot.name
    }

    /// Waits for the next envelope.
    ///
    /// # Errors
    /// [`Missed`] if events before the next one may be missing. The mailbox remains usable: receive
    /// again.
    ///
    /// # Cancel safety
    /// Safe: if another `select!` branch completes first, nothing is lost.
    pub async fn receive(&mut self) -> Result<Envelope, Missed> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// Returns how many envelopes were dropped because this mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.slot.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let end = self.slot.queue().end.take();
        match end {
            Some(end) => Poll::Ready(Ok(end)),
            None => self.poll_event(cx),
        }
    }

    /// Returns whether [`poll_signal`](Self::poll_signal) may have something.
    pub(crate) fn has_signal(&self) -> bool {
        self.slot.has_signal.load(Ordering::Acquire)
    }

    /// Polls for signals that concern the connection and not its consumer, for a task that watches
    /// while another one reads.
    pub(crate) fn poll_signal(&self, cx: &mut Context<'_>) -> Poll<MailboxSignal> {
        let mut queue = self.slot.queue();
        if let Some(end) = queue.end.take() {
            return Poll::Ready(MailboxSignal::Disconnect(end));
        }
        if mem::take(&mut queue.is_interrupted) {
            return Poll::Ready(MailboxSignal::Interrupted);
        }
        self.slot.has_signal.store(false, Ordering::Release);
        store_waker(&mut queue.watcher, cx);
        Poll::Pending
    }

    /// Polls for the next envelope that is not a disconnect request. One task reads at a time: the
    /// last one to poll is woken.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Received> {
        let mut queue = self.slot.queue();
        match self.slot.merge.get() {
            // The first resume, which takes this lock after it, wakes the reader.
            None => queue.poll_event(self.slot.capacity, cx),
            Some(merge) => {
                drop(queue);
                self.slot.poll_merged(merge, cx)
            }
        }
    }
}

impl MailboxQueue {
    fn poll_event(&mut self, capacity: usize, cx: &mut Context<'_>) -> Poll<Received> {
        if let Some(received) = self.waiting.pop_front() {
            if let Ok(envelope) = &received {
                self.bytes -= envelope.as_bytes().len();
            }
            self.taken = self.taken.wrapping_add(1);
            if self.is_under_pressure
                && self.waiting.len() <= capacity / 4
                && self.bytes <= MAILBOX_BYTES / 4
            {
                self.is_under_pressure = false;
            }
            // An idle consumer must not keep the memory of its peak load.
            if self.waiting.is_empty() && self.waiting.capacity() > 16 {
                self.waiting = VecDeque::new();
            }
            return Poll::Ready(received);
        }
        store_waker(&mut self.reader, cx);
        Poll::Pending
    }

    /// Queues a notice of missed events behind the waiting envelopes.
    fn miss(&mut self, missed: Missed) {
        let now = Instant::now();
        let elapsed = self
            .noticed_at
            .replace(now)
            .map_or(Duration::ZERO, |at| now - at);
        if let Some(Err(last)) = self.waiting.back_mut()
            && last.absorb(missed, elapsed)
        {
            return;
        }
        self.waiting.push_back(Err(missed));
    }
}

impl Slot {
    pub(super) fn new(name: ChannelName, number: u64, capacity: usize) -> Self {
        Self {
            name,
            number,
            capacity,
            queue: Mutex::default(),
            has_signal: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            merge: OnceLock::new(),
        }
    }

    /// Resumes a topic; see [`Merge::resume`].
    pub(super) fn resume(&self, topic: &GroupName, recovery: Recovery, read: ReadFrom) {
        let merge = self.merge.get_or_init(Box::default);
        lock(merge).resume(topic, recovery, read);
        let reader = self.queue().reader.take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Handles that its owner has left a group.
    pub(super) fn leave(&self, group: &GroupName) {
        if let Some(merge) = self.merge.get() {
            let mut merge = lock(merge);
            let queue = self.queue();
            let waiting = queue.waiting.len() as u64;
            let last = (waiting > 0).then(|| queue.taken.wrapping_add(waiting));
            merge.leave(group, last);
        }
    }

    /// Polls for the next event, in the order of its topic: what was read first, then what waits in
    /// the queue. While history is read for a gap, everything behind it waits.
    fn poll_merged(&self, merge: &Mutex<Merge>, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            let mut merging = lock(merge);
            if let Some(envelope) = merging.next_read() {
                return Poll::Ready(Ok(envelope));
            }
            if let Some(mut filling) = merging.take_filling() {
                // Polled without the lock: reading runs other code.
                drop(merging);
                let poll = filling.poll(cx);
                let mut merging = lock(merge);
                if poll.is_ready() {
                    merging.fill(filling);
                    continue;
                }
                merging.put_back(filling);
                // A topic may have been resumed during the poll; a later resume wakes the reader.
                if let Some(envelope) = merging.next_read() {
                    return Poll::Ready(Ok(envelope));
                }
                store_waker(&mut self.queue().reader, cx);
                return Poll::Pending;
            }
            // Both locks are held until the reader is stored: a resume or a request to read again
            // is seen here, or wakes the reader.
            let mut queue = self.queue();
            if mem::take(&mut queue.must_reread) {
                drop(queue);
                merging.reread();
                continue;
            }
            let merged = match merging.merge_held() {
                Some(merged) => merged,
                None => {
                    let received = ready!(queue.poll_event(self.capacity, cx));
                    let number = queue.taken;
                    drop(queue);
                    match received {
                        Ok(envelope) => merging.live(envelope, number),
                        Err(missed) => {
                            merging.reread();
                            return Poll::Ready(Err(missed));
                        }
                    }
                }
            };
            if let Merged::Deliver(envelope) = merged {
                return Poll::Ready(Ok(envelope));
            }
        }
    }

    pub(super) fn name(&self) -> &ChannelName {
        &self.name
    }

    /// Returns how many mailboxes were opened before this one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn deliver(&self, envelope: Envelope) -> DeliveryOutcome {
        if envelope.excludes(&self.name) {
            return DeliveryOutcome::Excluded;
        }
        let mut queue = self.queue();
        let mut watcher = None;
        let delivery = if envelope.is_disconnect() {
            queue.end = Some(envelope);
            self.has_signal.store(true, Ordering::Release);
            watcher = queue.watcher.take();
            DeliveryOutcome::Taken {
                depth: queue.waiting.len(),
                is_nearly_full: false,
            }
        } else if queue.waiting.len() >= self.capacity || queue.bytes >= MAILBOX_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            queue.miss(Missed::Overflowed { events: 1 });
            DeliveryOutcome::Dropped
        } else {
            queue.bytes = queue.bytes.saturating_add(envelope.as_bytes().len());
            queue.waiting.push_back(Ok(envelope));
            let depth = queue.waiting.len();
            let is_full = depth > self.capacity / 2 || queue.bytes > MAILBOX_BYTES / 2;
            let is_nearly_full = is_full && !queue.is_under_pressure;
            if is_nearly_full {
                queue.is_under_pressure = true;
            }
            DeliveryOutcome::Taken {
                depth,
                is_nearly_full,
            }
        };
        let reader = queue.reader.take();
        drop(queue);
        for waiting in [reader, watcher].into_iter().flatten() {
            waiting.wake();
        }
        delivery
    }

    /// Returns whether it was more than half full, and is not down to a quarter yet.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.queue().is_under_pressure
    }

    /// Returns how many envelopes its owner has taken out.
    pub(super) fn taken(&self) -> u64 {
        self.queue().taken
    }

    /// Notifies the owner that it may have missed events.
    pub(super) fn miss(&self, missed: Missed) {
        self.notify(missed, |_| true);
    }

    /// Notifies the owner that an interruption has lasted until now, unless an earlier such notice
    /// still waits.
    #[cfg(feature = "redis")]
    pub(super) fn miss_until_now(&self, gap: Duration) {
        let is_interruption =
            |received: &Received| matches!(received, Err(Missed::Interrupted { .. }));
        let is_new = |queue: &MailboxQueue| !queue.waiting.iter().any(is_interruption);
        self.notify(Missed::Interrupted { gap }, is_new);
    }

    /// Has the resumed topics read again, because events of them may be missing.
    #[cfg(feature = "redis")]
    pub(super) fn reread_topics(&self) {
        if self.merge.get().is_none() {
            return;
        }
        let mut queue = self.queue();
        queue.must_reread = true;
        let reader = queue.reader.take();
        drop(queue);
        reader.into_iter().for_each(Waker::wake);
    }

    fn notify(&self, missed: Missed, is_new: impl Fn(&MailboxQueue) -> bool) {
        let mut queue = self.queue();
        if !is_new(&queue) {
            return;
        }
        queue.miss(missed);
        if matches!(missed, Missed::Interrupted { .. }) {
            queue.is_interrupted = true;
            self.has_signal.store(true, Ordering::Release);
        }
        let waiting = [queue.reader.take(), queue.watcher.take()];
        drop(queue);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    fn queue(&self) -> MutexGuard<'_, MailboxQueue> {
        let lock = self.queue.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

fn lock(merge: &Mutex<Merge>) -> MutexGuard<'_, Merge> {
    merge
        .lock()
        .expect("no code panics while it holds this lock")
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // The lists that hold the slot may briefly outlive its owner.
        *self.slot.queue() = MailboxQueue::default();
        if let Some(merge) = self.slot.merge.get() {
            *lock(merge) = Merge::default();
        }
        if let Some(unregister) = self.unregister.take() {
            unregister(&self.slot.name);
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailbox").field(&self.slot.name).finish()
    }
}
