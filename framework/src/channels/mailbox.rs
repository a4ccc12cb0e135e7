//! One channel, owned: whoever holds the mailbox hears what is sent to its name.

use super::Envelope;
use crate::{name::ChannelName, waking::note};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// What one consumer may have waiting, unless its layer was given another number. Past it, envelopes for that consumer
/// are lost (at most once, as Channels' specification allows) and counted, and the sender never waits.
pub const MAILBOX_CAPACITY: usize = 1024;

/// How many encoded bytes may wait for one consumer, whatever their number. Past it, envelopes are lost as above; the one
/// that passes it is still taken whole.
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
///         println!("{:?}", mailbox.receive().await.decode::<E>()?);
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
    capacity: usize,
    queue: Mutex<Queue>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    envelopes: VecDeque<Envelope>,
    bytes: usize,
    /// What ends the conversation: it goes first, and no crowd of events keeps it out.
    end: Option<Envelope>,
    reader: Option<Waker>,
    /// Who waits for the end alone, while somebody else reads.
    watcher: Option<Waker>,
}

/// Whether an envelope was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Taken,
    /// The mailbox was full.
    Lost,
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
    /// # Cancel safety
    /// Safe: if another `select!` branch wins, nothing is lost.
    pub async fn receive(&mut self) -> Envelope {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    /// How many envelopes were lost because this mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.slot.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Envelope> {
        let mut queue = self.slot.queue();
        match queue.end.take() {
            Some(end) => Poll::Ready(end),
            None => queue.poll_event(cx),
        }
    }

    /// What ends the conversation, and nothing else: for one who watches while another reads.
    pub(crate) fn poll_end(&self, cx: &mut Context<'_>) -> Poll<Envelope> {
        let mut queue = self.slot.queue();
        match queue.end.take() {
            Some(end) => Poll::Ready(end),
            None => {
                note(&mut queue.watcher, cx);
                Poll::Pending
            }
        }
    }

    /// The next envelope that ends nothing. One reads at a time: the last to ask is woken.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Envelope> {
        self.slot.queue().poll_event(cx)
    }
}

impl Queue {
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Envelope> {
        if let Some(envelope) = self.envelopes.pop_front() {
            self.bytes -= envelope.as_bytes().len();
            // An idle consumer shall not keep the memory of its busiest moment.
            if self.envelopes.is_empty() && self.envelopes.capacity() > 16 {
                self.envelopes = VecDeque::new();
            }
            return Poll::Ready(envelope);
        }
        note(&mut self.reader, cx);
        Poll::Pending
    }
}

impl Slot {
    pub(super) fn new(name: ChannelName, capacity: usize) -> Self {
        Self {
            name,
            capacity,
            queue: Mutex::default(),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn name(&self) -> &ChannelName {
        &self.name
    }

    pub(super) fn deliver(&self, envelope: Envelope) -> Delivery {
        let mut queue = self.queue();
        let mut watcher = None;
        if envelope.is_disconnect() {
            queue.end = Some(envelope);
            watcher = queue.watcher.take();
        } else if queue.envelopes.len() >= self.capacity || queue.bytes >= MAILBOX_BYTES {
            drop(queue);
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return Delivery::Lost;
        } else {
            queue.bytes += envelope.as_bytes().len();
            queue.envelopes.push_back(envelope);
        }
        let reader = queue.reader.take();
        drop(queue);
        for waiting in [reader, watcher].into_iter().flatten() {
            waiting.wake();
        }
        Delivery::Taken
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let lock = self.queue.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
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
