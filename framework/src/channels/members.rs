//! Which channels are open in this process, and which groups they are in.

use super::{lost_part::LostPart, mailbox::Slot, topics::Windows};
use crate::{
    metric,
    name::{ChannelName, GroupName},
};
use std::{
    collections::{HashMap, hash_map::Values},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// The place of a channel that joins a group among its members in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Membership {
    /// The group's first member in this process: the backend has to subscribe to the group.
    First,
    /// The group has other members in this process: if the backend is still subscribing for one of
    /// them, this channel waits for the confirmation, too.
    Further,
    /// The channel was already a member.
    Already,
}

/// Two indexes, each in shards with their own locks: groups to members for sending, channels to
/// groups for leaving. A send locks only the shard of its group, for reading.
///
/// Locks are taken in this order: channels, then groups.
pub(super) struct MemberIndex {
    hasher: RandomState,
    channels: Vec<Mutex<ChannelShard>>,
    groups: Vec<RwLock<GroupShard>>,
    /// The last events of topics that have members here.
    windows: Arc<Windows>,
    gauges: metric::MembershipGauges,
    /// Called when a group has more or fewer members than before.
    counted: OnceLock<Counted>,
}

type ChannelShard = HashMap<ChannelName, Member>;

type GroupShard = HashMap<GroupName, GroupMembers>;

type GroupMembers = HashMap<ChannelName, Arc<Slot>>;

type Counted = Box<dyn Fn(&GroupName) + Send + Sync>;

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

/// What a channel that was closed has left.
#[derive(Default)]
pub(super) struct LeftGroups {
    /// The groups whose last member in this process it was.
    pub(super) emptied: Vec<GroupName>,
    /// The groups that it was present in.
    pub(super) present_in: Vec<GroupName>,
}

/// More shards than cores, so that two sends rarely contend for a lock.
const SHARDS: usize = 64;

const UNPOISONED: &str = "no code panics while it holds this lock";

