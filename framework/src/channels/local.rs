//! Delivery inside this process: mailboxes and memberships, shared by every backend.

use super::{
    Envelope, Mailbox, Missed,
    backpressure::FullMailboxes,
    lost_part::{Everything, LostPart},
    mailbox::{DeliveryOutcome, MAILBOX_CAPACITY, Slot},
    members::{MemberIndex, Membership},
    topics::{ReadFrom, Recovery, Windows},
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName},
};
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The mailboxes and memberships of this process, through which every channel layer delivers.
///
/// ```
/// use seaway::{GroupName, Result, channels::{Envelope, LocalChannels, Membership}};
/// use std::time::Duration;
///
/// fn one_room() -> Result<()> {
///     let local = LocalChannels::new(100, |group| println!("stop listening to {group}"));
///     let (mailbox, room) = (local.open("here")?, GroupName::new("room")?);
///     assert_eq!(local.join(&room, mailbox.name())?, Membership::First);
///     assert_eq!(local.members(&room), 1);
///
///     // What the transport delivers:
///     let envelope = Envelope::from_bytes("an encoded event");
///     local.deliver_group(&room, &envelope);
///     assert!(local.deliver(mailbox.name(), envelope));
///     // After a loss of the transport:
///     local.interrupted(Duration::from_secs(2));
///
///     local.leave(&room, mailbox.name());
///     drop(mailbox);
///     assert_eq!(local.members(&room), 0);
///     Ok(())
/// }
/// # one_room().unwrap();
/// ```
#[derive(Clone)]
pub struct LocalChannels(Arc<Registry>);

struct Registry {
    capacity: usize,
    opened: AtomicU64,
    closed: AtomicU64,
    dropped: AtomicU64,
    deliveries: AtomicU64,
    backpressure: FullMailboxes,
    metrics: metric::DeliveryMetrics,
    members: MemberIndex,
    /// Called when a group's last member in this process has left.
    emptied: Box<dyn Fn(&GroupName) + Send + Sync>,
    /// Called for each group that a channel was present in when it was closed.
    departed: OnceLock<Departed>,
}

type Departed = Box<dyn Fn(&GroupName, &ChannelName) + Send + Sync>;

impl Default for LocalChannels {
    fn default() -> Self {
        Self::new(MAILBOX_CAPACITY, |_| {})
    }
}

