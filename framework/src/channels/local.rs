//! Delivery inside this process: mailboxes and memberships, shared by every backend.

use super::{
    Envelope, Mailbox, Missed,
    backpressure::FullMailboxes,
    lost_part::{Everything, LostPart},
    mailbox::{DeliveryOutcome, MAILBOX_CAPACITY, Slot},
    topics::{ReadFrom, Recovery, Windows},
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName},
};
use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The mailboxes and memberships of this process, through which every channel layer delivers.
///
/// Two indexes, each in shards with their own locks: groups to members for sending, channels to
/// groups for leaving. A send locks only the shard of its group, for reading.
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
    memberships: metric::MembershipGauges,
    windows: Windows,
    hasher: RandomState,
    groups: Vec<RwLock<HashMap<GroupName, Members>>>,
    channels: Vec<Mutex<HashMap<ChannelName, Member>>>,
    /// Called when a group's last member in this process has left.
    emptied: Box<dyn Fn(&GroupName) + Send + Sync>,
    /// Called for each group that a channel was present in when it was closed.
    departed: OnceLock<Departed>,
    /// Called when a group has more or fewer members than before.
    counted: OnceLock<Counted>,
}

type Departed = Box<dyn Fn(&GroupName, &ChannelName) + Send + Sync>;

type Counted = Box<dyn Fn(&GroupName) + Send + Sync>;

type Members = HashMap<ChannelName, Arc<Slot>>;

/// One channel of this process.
struct Member {
    slot: Arc<Slot>,
    /// Boxed, since the map of all channels has more places than it has members.
    groups: Option<Box<GroupsOfMember>>,
}

/// Lists without duplicates: most channels are in a few groups, for which a set would take twice the
/// memory.
#[derive(Default)]
struct GroupsOfMember {
    joined: Vec<GroupName>,
    present_in: Vec<GroupName>,
}

impl Member {
    fn groups(&self) -> Option<&GroupsOfMember> {
        self.groups.as_deref()
    }

    /// Returns whether it is a member of a group of the part.
    fn is_in(&self, part: &impl LostPart) -> bool {
        let joined = self.groups().map_or(&[][..], |groups| &groups.joined);
        joined.iter().any(|group| part.has_group(group))
    }

    fn leave(&mut self, group: &GroupName) {
        if let Some(groups) = self.groups_mut()
            && let Some(place) = groups.joined.iter().position(|one| one == group)
        {
            groups.joined.swap_remove(place);
        }
    }

    fn groups_mut(&mut self) -> Option<&mut GroupsOfMember> {
        self.groups.as_deref_mut()
    }
}

/// The place of a channel that joins a group among its members in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// The group's first member in this process: the backend has to subscribe to the group.
    First,
    /// The group has other members in this process.
    Further,
    /// The channel was already a member.
    Already,
}

/// More shards than cores, so that two sends rarely contend for a lock.
const SHARDS: usize = 64;

impl Default for LocalChannels {
    fn default() -> Self {
        Self::new(MAILBOX_CAPACITY, |_| {})
    }
}

