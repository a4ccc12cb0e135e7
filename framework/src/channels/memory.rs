//! The in-memory channel layer.

use super::{
    ChannelLayer, Channels, Envelope, LocalChannels, LocalPresence, LocalQueues, LocalTopics,
    MAILBOX_CAPACITY, Mailbox, PRESENCE_GRACE, Position, TopicHistory, TopicPost, TopicQuery,
    local_presence::LONGEST_PRESENCE_TIME,
};
use crate::{
    error::Result,
    name::{ChannelName, GroupName},
};
use async_trait::async_trait;
use std::time::Duration;

/// A channel layer inside one process, for development, tests, and services that run as a single
/// process.
///
/// [`Channels::in_memory`](super::Channels::in_memory) creates one with the default bounds. Others:
///
/// ```
/// use seaway::{Channels, channels::InMemoryChannelLayer};
/// use std::time::Duration;
///
/// let layer = InMemoryChannelLayer::with_mailbox_capacity(10)
///     .worker_queues(1_000, Duration::from_secs(600));
/// let channels = Channels::new(layer);
/// ```
#[derive(Clone, Debug)]
pub struct InMemoryChannelLayer {
    local: LocalChannels,
    queues: LocalQueues,
    presence: LocalPresence,
    topics: LocalTopics,
}

impl Default for InMemoryChannelLayer {
    fn default() -> Self {
        Self::with_mailbox_capacity(MAILBOX_CAPACITY)
    }
}

impl Channels {
    /// Creates channels inside this process only.
    pub fn in_memory() -> Self {
        Self::new(InMemoryChannelLayer::default())
    }
}

impl InMemoryChannelLayer {
    /// Creates a layer whose mailboxes hold this many envelopes instead of
    /// [`MAILBOX_CAPACITY`](super::MAILBOX_CAPACITY).
    pub fn with_mailbox_capacity(capacity: usize) -> Self {
        let local = LocalChannels::new(capacity, |_| {});
        Self {
            queues: LocalQueues::default(),
            presence: LocalPresence::new(&local, PRESENCE_GRACE),
            local,
            topics: LocalTopics::default(),
        }
    }

    /// Sets how many jobs may wait in each worker queue, and for how long (default: 100
    /// ([`QUEUE_CAPACITY`](super::QUEUE_CAPACITY)) and 60 s ([`JOB_EXPIRY`](super::JOB_EXPIRY))).
    ///
    /// A job beyond the capacity is rejected with
    /// [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull); one that no worker takes in time
    /// is dropped and counted.
    #[must_use]
    pub fn worker_queues(mut self, capacity: usize, expiry: Duration) -> Self {
        self.queues = LocalQueues::new(capacity, expiry);
        self
    }

    /// Sets how long people are kept [present](crate::Presence) after their last connection has
    /// closed (default: 3 s ([`PRESENCE_GRACE`]), at most 365 days).
    ///
    /// Call it before the layer is used.
    ///
    /// ```
    /// use seaway::{Channels, channels::InMemoryChannelLayer};
    /// use std::time::Duration;
    ///
    /// let layer = InMemoryChannelLayer::default().presence_grace(Duration::from_secs(10));
    /// let channels = Channels::new(layer);
    /// ```
    #[must_use]
    pub fn presence_grace(mut self, grace: Duration) -> Self {
        self.local = LocalChannels::new(self.local.capacity(), |_| {});
        self.presence = LocalPresence::new(&self.local, grace.min(LONGEST_PRESENCE_TIME));
        self
    }

    /// Returns the worker queues, for inspection in a test.
    pub fn queues(&self) -> &LocalQueues {
        &self.queues
    }
}

#[async_trait]
impl ChannelLayer for InMemoryChannelLayer {
    async fn open(&self) -> Result<Mailbox> {
        self.local.open("memory")
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        if channel.is_worker_queue() {
            return self.queues.send(channel, envelope);
        }
        self.local.deliver(channel, envelope);
        Ok(())
    }

    async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>> {
        self.queues.receive(channel, wait).await
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.join(group, channel).map(drop)
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
        self.local.deliver_group(group, &envelope);
        Ok(())
    }

    async fn members(&self, group: &GroupName) -> Result<u64> {
        Ok(self.local.members(group) as u64)
    }

    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position> {
        Ok(self.topics.send(&self.local, topic, post))
    }

    async fn topic_read(&self, topic: &GroupName, query: TopicQuery) -> Result<TopicHistory> {
        Ok(self.topics.read(topic, &query))
    }

    fn local(&self) -> &LocalChannels {
        &self.local
    }

    fn presence(&self) -> Option<&LocalPresence> {
        Some(&self.presence)
    }
}
