//! Sending with the pub/sub format.

use super::{
    coding::{Coding, Recipients},
    host::Host,
    names::LayerNames,
    publisher::{Command, Fate, Purpose},
    received::ReceivedLog,
};
use crate::{
    channels::Envelope,
    error::Result,
    name::{ChannelName, GroupName},
    redis_link::Up,
};
use bytes::Bytes;
use redis::RedisResult;
use tokio::time::Instant;

/// Publishes an event for a group.
///
/// # Errors
/// Those of [`Publisher::send`](super::publisher::Publisher::send), and
/// [`ErrorKind::Codec`](crate::ErrorKind::Codec).
pub(super) async fn group_send(
    host: &Host,
    coding: &Coding,
    group: &GroupName,
    envelope: &Envelope,
    deadline: Instant,
) -> Result<()> {
    let publication = Publication {
        is_sharded: host.names.are_sharded(),
        channel: &host.names.of_group(group),
        event: coding.encode_published(envelope)?,
        is_subscribed_here: host.subscriptions.is_active(group),
    };
    host.publisher.send(&publication, deadline).await
}

/// Publishes an event for one channel.
///
/// # Errors
/// Those of [`Publisher::send`](super::publisher::Publisher::send), and
/// [`ErrorKind::Codec`](crate::ErrorKind::Codec).
pub(super) async fn send(
    host: &Host,
    names: &LayerNames,
    coding: &Coding,
    channel: &ChannelName,
    envelope: &Envelope,
    deadline: Instant,
) -> Result<()> {
    let is_sharded = host.names.are_sharded();
    let (name, event) = if is_sharded {
        let event = coding.encode_entry(envelope, Recipients::Channel(channel))?;
        (host.names.sharded(channel), event.into())
    } else {
        (channel.to_string(), coding.encode_published(envelope)?)
    };
    let publication = Publication {
        is_sharded,
        channel: &name,
        event,
        is_subscribed_here: names.is_own(channel),
    };
    host.publisher.send(&publication, deadline).await
}

struct Publication<'a> {
    is_sharded: bool,
    channel: &'a str,
    event: Bytes,
    /// Whether this process is subscribed to the channel.
    is_subscribed_here: bool,
}

impl Command for Publication<'_> {
    const PURPOSE: Purpose = Purpose::SEND_EVENT;
    type Reply = ();

    async fn send(&self, up: &mut Up) -> RedisResult<()> {
        let mut publish = redis::cmd(if self.is_sharded {
            "SPUBLISH"
        } else {
            "PUBLISH"
        });
        publish.arg(self.channel).arg(&self.event[..]);
        publish.exec_async(&mut up.connection).await
    }

    fn fate(&self, received: &ReceivedLog, since: u64) -> Fate {
        let evidence = received.take_after(since, self.channel.as_bytes(), &self.event);
        Fate::after_the_end(evidence, self.is_subscribed_here)
    }
}
