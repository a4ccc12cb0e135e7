//! A layer whose transport loses events, and delivers some in another order.

use async_trait::async_trait;
use seaway::{
    ChannelName, Error, ErrorKind, GroupName, Position, Result,
    channels::{
        ChannelLayer, Envelope, LocalChannels, LocalTopics, Mailbox, TopicHistory, TopicPost,
        TopicQuery,
    },
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// A layer whose transport loses events, and delivers some in another order.
#[derive(Clone, Default)]
pub(super) struct Lossy {
    pub(super) local: LocalChannels,
    topics: LocalTopics,
    /// Has no members: topics deliver to it in place of `local`.
    nowhere: LocalChannels,
    pub(super) faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
pub(super) struct Faults {
    /// What becomes of the next events.
    fates: VecDeque<Fate>,
    held: Vec<Envelope>,
    pub(super) reads: usize,
    /// The number of events that were read.
    pub(super) read: usize,
    /// The number of reads that fail.
    pub(super) failures: usize,
    /// How long a read takes.
    pub(super) delay: Duration,
}

pub(super) enum Fate {
    Lost,
    /// Delivered after the next one.
    Late,
}

#[async_trait]
impl ChannelLayer for Lossy {
    fn local(&self) -> &LocalChannels {
        &self.local
    }

    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("here")
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
        self.local.deliver(channel, envelope);
        Ok(())
    }

    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.join(group, channel).map(drop)
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.local.deliver_group(group, &envelope);
        Ok(())
    }

    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position, Error> {
        let envelope = post.envelope().clone();
        let position = self.topics.send(&self.nowhere, topic, post);
        let envelope = envelope.at(&position);
        let mut faults = self.faults.lock().unwrap();
        match faults.fates.pop_front() {
            Some(Fate::Lost) => {}
            Some(Fate::Late) => faults.held.push(envelope),
            None => {
                self.local.deliver_group(topic, &envelope);
                for late in faults.held.drain(..) {
                    self.local.deliver_group(topic, &late);
                }
            }
        }
        Ok(position)
    }

    async fn topic_read(
        &self,
        topic: &GroupName,
        query: TopicQuery,
    ) -> Result<TopicHistory, Error> {
        let delay = self.faults.lock().unwrap().delay;
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let mut faults = self.faults.lock().unwrap();
        faults.reads += 1;
        if let Some(left) = faults.failures.checked_sub(1) {
            faults.failures = left;
            return Err(Error::new(ErrorKind::Layer, "the store is down"));
        }
        let history = self.topics.read(topic, &query);
        faults.read += history.events().len();
        Ok(history)
    }
}

impl Lossy {
    pub(super) fn next(&self, fates: impl IntoIterator<Item = Fate>) {
        self.faults.lock().unwrap().fates = fates.into_iter().collect();
    }
}
