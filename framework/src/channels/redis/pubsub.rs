//! The wire format of channels_redis' pub/sub layer.

use super::{
    connecting::{Connecting, Receiving},
    deliverer::Deliverer,
    names::Names,
    pending_gap::{Gap, PendingGap},
    publisher::{Command, Fate, Publisher},
    received::Received,
    restart::{self, Sending},
    subscriptions::{Registrar, Reply},
};
use crate::{channels::LocalChannels, error::Result, name::GroupName, redis_link::Up};
use bytes::Bytes;
use redis::{RedisResult, aio::MultiplexedConnection};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Starts to receive.
///
/// # Errors
/// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the connection fails.
pub(super) async fn receive(connecting: &Connecting<'_>) -> Result<Receiving> {
    let shared = connecting.shared;
    let local = shared.local.clone();
    let deliverer = Arc::new(Deliverer::new(
        local.clone(),
        shared.names.group_prefix.clone(),
        connecting.received.clone(),
        shared.coding.clone(),
    ));
    let link = connecting.open_receiver(deliverer.clone()).await?;
    let subscriber = Subscriber {
        local: local.clone(),
        deliverer,
        names: shared.names.clone(),
        pending_gap: PendingGap::default(),
    };
    let (subscriptions, subscribing) = (connecting.subscriptions.clone(), link.clone());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        subscriptions
            .maintain(&subscribing, &local, subscriber)
            .await;
    });
    Ok(Receiving {
        link,
        readiness: connecting.subscriptions.readiness().clone(),
        tasks,
    })
}

/// Publishes an event. `is_subscribed_here`: this process is subscribed to the channel.
///
/// # Errors
/// Those of [`Publisher::send`].
pub(super) async fn publish(
    publisher: &Publisher,
    channel: &str,
    event: Bytes,
    is_subscribed_here: bool,
) -> Result<()> {
    let publication = Publication {
        channel,
        event,
        is_subscribed_here,
    };
    publisher.send(&publication, publisher.deadline()).await
}

struct Publication<'a> {
    channel: &'a str,
    event: Bytes,
    is_subscribed_here: bool,
}

impl Command for Publication<'_> {
    type Reply = ();

    async fn send(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.channel).arg(&self.event[..]);
        publish.exec_async(connection).await
    }

    fn fate(&self, received: &Received, since: u64) -> Fate {
        let evidence = received.take_after(since, self.channel.as_bytes(), &self.event);
        Fate::after_the_end(evidence, self.is_subscribed_here)
    }
}

/// Subscribes to channels.
struct Subscriber {
    local: LocalChannels,
    deliverer: Arc<Deliverer>,
    names: Names,
    pending_gap: PendingGap,
}

impl Subscriber {
    fn channels_of(&self, groups: &[GroupName]) -> Vec<String> {
        groups
            .iter()
            .map(|group| self.names.of_group(group))
            .collect()
    }
}

impl Registrar for Subscriber {
    fn lost(&mut self) {
        self.pending_gap.lost(self.local.opened());
    }

    /// Redis forgets subscriptions only with their connection.
    fn forgotten(&mut self) {}

    /// Consumers are notified of a certain gap as the subscriptions are confirmed.
    async fn connected(&mut self, up: &Up) {
        let mut connection = up.connection.clone();
        let opened = self.local.opened();
        let connecting =
            self.pending_gap
                .connected(up, &mut connection, opened, Sending::Publishing);
        match connecting.await {
            // One of an earlier connection may still be expected.
            Gap::None => {}
            gap => self.deliverer.expect(gap),
        }
    }

    async fn confirmed(&mut self, up: &Up) {
        let gap = self.pending_gap.subscribed(up);
        let is_gap = matches!(gap, Gap::Suspected(_)) && {
            let mut connection = up.connection.clone();
            !restart::is_unused(&mut connection, Sending::Publishing).await
        };
        if let Some(notice) = self.deliverer.renewed().filter(|_| is_gap) {
            notice.tell(&self.local);
        }
    }

    fn register(&self, connection: &MultiplexedConnection) -> Reply {
        let (mut connection, pattern) = (connection.clone(), self.names.own_channels());
        Box::pin(async move { connection.psubscribe(pattern).await })
    }

    fn add(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> Reply {
        let (mut connection, channels) = (connection.clone(), self.channels_of(groups));
        Box::pin(async move { connection.subscribe(channels).await })
    }

    fn remove(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> Reply {
        let (mut connection, channels) = (connection.clone(), self.channels_of(groups));
        Box::pin(async move { connection.unsubscribe(channels).await })
    }
}
