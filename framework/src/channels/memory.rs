//! The in-memory channel layer.

use super::{ChannelLayer, Channels, Envelope, LocalChannels, Mailbox};
use crate::{
    error::Result,
    name::{ChannelName, GroupName},
};
use async_trait::async_trait;

/// A channel layer inside one process, for development, tests, and services that run as a single
/// process.
///
/// [`Channels::in_memory`](super::Channels::in_memory) creates one. A test that inspects
/// memberships creates its own:
///
/// ```
/// use seaway::{Channels, GroupName, channels::InMemoryChannelLayer};
///
/// let layer = InMemoryChannelLayer::with_mailbox_capacity(10);
/// let channels = Channels::new(layer.clone());
/// assert_eq!(layer.local().members(&GroupName::new("room").unwrap()), 0);
/// ```
#[derive(Clone, Debug, Default)]
pub struct InMemoryChannelLayer {
    local: LocalChannels,
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
        Self {
            local: LocalChannels::new(capacity, |_| {}),
        }
    }

    /// Returns the mailboxes and memberships, for inspection in a test.
    pub fn local(&self) -> &LocalChannels {
        &self.local
    }
}

#[async_trait]
impl ChannelLayer for InMemoryChannelLayer {
    async fn open(&self) -> Result<Mailbox> {
        self.local.open("memory")
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        self.local.deliver(channel, envelope);
        Ok(())
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

    fn dropped(&self) -> u64 {
        self.local.dropped()
    }
}