impl LocalChannels {
    /// Creates an index whose mailboxes hold `capacity` envelopes.
    ///
    /// `emptied` is called, with no lock held, whenever a group's last member in this process has
    /// left, so that the backend can unsubscribe.
    pub fn new(capacity: usize, emptied: impl Fn(&GroupName) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Registry {
            capacity,
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            backpressure: FullMailboxes::default(),
            metrics: metric::DeliveryMetrics::new(),
            memberships: metric::MembershipGauges::new(),
            windows: Windows::default(),
            hasher: RandomState::new(),
            groups: (0..SHARDS).map(|_| RwLock::default()).collect(),
            channels: (0..SHARDS).map(|_| Mutex::default()).collect(),
            emptied: Box::new(emptied),
            departed: OnceLock::new(),
            counted: OnceLock::new(),
        }))
    }

    /// Opens a channel whose name is `prefix`, a `!` and a hexadecimal number.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the prefix does not make a valid channel name.
    pub fn open(&self, prefix: &str) -> Result<Mailbox> {
        let number = self.0.opened.fetch_add(1, Ordering::AcqRel);
        let name = ChannelName::new(format!("{prefix}!{number:x}"))?;
        let slot = Arc::new(Slot::new(name.clone(), number, self.0.capacity));
        let member = Member {
            slot: slot.clone(),
            groups: None,
        };
        self.0.channels(&name).insert(name, member);
        self.0.memberships.opened();
        let registry = self.0.clone();
        Ok(Mailbox::new(slot, move |gone| registry.unregister(gone)))
    }

    /// Delivers to one channel of this process; returns whether the channel exists and accepted the
    /// envelope.
    pub fn deliver(&self, channel: &ChannelName, envelope: Envelope) -> bool {
        let slot = match self.0.channels(channel).get(channel) {
            Some(member) => member.slot.clone(),
            None => return false,
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
        let shard = self.0.read_groups(group);
        let Some(members) = shard.get(group) else {
            return;
        };
        envelope.record_group(group);
        self.0.windows.record(group, envelope);
        self.deliver_to(members.values(), envelope);
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
        _ = self.0.counted.set(Box::new(counted));
    }

    /// Returns the slot of a channel of this process.
    pub(super) fn slot(&self, channel: &ChannelName) -> Option<Arc<Slot>> {
        let channels = self.0.channels(channel);
        channels.get(channel).map(|member| member.slot.clone())
    }

    /// Records that a channel is present in a group; returns whether the channel is open.
    pub(super) fn attend(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let mut channels = self.0.channels(channel);
        let Some(member) = channels.get_mut(channel) else {
            return false;
        };
        let present_in = &mut member.groups.get_or_insert_default().present_in;
        if !present_in.contains(group) {
            present_in.push(group.clone());
        }
        true
    }

    /// Records that a channel is not present in a group any more.
    pub(super) fn unattend(&self, group: &GroupName, channel: &ChannelName) {
        if let Some(groups) = self
            .0
            .channels(channel)
            .get_mut(channel)
            .and_then(Member::groups_mut)
        {
            groups.present_in.retain(|one| one != group);
        }
    }

    /// Returns the groups that a channel is present in.
    pub(super) fn attended(&self, channel: &ChannelName) -> Vec<GroupName> {
        let channels = self.0.channels(channel);
        let groups = channels.get(channel).and_then(Member::groups);
        groups.map_or_else(Vec::new, |groups| groups.present_in.clone())
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
        self.0.windows.remove_all(part);
        for shard in &self.0.channels {
            let slots: Vec<_> = {
                let shard = shard.lock().expect(UNPOISONED);
                let members = shard.values().filter(|member| {
                    let is_early = member.slot.number() < opened;
                    let has_channel = || part.has_channel(member.slot.name());
                    (is_early && member.is_in(part))
                        || ((is_early || part.misses_from_start()) && has_channel())
                });
                members.map(|member| member.slot.clone()).collect()
            };
            for slot in slots {
                slot.miss(Missed::Interrupted { gap });
            }
        }
    }

    /// Has the topics of the part read again after the connection to their store was lost, which
    /// has what was missed, or another epoch.
    #[cfg(feature = "redis")]
    pub(super) fn reread_topics(&self, part: &impl LostPart) {
        self.0.windows.remove_all(part);
        for shard in &self.0.channels {
            let shard = shard.lock().expect(UNPOISONED);
            let members = shard.values().filter(|member| member.is_in(part));
            members.for_each(|member| member.slot.reread_topics());
        }
    }

    /// Notifies like [`interrupted_before`](Self::interrupted_before), but only the members of one
    /// group, whose gap has lasted until now. Members that have not received an earlier notice yet
    /// need no further one.
    #[cfg(feature = "redis")]
    pub(super) fn interrupted_members(&self, group: &GroupName, opened: u64, gap: Duration) {
        self.0.windows.remove(group);
        let shard = self.0.read_groups(group);
        let slots = shard.get(group).into_iter().flat_map(HashMap::values);
        for slot in slots.filter(|slot| slot.number() < opened) {
            slot.miss_until_now(gap);
        }
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
        let mut channels = self.0.channels(channel);
        let Some(member) = channels.get_mut(channel) else {
            return Err(not_open(channel));
        };
        let mut groups = self.0.write_groups(group);
        let members = groups.entry(group.clone()).or_default();
        let is_first = members.is_empty();
        let before = members.insert(channel.clone(), member.slot.clone());
        if before.is_none() {
            let joined = &mut member.groups.get_or_insert_default().joined;
            if joined.is_empty() {
                // Most channels have no second one, and it would allocate four.
                joined.reserve_exact(1);
            }
            joined.push(group.clone());
            self.0.memberships.joined();
            self.0.count(group);
        }
        if is_first {
            // A reading that ended after the last member had left may have stored one.
            self.0.windows.remove(group);
        }
        Ok(match before {
            Some(_) => Membership::Already,
            None if is_first => Membership::First,
            None => Membership::Further,
        })
    }

    /// Returns whether a channel of this process is a member of a group.
    pub(super) fn is_member(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let channels = self.0.channels(channel);
        let groups = channels.get(channel).and_then(Member::groups);
        groups.is_some_and(|groups| groups.joined.contains(group))
    }

    /// Removes a channel from a group, if it is a member.
    pub fn leave(&self, group: &GroupName, channel: &ChannelName) {
        // Both at once, so that a join meanwhile finds the channel in both or in neither.
        let (slot, is_emptied) = {
            let mut channels = self.0.channels(channel);
            let slot = channels.get_mut(channel).map(|member| {
                member.leave(group);
                member.slot.clone()
            });
            (slot, self.0.remove(group, channel))
        };
        if is_emptied {
            (self.0.emptied)(group);
        }
        // Last: what is delivered until then is of a group that was left.
        if let Some(slot) = slot {
            slot.leave(group);
        }
    }

    /// Returns the last events of topics that have members here.
    pub(super) fn windows(&self) -> &Windows {
        &self.0.windows
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
        let slot = match self.0.channels(channel).get(channel) {
            Some(member) => member.slot.clone(),
            None => return Err(not_open(channel)),
        };
        slot.resume(topic, recovery, read);
        Ok(())
    }

    /// Returns how many members the group has in this process.
    pub fn members(&self, group: &GroupName) -> usize {
        self.0.read_groups(group).get(group).map_or(0, HashMap::len)
    }

    /// Returns whether the group has members in this process.
    #[cfg(feature = "redis")]
    pub(super) fn has_members(&self, group: &GroupName) -> bool {
        self.0.read_groups(group).contains_key(group)
    }

    /// Returns the groups that have members in this process: those that a backend subscribes to.
    pub fn groups(&self) -> Vec<GroupName> {
        let shards = self.0.groups.iter();
        shards
            .flat_map(|shard| {
                let shard = shard.read().expect(UNPOISONED);
                shard.keys().cloned().collect::<Vec<_>>()
            })
            .collect()
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

const UNPOISONED: &str = "no code panics while it holds this lock";

/// Locks are taken in this order: channels, then groups.
impl Registry {
    fn channels(&self, name: &ChannelName) -> MutexGuard<'_, HashMap<ChannelName, Member>> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.channels[shard].lock().expect(UNPOISONED)
    }

    fn read_groups(&self, name: &GroupName) -> RwLockReadGuard<'_, HashMap<GroupName, Members>> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.groups[shard].read().expect(UNPOISONED)
    }

    fn write_groups(&self, name: &GroupName) -> RwLockWriteGuard<'_, HashMap<GroupName, Members>> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.groups[shard].write().expect(UNPOISONED)
    }

    fn unregister(&self, channel: &ChannelName) {
        self.closed.fetch_add(1, Ordering::Relaxed);
        self.memberships.closed();
        let Some(member) = self.channels(channel).remove(channel) else {
            return;
        };
        let Some(groups) = member.groups else {
            return;
        };
        for group in &groups.joined {
            if self.remove(group, channel) {
                (self.emptied)(group);
            }
        }
        if let Some(departed) = self.departed.get() {
            groups
                .present_in
                .iter()
                .for_each(|group| departed(group, channel));
        }
    }

    /// Removes a channel from the members of a group; returns whether it was the last one.
    fn remove(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let mut groups = self.write_groups(group);
        let Some(members) = groups.get_mut(group) else {
            return false;
        };
        if members.remove(channel).is_some() {
            self.memberships.left();
            self.count(group);
        }
        if !members.is_empty() {
            return false;
        }
        groups.remove(group);
        self.windows.remove(group);
        true
    }

    fn count(&self, group: &GroupName) {
        if let Some(counted) = self.counted.get() {
            counted(group);
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
