//! The address of a consumer: its mailbox, which is opened on demand and leaves its groups on drop.

use crate::{
    channels::{
        Channels, Departure, Event, Group, Mailbox, Meta, Position, Presence, PresenceEntry, Topic,
    },
    error::Result,
    name::IntoGroupName,
};
use std::{
    mem,
    sync::{Mutex, MutexGuard},
};
use tokio::sync::OnceCell;

/// A consumer's mailbox, opened on demand: most HTTP requests need none.
pub(super) struct ConsumerAddress {
    pub(super) channels: Channels,
    mailbox: OnceCell<Mailbox>,
    /// The presences to enter after `connect`.
    entries: Mutex<Vec<PresenceEntry>>,
}

impl ConsumerAddress {
    pub(super) fn new(channels: Channels) -> Self {
        Self {
            channels,
            mailbox: OnceCell::new(),
            entries: Mutex::default(),
        }
    }

    pub(super) fn mailbox(&self) -> Option<&Mailbox> {
        self.mailbox.get()
    }

    /// Returns the mailbox, and opens it if it is not open yet.
    pub(super) async fn open(&self) -> Result<&Mailbox> {
        self.mailbox.get_or_try_init(|| self.channels.open()).await
    }

    pub(super) async fn join<E: Event>(&self, group: impl IntoGroupName) -> Result<Group<E>> {
        let group = self.channels.group(group)?;
        group.add(self.open().await?.name()).await?;
        Ok(group)
    }

    /// Makes the consumer present.
    pub(super) async fn present<M: Meta>(
        &self,
        group: impl IntoGroupName,
        key: String,
        meta: &M,
    ) -> Result<Presence<M>> {
        let channel = self.open().await?.name();
        self.channels.present(group, channel, key, meta).await
    }

    /// Queues a presence, which is entered after `connect` has succeeded.
    pub(super) async fn present_once_accepted<M: Meta>(
        &self,
        group: impl IntoGroupName,
        key: String,
        meta: &M,
    ) -> Result<Presence<M>> {
        let channel = self.open().await?.name();
        let (entry, presence) = self.channels.entry(group, channel, key, meta)?;
        self.entries().push(entry);
        Ok(presence)
    }

    /// Enters the queued presences, in the order of the calls.
    pub(super) async fn enter(&self) -> Result<()> {
        let entries = mem::take(&mut *self.entries());
        for entry in entries {
            entry
                .enter(&self.channels, self.open().await?.name())
                .await?;
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, Vec<PresenceEntry>> {
        let lock = self.entries.lock();
        lock.expect("no code panics while it holds this lock")
    }

    /// Returns what the end of the connection waits for.
    pub(super) fn departure(&self) -> Departure {
        self.channels.departure(self.mailbox()?.name())
    }

    /// Leaves the groups. Returns what the end of the connection waits for.
    pub(super) fn leave(self) -> Departure {
        self.departure()
    }

    pub(super) async fn resume<E: Event>(
        &self,
        topic: &Topic<E>,
        since: Option<Position>,
    ) -> Result<()> {
        topic.resume(self.open().await?.name(), since).await
    }

    pub(super) fn into_parts(self) -> (Channels, Option<Mailbox>) {
        (self.channels, self.mailbox.into_inner())
    }
}
