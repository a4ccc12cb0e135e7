//! One channel, owned: whoever holds the mailbox hears what is sent to its name.

use super::{Envelope, Missed};
use crate::{name::ChannelName, waker::note};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// How many envelopes may wait for one consumer, unless its layer was given another number. Past it, envelopes for that
/// consumer are dropped and counted, the consumer is [told](Missed::Overflowed), and the sender never waits.
pub const MAILBOX_CAPACITY: usize = 1024;

/// How many encoded bytes may wait for one consumer, whatever their number. Past it, envelopes are dropped as above; the
/// one that passes it is still taken whole.
const MAILBOX_BYTES: usize = 4 * 1024 * 1024;

/// One channel, owned. Dropping it leaves its groups.
///
/// Consumers have theirs already; open one by hand to listen from anywhere else
/// ([`Channels::open`](super::Channels::open)).
///
/// ```
/// use seaway::{Channels, Event, Result};
///
/// /// Prints what a group hears.
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
    /// Takes the channel off every list.
    forget: Option<Forget>,
}

type Forget = Box<dyn FnOnce(&ChannelName) + Send + Sync>;

/// The shared half: lists of members hold it to deliver.
pub(super) struct Slot {
    name: ChannelName,
    /// How many mailboxes were opened before it.
    number: u64,
    capacity: usize,
    queue: Mutex<Queue>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    /// Envelopes, and what was missed between them. At most one more than the capacity: a notice of dropped envelopes
    /// stands behind the last that was taken.
    waiting: VecDeque<Received>,
    bytes: usize,
    /// How many envelopes were taken out.
    taken: u64,
    crowding: Crowding,
    /// What ends the conversation: it goes first, and no crowd of events keeps it out.
    end: Option<Envelope>,
    reader: Option<Waker>,
    /// Whether the watcher is to learn of an interruption.
    is_interrupted: bool,
    /// Who waits for the end and for interruptions, while somebody else reads.
    watcher: Option<Waker>,
}

/// What a mailbox tells whoever watches the connection.
pub(crate) enum Signal {
    /// This envelope ends the connection.
    Disconnect(Envelope),
    /// Announcements of the end of a session or user may have been missed.
    Interrupted,
}

/// An envelope, or what may have been missed before the next one.
pub(crate) type Received = Result<Envelope, Missed>;

/// Whether a wire waits for the owner of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Crowding {
    /// There is room.
    #[default]
    None,
    /// It was more than half full, and is not down to a quarter yet.
    Crowded,
    /// The same, but its owner takes nothing: nobody waits for it.
    Stalled,
}

/// Whether an envelope was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    /// That many envelopes wait now, and if it has just become more than half full a wire had better wait.
    Taken { depth: usize, is_crowded: bool },
    /// The mailbox was full.
    Dropped,
    /// It is not meant for this member.
    Excepted,
}

impl Mailbox {
    pub(super) fn new(
        slot: Arc<Slot>,
        forget: impl FnOnce(&ChannelName) + Send + Sync + 'static,
    ) -> Self {
        Self {
            slot,
            forget: Some(Box::new(forget)),
        }
    }

    /// The channel's name: its address for everyone, in every process.
    pub fn name(&self) -> &ChannelName {
        &self.slot.name
    }

    /// Waits for the next envelope.
    ///
    /// # Errors
    /// [`Missed`] if events before the next one may be missing. The mailbox goes on: receive again.
    ///
    /// # Cancel safety
    /// Safe: if another `select!` branch wins, nothing is lost.
    pub async fn receive(&mut self) -> Result<Envelope, Missed> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// How many envelopes were lost because this mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.slot.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        let mut queue = self.slot.queue();
        match queue.end.take() {
            Some(end) => Poll::Ready(Ok(end)),
            None => queue.poll_event(self.slot.capacity, cx),
        }
    }

    /// What concerns the connection and not its consumer: for one who watches while another reads.
    pub(crate) fn poll_signal(&self, cx: &mut Context<'_>) -> Poll<Signal> {
        let mut queue = self.slot.queue();
        if let Some(end) = queue.end.take() {
            return Poll::Ready(Signal::Disconnect(end));
        }
        if mem::take(&mut queue.is_interrupted) {
            return Poll::Ready(Signal::Interrupted);
        }
        note(&mut queue.watcher, cx);
        Poll::Pending
    }

    /// The next envelope that ends nothing. One reads at a time: the last to ask is woken.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Received> {
        self.slot.queue().poll_event(self.slot.capacity, cx)
    }
}

