//! A channel layer around another one.

use async_trait::async_trait;
use seaway::{
    ChannelName, Error, GroupName,
    channels::{ChannelLayer, Envelope, InMemoryChannelLayer, LocalChannels, Mailbox},
};
use std::time::Duration;
use tokio::time::sleep;

/// A layer with the methods alone that it must have, which sends events to groups after a delay.
#[derive(Default)]
pub struct Around {
    pub layer: InMemoryChannelLayer,
    pub delay: Duration,
}

#[async_trait]
impl ChannelLayer for Around {
    fn inner(&self) -> Option<&dyn ChannelLayer> {
        Some(&self.layer)
    }
    fn local(&self) -> &LocalChannels {
        self.layer.local()
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.layer.open().await
    }
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        self.layer.send(channel, envelope).await
    }
    async fn receive(
        &self,
        channel: &ChannelName,
        wait: Duration,
    ) -> Result<Option<Envelope>, Error> {
        self.layer.receive(channel, wait).await
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.layer.group_add(group, channel).await
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.layer.group_discard(group, channel).await
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        sleep(self.delay).await;
        self.layer.group_send(group, envelope).await
    }
}