impl LocalChannels {
    /// Creates an index whose mailboxes hold `capacity` envelopes.
    ///
    /// `emptied` is called, with no lock held, whenever a group's last member in this process has
    /// left, so that the backend can unsubscribe. Another channel may have joined before the call:
    /// a backend unsubscribes only if [`members`](Self::members) is still zero, which it checks
    /// under the lock with which it records its subscriptions.
    pub fn new(capacity: usize, emptied: impl Fn(&GroupName) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Registry {
            capacity,
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            backpressure: FullMailboxes::default(),
            metrics: metric::DeliveryMetrics::new(),
            members: MemberIndex::new(),
            emptied: Box::new(emptied),
            departed: OnceLock::new(),
        }))
    }

    /// Opens a channel whose name is `prefix`, a `!` and a hexadecimal number.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the prefix does not make a valid channel name.
    pub fn open(&self, prefix: &str) -> Result<Mailbox> {
        let number = self.0.opened.fetch_add(1, Ordering::AcqRel);
        let name = ChannelName::new(format!("{prefix}!{number:x}"))?;
        let slot = Arc::new(Slot::new(name, number, self.0.capacity));
        self.0.members.insert(slot.clone());
        let registry = self.0.clone();
        Ok(Mailbox::new(slot, move |gone| registry.unregister(gone)))
    }

    /// Delivers to one channel of this process; returns whether the channel exists and accepted the
    /// envelope.
    pub fn deliver(&self, channel: &ChannelName, envelope: Envelope) -> bool {
        let Some(slot) = self.slot(channel) else {
            return false;
        };
        let delivery = slot.deliver(envelope);
        self.0.deliveries.fetch_add(1, Ordering::Relaxed);
        match delivery {
            DeliveryOutcome::Taken {
                depth,
                is_nearly_full,
            } => {
                self.0.metrics.count(1, 0, depth);
                if is_nearly_full {
                    self.0.backpressure.add(&slot);
                }
            }
            DeliveryOutcome::Dropped => {
                self.0.note_dropped(&slot);
                self.0.metrics.count(0, 1, self.0.capacity);
            }
            DeliveryOutcome::Excluded => {}
        }
        matches!(delivery, DeliveryOutcome::Taken { .. })
    }

    /// Delivers an envelope to all members of the group in this process, without the one that it
    /// [excludes](Envelope::except).
    ///
    /// A full mailbox drops the envelope and notifies its owner; the sender never waits.
    pub fn deliver_group(&self, group: &GroupName, envelope: &Envelope) {
        self.0.members.with_members(group, |members| {
            envelope.record_group(group);
            self.windows().record(group, envelope);
            self.deliver_to(members, envelope);
        });
    }

    /// Delivers an envelope to these channels, as [`deliver_group`](Self::deliver_group) does.
    pub(super) fn deliver_to<'a>(
        &self,
        members: impl ExactSizeIterator<Item = &'a Arc<Slot>>,
        envelope: &Envelope,
    ) {
        let deliveries = members.len() as u64;
        let (mut taken, mut dropped, mut deepest) = (0, 0, 0);
        for slot in members {
            match slot.deliver(envelope.clone()) {
                DeliveryOutcome::Taken {
                    depth,
                    is_nearly_full,
                } => {
                    taken += 1;
                    deepest = depth.max(deepest);
                    if is_nearly_full {
                        self.0.backpressure.add(slot);
                    }
                }
                DeliveryOutcome::Dropped => {
                    dropped += 1;
                    deepest = self.0.capacity;
                    self.0.note_dropped(slot);
                }
                DeliveryOutcome::Excluded => {}
            }
        }
        self.0.metrics.count(taken, dropped, deepest);
        self.0.deliveries.fetch_add(deliveries, Ordering::Relaxed);
    }

    /// Sets the function that is called for each group that a channel was present in when it was
    /// closed. Only the first call has an effect.
    pub(super) fn on_departure(
        &self,
        departed: impl Fn(&GroupName, &ChannelName) + Send + Sync + 'static,
    ) {
        _ = self.0.departed.set(Box::new(departed));
    }

    /// Sets the function that is called, with locks held, for each group that has more or fewer
    /// members than before. Only the first call has an effect.
    #[cfg(feature = "redis")]
    pub(super) fn on_member_count(&self, counted: impl Fn(&GroupName) + Send + Sync + 'static) {
        self.0.members.on_count(counted);
    }

    /// Returns the slot of a channel of this process.
    pub(super) fn slot(&self, channel: &ChannelName) -> Option<Arc<Slot>> {
        self.0.members.slot(channel)
    }

    /// Records that a channel is present in a group; returns whether the channel is open.
    pub(super) fn attend(&self, group: &GroupName, channel: &ChannelName) -> bool {
        self.0.members.attend(group, channel)
    }

    /// Records that a channel is not present in a group any more.
    pub(super) fn unattend(&self, group: &GroupName, channel: &ChannelName) {
        self.0.members.unattend(group, channel);
    }

    /// Returns the groups that a channel is present in.
    pub(super) fn attended(&self, channel: &ChannelName) -> Vec<GroupName> {
        self.0.members.attended(channel)
    }

    /// Notifies the owner of every mailbox that it may have missed events while the transport was
    /// down for `gap`.
    ///
    /// A backend calls this once it is subscribed again, unless it has lost nothing.
    pub fn interrupted(&self, gap: Duration) {
        self.interrupted_before(self.opened(), gap, &Everything);
    }

    /// Returns how many mailboxes have been opened so far.
    pub(super) fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Acquire)
    }

    /// Notifies like [`interrupted`](Self::interrupted), but only the first `opened` mailboxes:
    /// later ones had joined no group, and can have missed events for themselves at most. One that
    /// is in no group of the part, and whose own channel is not in it, has missed nothing.
    pub(super) fn interrupted_before(&self, opened: u64, gap: Duration, part: &impl LostPart) {
        let notify = |slot: &Slot| slot.miss(Missed::Interrupted { gap });
        self.0.members.interrupt(opened, part, notify);
    }

    /// Has the topics of the part read again after the connection to their store was lost, which
    /// has what was missed, or another epoch.
    #[cfg(feature = "redis")]
    pub(super) fn reread_topics(&self, part: &impl LostPart) {
        self.0.members.reread_topics(part);
    }

    /// Notifies like [`interrupted_before`](Self::interrupted_before), but only the members of one
    /// group, whose gap has lasted until now. Members that have not received an earlier notice yet
    /// need no further one.
    #[cfg(feature = "redis")]
    pub(super) fn interrupted_members(&self, group: &GroupName, opened: u64, gap: Duration) {
        self.windows().remove(group);
        self.0.members.with_members(group, |slots| {
            for slot in slots.filter(|slot| slot.number() < opened) {
                slot.miss_until_now(gap);
            }
        });
    }

    /// Returns how many deliveries to mailboxes were made so far.
    ///
    /// A backend that yields to other tasks after some thousand deliveries does not fill mailboxes
    /// faster than their owners can empty them.
    pub fn deliveries(&self) -> u64 {
        self.0.deliveries.load(Ordering::Relaxed)
    }

    /// Returns whether a backend may continue to read from its transport.
    ///
    /// Returns false from when a mailbox is more than half full until it is down to a quarter, for
    /// at most 2 s and while its owner is active. The backend then leaves incoming data unread and
    /// asks again 1 ms later.
    ///
    /// An owner that takes no envelope for 250 ms is not waited for, and its mailbox overflows.
    /// Such owners, and a few that are slower than all others, pause a backend for at most a fifth
    /// of the time.
    pub fn has_room(&self) -> bool {
        let (opened, closed) = (&self.0.opened, &self.0.closed);
        let open = opened
            .load(Ordering::Relaxed)
            .saturating_sub(closed.load(Ordering::Relaxed));
        self.0
            .backpressure
            .has_room(usize::try_from(open).unwrap_or(usize::MAX))
    }

    /// Returns how many envelopes a mailbox holds.
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// Returns how many mailboxes a backend is to wait for.
    #[cfg(test)]
    pub(super) fn full(&self) -> usize {
        self.0.backpressure.len()
    }

    /// Adds a channel of this process to a group.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel is not of this process: consumers join groups
    /// themselves.
    pub fn join(&self, group: &GroupName, channel: &ChannelName) -> Result<Membership> {
        let joined = self.0.members.join(group, channel);
        joined.ok_or_else(|| not_open(channel))
    }

    /// Returns whether a channel of this process is a member of a group.
    pub(super) fn is_member(&self, group: &GroupName, channel: &ChannelName) -> bool {
        self.0.members.is_member(group, channel)
    }

    /// Removes a channel from a group, if it is a member.
    pub fn leave(&self, group: &GroupName, channel: &ChannelName) {
        let (slot, is_emptied) = self.0.members.leave(group, channel);
        if is_emptied {
            (self.0.emptied)(group);
        }
        // Last: what is delivered until then is of a group that was left.
        if let Some(slot) = slot {
            slot.leave(group);
        }
    }

    /// Returns the last events of topics that have members here.
    pub(super) fn windows(&self) -> &Arc<Windows> {
        self.0.members.windows()
    }

    /// Resumes a topic that the channel is a member of: its owner receives what it has missed, and
    /// then live events.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel is not of this process.
    pub(super) fn resume(
        &self,
        topic: &GroupName,
        channel: &ChannelName,
        recovery: Recovery,
        read: ReadFrom,
    ) -> Result<()> {
        let slot = self.slot(channel).ok_or_else(|| not_open(channel))?;
        slot.resume(topic, recovery, read);
        Ok(())
    }

    /// Returns how many members the group has in this process.
    pub fn members(&self, group: &GroupName) -> usize {
        let members = self.0.members.with_members(group, |members| members.len());
        members.unwrap_or(0)
    }

    /// Returns whether the group has members in this process.
    #[cfg(feature = "redis")]
    pub(super) fn has_members(&self, group: &GroupName) -> bool {
        self.members(group) > 0
    }

    /// Returns the groups that have members in this process: those that a backend subscribes to.
    pub fn groups(&self) -> Vec<GroupName> {
        self.0.members.groups()
    }

    /// Returns how many envelopes were dropped because a mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

fn not_open(channel: &ChannelName) -> Error {
    let message = format!(
        "cannot add channel {channel} to a group: it is not open in this process; each consumer joins its groups itself"
    );
    Error::new(ErrorKind::Layer, message)
}

impl Registry {
    fn unregister(&self, channel: &ChannelName) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        let left = self.members.remove(channel);
        left.emptied.iter().for_each(|group| (self.emptied)(group));
        if let Some(departed) = self.departed.get() {
            for group in &left.present_in {
                departed(group, channel);
            }
        }
    }

    fn note_dropped(&self, slot: &Slot) {
        let total = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
        log_limited!(
            warn,
            channel = %slot.name(),
            total,
            "dropped an event: the consumer's mailbox is full, because it handles events more slowly than they arrive"
        );
    }
}

impl fmt::Debug for LocalChannels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalChannels")
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