impl MemberIndex {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            channels: (0..SHARDS).map(|_| Mutex::default()).collect(),
            groups: (0..SHARDS).map(|_| RwLock::default()).collect(),
            windows: Arc::default(),
            gauges: metric::MembershipGauges::new(),
            counted: OnceLock::new(),
        }
    }

    /// Sets the function that is called, with locks held, for each group that has more or fewer
    /// members than before. Only the first call has an effect.
    #[cfg(feature = "redis")]
    pub(super) fn on_count(&self, counted: impl Fn(&GroupName) + Send + Sync + 'static) {
        _ = self.counted.set(Box::new(counted));
    }

    /// Returns the last events of topics that have members here.
    pub(super) fn windows(&self) -> &Arc<Windows> {
        &self.windows
    }

    /// Adds a channel that was opened.
    pub(super) fn insert(&self, slot: Arc<Slot>) {
        let name = slot.name().clone();
        let member = Member { slot, groups: None };
        self.channels(&name).insert(name, member);
        self.gauges.opened();
    }

    /// Removes a channel that was closed from all its groups.
    pub(super) fn remove(&self, channel: &ChannelName) -> LeftGroups {
        self.gauges.closed();
        let member = self.channels(channel).remove(channel);
        let Some(groups) = member.and_then(|member| member.groups) else {
            return LeftGroups::default();
        };
        let GroupsOfMember {
            mut joined,
            present_in,
        } = *groups;
        joined.retain(|group| self.remove_from(group, channel));
        LeftGroups {
            emptied: joined,
            present_in,
        }
    }

    /// Returns the slot of a channel.
    pub(super) fn slot(&self, channel: &ChannelName) -> Option<Arc<Slot>> {
        let channels = self.channels(channel);
        channels.get(channel).map(|member| member.slot.clone())
    }

    /// Adds a channel to a group; `None` if it is not open in this process.
    pub(super) fn join(&self, group: &GroupName, channel: &ChannelName) -> Option<Membership> {
        let mut channels = self.channels(channel);
        let member = channels.get_mut(channel)?;
        let mut groups = self.write_groups(group);
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
            self.gauges.joined();
            self.count(group);
        }
        if is_first {
            // A reading that ended after the last member had left may have stored one.
            self.windows.remove(group);
        }
        Some(match before {
            Some(_) => Membership::Already,
            None if is_first => Membership::First,
            None => Membership::Further,
        })
    }

    /// Removes a channel from a group, if it is a member; returns its slot, if it is open, and
    /// whether it was the last member.
    pub(super) fn leave(
        &self,
        group: &GroupName,
        channel: &ChannelName,
    ) -> (Option<Arc<Slot>>, bool) {
        // Both at once, so that a join meanwhile finds the channel in both or in neither.
        let mut channels = self.channels(channel);
        let slot = channels.get_mut(channel).map(|member| {
            member.leave(group);
            member.slot.clone()
        });
        (slot, self.remove_from(group, channel))
    }

    /// Returns whether a channel is a member of a group.
    pub(super) fn is_member(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let channels = self.channels(channel);
        let groups = channels.get(channel).and_then(Member::groups);
        groups.is_some_and(|groups| groups.joined.contains(group))
    }

    /// Calls `f` with the members of a group, if there are any, and with the group's lock held.
    pub(super) fn with_members<T>(
        &self,
        group: &GroupName,
        f: impl FnOnce(Values<'_, ChannelName, Arc<Slot>>) -> T,
    ) -> Option<T> {
        let groups = self.read_groups(group);
        groups.get(group).map(|members| f(members.values()))
    }

    /// Returns the groups that have members.
    pub(super) fn groups(&self) -> Vec<GroupName> {
        let mut names = Vec::new();
        for shard in &self.groups {
            names.extend(shard.read().expect(UNPOISONED).keys().cloned());
        }
        names
    }

    /// Records that a channel is present in a group; returns whether the channel is open.
    pub(super) fn attend(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let mut channels = self.channels(channel);
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
        let mut channels = self.channels(channel);
        if let Some(groups) = channels.get_mut(channel).and_then(Member::groups_mut) {
            groups.present_in.retain(|one| one != group);
        }
    }

    /// Returns the groups that a channel is present in.
    pub(super) fn attended(&self, channel: &ChannelName) -> Vec<GroupName> {
        let channels = self.channels(channel);
        let groups = channels.get(channel).and_then(Member::groups);
        groups.map_or_else(Vec::new, |groups| groups.present_in.clone())
    }

    /// Calls `interrupt` for each channel for which events may be missing after an interruption,
    /// with no lock held. It began when `opened` channels had been opened: later ones had joined no
    /// group, and can have missed events for themselves at most. One that is in no group of the
    /// part, and whose own channel is not in it, has missed nothing.
    pub(super) fn interrupt(&self, opened: u64, part: &impl LostPart, interrupt: impl Fn(&Slot)) {
        self.windows.remove_all(part);
        for shard in &self.channels {
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
            slots.iter().for_each(|slot| interrupt(slot));
        }
    }

    /// Has the topics of the part read again.
    #[cfg(feature = "redis")]
    pub(super) fn reread_topics(&self, part: &impl LostPart) {
        self.windows.remove_all(part);
        for shard in &self.channels {
            let shard = shard.lock().expect(UNPOISONED);
            let members = shard.values().filter(|member| member.is_in(part));
            members.for_each(|member| member.slot.reread_topics());
        }
    }

    /// Removes a channel from the members of a group; returns whether it was the last one.
    fn remove_from(&self, group: &GroupName, channel: &ChannelName) -> bool {
        let mut groups = self.write_groups(group);
        let Some(members) = groups.get_mut(group) else {
            return false;
        };
        if members.remove(channel).is_some() {
            self.gauges.left();
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

    fn channels(&self, name: &ChannelName) -> MutexGuard<'_, ChannelShard> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.channels[shard].lock().expect(UNPOISONED)
    }

    fn read_groups(&self, name: &GroupName) -> RwLockReadGuard<'_, GroupShard> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.groups[shard].read().expect(UNPOISONED)
    }

    fn write_groups(&self, name: &GroupName) -> RwLockWriteGuard<'_, GroupShard> {
        let shard = self.hasher.hash_one(name) as usize % SHARDS;
        self.groups[shard].write().expect(UNPOISONED)
    }
}

impl Member {
    fn groups(&self) -> Option<&GroupsOfMember> {
        self.groups.as_deref()
    }

    fn groups_mut(&mut self) -> Option<&mut GroupsOfMember> {
        self.groups.as_deref_mut()
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
}
