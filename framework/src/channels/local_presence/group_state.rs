//! What one group has in this process: its people, its list, and its subscribers; and the rules by
//! which they follow the store.

use super::{
    batch::{self, PendingDifferences},
    own::{DeclarationBatch, Own},
    replica::{Applied, Difference, Replica},
    store::{Changes, Declared, Snapshot, Version},
};
use crate::{
    channels::{LocalChannels, mailbox::Slot},
    error::Result,
    name::{ChannelName, GroupName},
};
use std::{collections::HashMap, mem, sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::Instant};

/// The shortest time between two events of one group; changes in between are sent together.
const WINDOW: Duration = Duration::from_millis(10);

/// How much longer it is for each subscriber.
const WINDOW_EACH: Duration = Duration::from_micros(10);

/// The number of changes that are kept while the list is read. With more, it is read again.
const MOST_BUFFERED: usize = 4096;

/// What one group has in this process.
pub(super) struct PresenceState {
    name: GroupName,
    local: LocalChannels,
    pub(super) own: Own,
    pub(super) replica: Replica,
    /// Whether the store is to be asked whom it has of this process, before anything is declared.
    pub(super) must_compare: bool,
    /// Whether the list is to be read. Meanwhile changes are buffered.
    pub(super) is_stale: bool,
    buffered: Vec<Changes>,
    /// The consumers that have the list and receive each change.
    subscribers: HashMap<ChannelName, Arc<Slot>>,
    /// Those that are still to receive the whole list.
    new_subscribers: HashMap<ChannelName, Arc<Slot>>,
    batch: PendingDifferences,
    /// When the next event may be sent.
    next_event: Instant,
    /// The newest version that the declarations of this process are part of.
    stored_by: Option<Version>,
    is_declaring: bool,
    settled: Vec<oneshot::Sender<()>>,
}

impl PresenceState {
    pub(super) fn new(name: &GroupName, local: &LocalChannels) -> Self {
        Self {
            name: name.clone(),
            local: local.clone(),
            own: Own::default(),
            replica: Replica::default(),
            must_compare: false,
            is_stale: true,
            buffered: Vec::new(),
            subscribers: HashMap::new(),
            new_subscribers: HashMap::new(),
            batch: PendingDifferences::default(),
            next_event: Instant::now(),
            stored_by: None,
            is_declaring: false,
            settled: Vec::new(),
        }
    }

    /// Sends the list and its changes to this consumer from now on.
    pub(super) fn subscribe(&mut self, slot: &Arc<Slot>) {
        self.subscribers.remove(slot.name());
        self.new_subscribers
            .insert(slot.name().clone(), slot.clone());
    }

    pub(super) fn unsubscribe(&mut self, channel: &ChannelName) {
        self.subscribers.remove(channel);
        self.new_subscribers.remove(channel);
    }

    /// Declares everyone of this process, and reads the list again.
    pub(super) fn declare_all(&mut self) {
        self.own.declare_all();
        self.is_stale = true;
    }

    /// Takes a change from the store; returns whether it was applied, and not only kept.
    pub(super) fn receive(&mut self, changes: Changes) -> bool {
        if !self.is_stale {
            self.apply(changes);
            return true;
        }
        if self.buffered.len() < MOST_BUFFERED {
            self.buffered.push(changes);
        }
        false
    }

    /// Returns whether the list is that of the store, with all that this process has stored.
    pub(super) fn is_current(&self) -> bool {
        !self.is_stale && self.is_reached(self.stored_by)
    }

    /// Returns a receiver that completes once everything is declared; `None` if it is.
    pub(super) fn settled(&mut self) -> Option<oneshot::Receiver<()>> {
        if !self.is_declaring && !self.own.is_due() {
            return None;
        }
        let (settled, receiver) = oneshot::channel();
        self.settled.retain(|other| !other.is_closed());
        self.settled.push(settled);
        Some(receiver)
    }

    /// Returns the next people to declare, if any.
    pub(super) fn take_due(&mut self, most: usize) -> Option<DeclarationBatch> {
        if !self.own.is_due() {
            return None;
        }
        self.is_declaring = true;
        Some(self.own.take_due(most))
    }

    /// Begins to read the list: changes are buffered from now on.
    pub(super) fn begin_read(&mut self) {
        self.buffered.clear();
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.must_compare
            && self.own.is_empty()
            && self.subscribers.is_empty()
            && self.new_subscribers.is_empty()
    }