impl Queue {
    fn poll_event(&mut self, capacity: usize, cx: &mut Context<'_>) -> Poll<Received> {
        if let Some(received) = self.waiting.pop_front() {
            if let Ok(envelope) = &received {
                self.bytes -= envelope.as_bytes().len();
            }
            self.taken = self.taken.wrapping_add(1);
            if self.crowding != Crowding::None
                && self.waiting.len() <= capacity / 4
                && self.bytes <= MAILBOX_BYTES / 4
            {
                self.crowding = Crowding::None;
            }
            // An idle consumer shall not keep the memory of its busiest moment.
            if self.waiting.is_empty() && self.waiting.capacity() > 16 {
                self.waiting = VecDeque::new();
            }
            return Poll::Ready(received);
        }
        note(&mut self.reader, cx);
        Poll::Pending
    }

    /// Notes what was missed behind what waits already.
    fn miss(&mut self, missed: Missed) {
        if let Some(Err(last)) = self.waiting.back_mut()
            && last.absorb(missed)
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
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &ChannelName {
        &self.name
    }

    /// How many mailboxes were opened before this one.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn deliver(&self, envelope: Envelope) -> Delivery {
        if envelope.excepts(&self.name) {
            return Delivery::Excepted;
        }
        let mut queue = self.queue();
        let mut watcher = None;
        let delivery = if envelope.is_disconnect() {
            queue.end = Some(envelope);
            watcher = queue.watcher.take();
            Delivery::Taken {
                depth: queue.waiting.len(),
                is_crowded: false,
            }
        } else if queue.waiting.len() >= self.capacity || queue.bytes >= MAILBOX_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            queue.miss(Missed::Overflowed { events: 1 });
            Delivery::Dropped
        } else {
            queue.bytes = queue.bytes.saturating_add(envelope.as_bytes().len());
            queue.waiting.push_back(Ok(envelope));
            let depth = queue.waiting.len();
            let is_full = depth > self.capacity / 2 || queue.bytes > MAILBOX_BYTES / 2;
            let is_crowded = is_full && queue.crowding == Crowding::None;
            if is_crowded {
                queue.crowding = Crowding::Crowded;
            }
            Delivery::Taken { depth, is_crowded }
        };
        let reader = queue.reader.take();
        drop(queue);
        for waiting in [reader, watcher].into_iter().flatten() {
            waiting.wake();
        }
        delivery
    }

    pub(super) fn crowding(&self) -> Crowding {
        self.queue().crowding
    }

    /// How many envelopes its owner has taken out.
    pub(super) fn taken(&self) -> u64 {
        self.queue().taken
    }

    /// Nobody waits for this owner any more, until it has made room.
    pub(super) fn note_stalled(&self) {
        let mut queue = self.queue();
        if queue.crowding == Crowding::Crowded {
            queue.crowding = Crowding::Stalled;
        }
    }

    /// Tells the owner what it may have missed.
    pub(super) fn miss(&self, missed: Missed) {
        self.tell(missed, |_| true);
    }

    /// Tells the owner that an interruption has lasted until now, unless it is still to take a notice of one.
    #[cfg(feature = "redis")]
    pub(super) fn miss_until_now(&self, gap: std::time::Duration) {
        let is_interruption =
            |received: &Received| matches!(received, Err(Missed::Interrupted { .. }));
        let is_untold = |queue: &Queue| !queue.waiting.iter().any(is_interruption);
        self.tell(Missed::Interrupted { gap }, is_untold);
    }

    fn tell(&self, missed: Missed, is_untold: impl Fn(&Queue) -> bool) {
        let mut queue = self.queue();
        if !is_untold(&queue) {
            return;
        }
        queue.miss(missed);
        queue.is_interrupted |= matches!(missed, Missed::Interrupted { .. });
        let waiting = [queue.reader.take(), queue.watcher.take()];
        drop(queue);
        waiting.into_iter().flatten().for_each(Waker::wake);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let lock = self.queue.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        // The lists that the slot is on may outlive its owner by a moment.
        *self.slot.queue() = Queue::default();
        if let Some(forget) = self.forget.take() {
            forget(&self.slot.name);
        }
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailbox").field(&self.slot.name).finish()
    }
}
