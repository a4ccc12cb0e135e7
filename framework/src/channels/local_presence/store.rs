//! The store of presence: what the processes of a channel layer share.

use crate::{error::Result, name::GroupName};
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};

/// The longest key of a person, in bytes.
pub(in crate::channels) const LONGEST_KEY: usize = 256;

/// The key of a person.
pub(crate) type PersonKey = Arc<str>;

/// The version of the list of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    /// Distinguishes two lists of one group: a store that has lost a list, or dropped an empty one,
    /// begins another.
    pub(crate) epoch: u64,
    /// The number of changes so far.
    pub(crate) number: u64,
}

/// A person, as all processes together have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The number of open connections.
    pub(crate) count: u32,
    /// How much longer the grace time lasts, if there are none.
    pub(crate) grace: Duration,
    /// Orders what was set as the meta of this person: the greatest is the newest.
    pub(crate) stamp: u64,
    /// The meta, in MessagePack; `None` if this process cannot decode it, as without the key that it
    /// is encrypted with.
    pub(crate) meta: Option<Bytes>,
}

/// A person who has joined, changed or left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PresenceChange {
    pub(crate) key: PersonKey,
    /// `None` for one who has left.
    pub(crate) record: Option<Record>,
}

/// One change of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) version: Version,
    pub(crate) changes: Vec<PresenceChange>,
}

/// The list of a group.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) version: Version,
    pub(crate) people: Vec<(PersonKey, Record)>,
    /// Identifies the run of the store; `None` if unknown.
    pub(crate) run: Option<Arc<str>>,
}

/// How many people are in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) people: u64,
    pub(crate) connections: u64,
}

/// What this process declares of a person. A declaration that is repeated changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declaration {
    pub(crate) key: PersonKey,
    /// The number of open connections in this process.
    pub(crate) count: u32,
    pub(crate) meta: Bytes,
    /// The stamp of the meta; 0 if it is set now.
    pub(crate) stamp: u64,
}

/// The outcome of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It is stored, at the latest by this version of the list; `None` if the list is empty.
    Stored(Option<Version>),
    /// The store does not know this process any more, and stored nothing. It is now known again,
    /// and its groups are declared again.
    ProcessUnknown,
}

/// The store of presence of a channel layer.
///
/// Every method waits while the store is unavailable, and so fails only if it refuses. Each may be
/// dropped at any time, and repeated.
#[async_trait]
pub(crate) trait PresenceStore: Send + Sync + 'static {
    /// Subscribes to the changes of a group, which are passed to the [`Sink`]; returns the number
    /// of the subscription.
    async fn subscribe(&self, group: &GroupName) -> Result<u64>;

    /// Waits until the subscription with this number is lost.
    async fn lost(&self, group: &GroupName, subscription: u64);

    /// Ends the subscription.
    async fn unsubscribe(&self, group: &GroupName);

    /// Returns the people of whom the store has connections of this process. A store that has lost
    /// its last writes may have some that have ended.
    async fn own(&self, group: &GroupName) -> Result<Vec<PersonKey>>;

    /// Returns the whole list.
    async fn read(&self, group: &GroupName) -> Result<Snapshot>;

    /// Returns the numbers alone.
    async fn totals(&self, group: &GroupName) -> Result<Totals>;

    /// Stores what this process says of some people.
    async fn declare(&self, group: &GroupName, people: &[Declaration]) -> Result<Declared>;

    /// Removes those of these people whose grace time is over; returns the version of the list, or
    /// `None` if the store does not have it.
    async fn expire(&self, group: &GroupName, keys: &[PersonKey]) -> Result<Option<Version>>;

    /// Keeps the group from expiring; returns its version, or `None` if the store does not have it.
    async fn refresh(&self, group: &GroupName) -> Result<Option<Version>>;

    /// Returns how often groups are to be refreshed, if at all.
    fn refresh_every(&self) -> Option<Duration>;

    /// Returns how long people who are missing in a store that has lost data are kept: the
    /// processes that still have them say so within this time.
    fn missing_grace(&self) -> Duration;
}

/// The receiver of what a store publishes.
pub(crate) trait StoreListener: Send + Sync {
    /// Takes changes of a group, in their order.
    fn received(&self, group: &GroupName, changes: Changes);

    /// Has this process declare all its people again, in the groups that `concerns` selects.
    fn lost_by_store(&self, concerns: &dyn Fn(&GroupName) -> bool);

    /// Has this process compare a group, in which the store has people of it, with its own.
    fn stored(self: Arc<Self>, group: &GroupName);

    /// Returns whether a connection of this process is present in one of these groups.
    fn is_connected(&self, concerns: &dyn Fn(&GroupName) -> bool) -> bool;
}

/// The receiver, which may have ended.
#[derive(Clone)]
pub(crate) struct Sink(Weak<dyn StoreListener>);

impl Sink {
    pub(crate) fn new(receiver: Weak<dyn StoreListener>) -> Self {
        Self(receiver)
    }

    pub(crate) fn received(&self, group: &GroupName, changes: Changes) {
        if let Some(receiver) = self.0.upgrade() {
            receiver.received(group, changes);
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn lost_by_store(&self, concerns: impl Fn(&GroupName) -> bool) {
        if let Some(receiver) = self.0.upgrade() {
            receiver.lost_by_store(&concerns);
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn stored(&self, group: &GroupName) {
        if let Some(receiver) = self.0.upgrade() {
            receiver.stored(group);
        }
    }

    #[cfg(feature = "redis")]
    pub(crate) fn is_connected(&self, concerns: impl Fn(&GroupName) -> bool) -> bool {
        let receiver = self.0.upgrade();
        receiver.is_some_and(|receiver| receiver.is_connected(&concerns))
    }
}