    pub(super) fn is_reached(&self, version: Option<Version>) -> bool {
        let (Some(version), Some(reached)) = (version, self.replica.version()) else {
            return version.is_none();
        };
        reached.epoch == version.epoch && reached.number >= version.number
    }

    fn apply(&mut self, changes: Changes) {
        match self.replica.apply(changes, Instant::now()) {
            Applied::Next(differences) => {
                self.add_differences(differences);
                self.remove_gone();
            }
            Applied::Old => {}
            Applied::Gap => self.is_stale = true,
        }
    }

    /// Replaces the list by what was read from the store.
    pub(super) fn read(&mut self, snapshot: Snapshot, missing_grace: Duration, now: Instant) {
        let before = self.replica.version();
        let is_other = |before: Version| ![0, snapshot.version.epoch].contains(&before.epoch);
        if before.is_some_and(is_other) {
            // It may have people of this process, but not with their connections to it.
            self.own.declare_all();
        }
        let differences = self.replica.replace(snapshot, missing_grace, now);
        self.add_differences(differences);
        let Self { own, replica, .. } = self;
        // Nothing was stored since the list was read.
        own.remove_gone(|key| replica.is_in_grace(key), |_| true);
        self.stored_by = None;
        self.is_stale = self.buffered.len() >= MOST_BUFFERED;
        for changes in mem::take(&mut self.buffered) {
            if !self.is_stale {
                self.apply(changes);
            }
        }
    }

    /// Handles the outcome of a declaration.
    ///
    /// # Errors
    /// If the store refused it: it is to be repeated.
    pub(super) fn declared(
        &mut self,
        batch: DeclarationBatch,
        outcome: Result<Declared>,
    ) -> Result<()> {
        self.is_declaring = false;
        let by = match outcome {
            Ok(Declared::Stored(by)) => by,
            outcome => {
                // A store that refuses declarations may accept the rest.
                self.own.take_back(batch, outcome.is_ok());
                return outcome.map(drop);
            }
        };
        self.own.stored(batch, by);
        self.stored_by = by;
        self.remove_gone();
        if !self.own.is_due() {
            self.settled
                .drain(..)
                .for_each(|waiter| _ = waiter.send(()));
        }
        Ok(())
    }

    fn remove_gone(&mut self) {
        if self.is_stale {
            return;
        }
        let Self { own, replica, .. } = self;
        let reached = replica.version();
        let is_reached = |by: Option<Version>| match (by, reached) {
            (Some(by), Some(reached)) => by.epoch == reached.epoch && by.number <= reached.number,
            (by, _) => by.is_none(),
        };
        own.remove_gone(|key| replica.is_in_grace(key), is_reached);
    }

    /// Removes the people whom a store that has lost data did not get back in time.
    pub(super) fn expire_missing(&mut self, now: Instant) {
        let gone = self.replica.expire_missing(now);
        self.add_differences(gone);
        self.remove_gone();
    }

    /// Adds differences to those that are to be sent.
    fn add_differences(&mut self, differences: Vec<Difference>) {
        for difference in differences {
            match &difference {
                Difference::Joined(key, person) | Difference::Updated(key, person) => {
                    let record = (person.count, person.stamp, person.meta.as_ref());
                    self.own.seen(key, Some(record));
                }
                Difference::Left(key) => self.own.seen(key, None),
            }
            if let Some(again) = self.batch.add(difference) {
                self.deliver_batch();
                self.batch.add(again);
            }
        }
    }

    fn deliver_batch(&mut self) {
        let envelope = self.batch.take(&self.name);
        self.local.deliver_to(self.subscribers.values(), &envelope);
    }

    /// Sends changes to the subscribers, and the list to new ones, if it is time to; returns when
    /// it is otherwise.
    pub(super) fn flush(&mut self, now: Instant) -> Option<Instant> {
        let has_new_subscribers = !self.is_stale && !self.new_subscribers.is_empty();
        if self.batch.is_empty() && !has_new_subscribers {
            return None;
        }
        if now < self.next_event {
            return Some(self.next_event);
        }
        if !self.batch.is_empty() {
            self.deliver_batch();
        }
        if has_new_subscribers {
            let envelope = batch::state(&self.name, self.replica.people());
            self.local
                .deliver_to(self.new_subscribers.values(), &envelope);
            self.subscribers.extend(self.new_subscribers.drain());
        }
        let consumers = u32::try_from(self.subscribers.len()).unwrap_or(u32::MAX);
        self.next_event = now + WINDOW + WINDOW_EACH.saturating_mul(consumers);
        None
    }
}
