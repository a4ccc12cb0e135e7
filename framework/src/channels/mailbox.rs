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
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::time::Instant;

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
    pressure: Pressure,
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

/// Whether a backend waits for the owner of a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pressure {
    /// The mailbox has room.
    #[default]
    None,
    /// The mailbox was more than half full, and is not down to a quarter yet.
    High,
    /// The same, but its owner has stalled: no backend waits for it.
    Stalled,
}

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
        store_waker(&mut queue.watcher, cx);
        Poll::Pending
    }

    /// Polls for the next envelope that is not a disconnect request. One task reads at a time: the
    /// last one to poll is woken.
    pub(crate) fn poll_event(&self, cx: &mut Context<'_>) -> Poll<Received> {
        match self.slot.merge.get() {
            None => self.slot.poll_queue(cx),
            Some(merge) => self.slot.poll_merged(merge, cx),
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
            if self.pressure != Pressure::None
                && self.waiting.len() <= capacity / 4
                && self.bytes <= MAILBOX_BYTES / 4
            {
                self.pressure = Pressure::None;
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

    fn poll_queue(&self, cx: &mut Context<'_>) -> Poll<Received> {
        self.queue().poll_event(self.capacity, cx)
    }

    /// Polls for the next event, in the order of its topic: what was read first, then what waits in
    /// the queue. While history is read for a gap, everything behind it waits.
    fn poll_merged(&self, merge: &Mutex<Merge>, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            let filling = {
                let mut merge = lock(merge);
                if let Some(envelope) = merge.next_read() {
                    return Poll::Ready(Ok(envelope));
                }
                let filling = merge.take_filling();
                if filling.is_none() && mem::take(&mut self.queue().must_reread) {
                    merge.reread();
                }
                filling.or_else(|| merge.take_filling())
            };
            // Polled without the lock: reading runs other code.
            if let Some(mut filling) = filling {
                let poll = filling.poll(cx);
                let mut merge = lock(merge);
                if poll.is_pending() {
                    merge.put_back(filling);
                    // A resume wakes the reader.
                    store_waker(&mut self.queue().reader, cx);
                    return Poll::Pending;
                }
                merge.fill(filling);
                continue;
            }
            let held = lock(merge).merge_held();
            let merged = match held {
                Some(merged) => merged,
                None => match ready!(self.poll_queue(cx)) {
                    Ok(envelope) => lock(merge).live(envelope, self.taken()),
                    Err(missed) => {
                        lock(merge).reread();
                        return Poll::Ready(Err(missed));
                    }
                },
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
            let is_nearly_full = is_full && queue.pressure == Pressure::None;
            if is_nearly_full {
                queue.pressure = Pressure::High;
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

    pub(super) fn pressure(&self) -> Pressure {
        self.queue().pressure
    }

    /// Returns how many envelopes its owner has taken out.
    pub(super) fn taken(&self) -> u64 {
        self.queue().taken
    }

    /// Marks the owner as stalled: no backend waits for it until it has made room.
    pub(super) fn note_stalled(&self) {
        let mut queue = self.queue();
        if queue.pressure == Pressure::High {
            queue.pressure = Pressure::Stalled;
        }
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
        queue.is_interrupted |= matches!(missed, Missed::Interrupted { .. });
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        channels::{LocalChannels, Position},
        message::Close,
    };
    use std::{sync::atomic::AtomicUsize, task::Wake};
    use tokio::sync::Notify;

    /// A waker that counts.
    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Wakes {
        fn take(&self) -> usize {
            self.0.swap(0, Ordering::Relaxed)
        }
    }

    fn at(offset: u64) -> Position {
        Position::new(offset, "k3x9").unwrap()
    }

    fn topic() -> GroupName {
        GroupName::new("lot.7").unwrap()
    }

    fn event(offset: u64) -> Envelope {
        let event = Envelope::from_bytes(&b"\x81\xa4type\xa3bid"[..]).at(&at(offset));
        event.record_group(&topic());
        event
    }

    /// Returns the events of the topic since this position, up to another one.
    fn recovery(since: u64, until: u64) -> Recovery {
        let events = (since + 1..=until).map(|offset| event(offset).in_topic(&topic()));
        Recovery {
            position: at(until),
            events: events.collect(),
            all: true,
        }
    }

    /// Returns a history that ends with number 3, and is read once `asked` is notified.
    fn history(asked: &Arc<Notify>) -> ReadFrom {
        let asked = asked.clone();
        Arc::new(move |since| {
            let asked = asked.clone();
            Box::pin(async move {
                asked.notified().await;
                Ok(recovery(since.offset(), 3))
            })
        })
    }

    fn mailbox() -> Mailbox {
        LocalChannels::new(8, |_| {}).open("one").unwrap()
    }

    fn poll(mailbox: &mut Mailbox) -> Option<Received> {
        let cx = &mut Context::from_waker(Waker::noop());
        match mailbox.poll_receive(cx) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => None,
        }
    }

    fn takes_envelope(mailbox: &mut Mailbox) -> bool {
        poll(mailbox).is_some_and(|received| received.is_ok())
    }

    #[test]
    fn encoded_bytes_fill_a_mailbox_as_envelopes_do() {
        let mut mailbox = mailbox();
        let slot = mailbox.slot.clone();
        let deliver = |bytes: usize| slot.deliver(Envelope::from_bytes(vec![b'x'; bytes]));
        let taken = |depth, is_nearly_full| DeliveryOutcome::Taken {
            depth,
            is_nearly_full,
        };

        assert_eq!(deliver(MAILBOX_BYTES / 2), taken(1, false));
        assert_eq!(deliver(1), taken(2, true));
        assert_eq!(deliver(MAILBOX_BYTES / 4 - 1), taken(3, false));
        assert_eq!(deliver(MAILBOX_BYTES / 4), taken(4, false));
        assert_eq!(deliver(1), DeliveryOutcome::Dropped);
        assert_eq!(mailbox.dropped(), 1);

        for pressure in [Pressure::High, Pressure::High, Pressure::None] {
            assert!(takes_envelope(&mut mailbox));
            assert_eq!(slot.pressure(), pressure);
        }
        assert_eq!(deliver(3 * MAILBOX_BYTES / 4), taken(3, true));
    }

    #[test]
    fn dropped_envelopes_are_noticed_behind_those_that_waited() {
        let mut mailbox = mailbox();
        for _ in 0..8 + 3 {
            mailbox.slot.deliver(Envelope::from_bytes("x"));
        }

        for _ in 0..8 {
            assert!(takes_envelope(&mut mailbox));
        }
        let notice = poll(&mut mailbox).map(|received| received.map(drop));
        assert_eq!(notice, Some(Err(Missed::Overflowed { events: 3 })));
        assert!(poll(&mut mailbox).is_none());
    }

    #[cfg(feature = "redis")]
    #[test]
    fn an_interruption_that_goes_on_is_noticed_once_until_its_notice_is_received() {
        let mut mailbox = mailbox();
        let slot = mailbox.slot.clone();
        let gap = Duration::from_secs(1);

        for _ in 0..2 {
            slot.miss_until_now(gap);
            slot.deliver(Envelope::from_bytes("x"));
            slot.miss_until_now(gap);

            let notice = poll(&mut mailbox).map(|received| received.map(drop));
            assert_eq!(notice, Some(Err(Missed::Interrupted { gap })));
            assert!(takes_envelope(&mut mailbox));
            assert!(poll(&mut mailbox).is_none());
        }
    }

    #[test]
    fn the_watcher_is_told_of_an_interruption_and_not_of_dropped_envelopes() {
        let mailbox = mailbox();
        let cx = &mut Context::from_waker(Waker::noop());

        mailbox.slot.miss(Missed::Overflowed { events: 1 });
        assert!(mailbox.poll_signal(cx).is_pending());
        mailbox.slot.miss(Missed::Interrupted {
            gap: Duration::ZERO,
        });
        mailbox.slot.miss(Missed::Overflowed { events: 1 });
        let signal = mailbox.poll_signal(cx);

        assert!(matches!(signal, Poll::Ready(MailboxSignal::Interrupted)));
        assert!(mailbox.poll_signal(cx).is_pending());
    }

    #[test]
    fn an_empty_mailbox_keeps_no_memory_of_its_peak_and_a_small_one_its_own() {
        let mut mailbox = LocalChannels::default().open("one").unwrap();
        let slot = mailbox.slot.clone();
        for (events, is_kept) in [(1, true), (100, false)] {
            for _ in 0..events {
                slot.deliver(Envelope::from_bytes("x"));
            }
            for _ in 0..events {
                assert!(takes_envelope(&mut mailbox), "{events}");
            }
            assert_eq!(slot.queue().waiting.capacity() > 0, is_kept, "{events}");
        }
    }

    #[test]
    fn mailboxes_are_numbered_in_the_order_in_which_they_open() {
        let local = LocalChannels::default();
        let opened: Vec<_> = (0..3).map(|_| local.open("one").unwrap()).collect();

        let numbers: Vec<_> = opened.iter().map(|one| one.slot.number()).collect();

        assert_eq!(numbers, [0, 1, 2]);
    }

    #[cfg(feature = "redis")]
    #[test]
    fn topics_of_which_events_may_be_missing_are_read_again() {
        let mut mailbox = mailbox();
        let slot = mailbox.slot.clone();
        let (wakes, asked) = (Arc::new(Wakes::default()), Arc::new(Notify::new()));
        let waker = Waker::from(wakes.clone());
        let mut received = || {
            let cx = &mut Context::from_waker(&waker);
            let next = || match mailbox.poll_receive(cx) {
                Poll::Ready(received) => Some(received.is_ok()),
                Poll::Pending => None,
            };
            std::iter::from_fn(next).collect::<Vec<_>>()
        };
        slot.reread_topics();
        assert!(received().is_empty(), "there are none yet");
        slot.resume(&topic(), recovery(0, 1), history(&asked));
        assert_eq!(wakes.take(), 1);
        assert_eq!(received(), [true; 2], "an event, and the end of the resume");

        slot.reread_topics();
        assert_eq!(wakes.take(), 1);
        assert!(received().is_empty(), "the history has not answered");
        asked.notify_one();
        assert_eq!(wakes.take(), 1);
        assert_eq!(received(), [true; 2], "events 2 and 3");
        assert!(received().is_empty());

        slot.resume(&topic(), recovery(1, 1), history(&asked));
        slot.miss(Missed::Overflowed { events: 1 });
        asked.notify_one();
        assert_eq!(received(), [true, false, true, true]);
    }

    #[test]
    fn a_topic_that_was_left_is_not_received_any_more() {
        let mut mailbox = mailbox();
        let slot = mailbox.slot.clone();
        slot.resume(&topic(), recovery(0, 1), history(&Arc::default()));
        assert!(takes_envelope(&mut mailbox));
        assert!(takes_envelope(&mut mailbox));
        slot.deliver(event(2));

        slot.leave(&topic());
        assert!(poll(&mut mailbox).is_none());

        // It has joined again, without a resume.
        slot.deliver(event(3));
        assert!(takes_envelope(&mut mailbox));
    }

    #[test]
    fn what_arrives_wakes_the_task_that_waits_for_it() {
        let mailbox = mailbox();
        let slot = mailbox.slot.clone();
        let (reader, watcher) = (Arc::new(Wakes::default()), Arc::new(Wakes::default()));
        let wakers = [reader.clone(), watcher.clone()].map(Waker::from);
        let wait = || {
            while mailbox
                .poll_event(&mut Context::from_waker(&wakers[0]))
                .is_ready()
            {}
            let cx = &mut Context::from_waker(&wakers[1]);
            while mailbox.poll_signal(cx).is_ready() {}
        };
        let woken = || (reader.take(), watcher.take());
        wait();

        slot.deliver(Envelope::from_bytes("x"));
        assert_eq!(woken(), (1, 0));
        wait();
        slot.miss(Missed::Interrupted {
            gap: Duration::ZERO,
        });
        assert_eq!(woken(), (1, 1));
        wait();
        slot.deliver(Envelope::disconnect(Close::from(Close::NORMAL)).unwrap());
        assert_eq!(woken(), (1, 1));
    }

    #[test]
    fn debug_output_names_the_channel() {
        let mailbox = mailbox();

        assert!(format!("{mailbox:?}").contains(mailbox.name().as_str()));
    }
}
