//! The wire format of channels_redis' pub/sub layer, and what replaces it in a Cluster.
//!
//! A Cluster sends what is published to all its nodes, unless it is published to a sharded channel
//! (Redis 7): only the nodes that have the slot of its name know those. There are no patterns of
//! them, so all channels of a process share one, and an event for one channel names it, as in a
//! queue.

use super::{
    connecting::{ReceiverParts, ReceiverTasks, Receiving},
    deliverer::Deliverer,
    host_part::HostPart,
    names::HostNames,
    pending_gap::{Gap, PendingGap},
    restart::WireCommands,
    subscriptions::{Added, CommandFuture, Registrar},
};
use crate::{
    channels::LocalChannels,
    error::Result,
    name::GroupName,
    redis_link::{LinkNeeds, Up},
};
use futures_util::TryFutureExt;
use redis::aio::MultiplexedConnection;
use std::sync::Arc;

/// Starts to receive.
///
/// # Errors
/// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the connection fails.
pub(super) async fn receive(connecting: &ReceiverParts<'_>) -> Result<Receiving> {
    let shared = connecting.shared;
    let local = shared.local.clone();
    let deliverer = Arc::new(Deliverer::new(
        local.clone(),
        &connecting.names,
        connecting.part(),
        connecting.subscriptions.clone(),
        connecting.received.clone(),
        shared.coding.clone(),
    ));
    let link = connecting
        .open_receiver(deliverer.clone(), LinkNeeds::Primary)
        .await?;
    let subscriber = Subscriber {
        local: local.clone(),
        deliverer,
        names: connecting.names.clone(),
        part: connecting.part(),
        pending_gap: PendingGap::new(WireCommands::Publishing),
    };
    let (subscriptions, subscribing) = (connecting.subscriptions.clone(), link.clone());
    let mut tasks = ReceiverTasks::default();
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

/// Subscribes to channels.
struct Subscriber {
    local: LocalChannels,
    deliverer: Arc<Deliverer>,
    names: HostNames,
    part: HostPart,
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
    fn part(&self) -> &HostPart {
        &self.part
    }

    fn lost(&mut self) {
        self.pending_gap.lost(self.local.opened());
    }

    /// Redis loses subscriptions only with their connection.
    fn lost_by_redis(&mut self) {}

    /// Consumers are notified of a certain gap as the subscriptions are confirmed.
    async fn connected(&mut self, up: &Up) {
        match self.pending_gap.connected(up, self.local.opened()).await {
            // One of an earlier connection may still be expected.
            Gap::None => {}
            gap => self.deliverer.expect(gap),
        }
    }

    async fn confirmed(&mut self, up: &Up) {
        let gap = self.pending_gap.settled(up).await;
        if let Some(notice) = self.deliverer.renewed().and(gap) {
            notice.notify(&self.local, &self.part);
        }
    }

    fn register(&self, connection: &MultiplexedConnection) -> CommandFuture {
        if self.names.are_sharded() {
            return sharded(connection, "SSUBSCRIBE", &[self.names.own_sharded()]);
        }
        let (mut connection, pattern) = (connection.clone(), self.names.own_channels());
        Box::pin(async move { connection.psubscribe(pattern).await })
    }

    fn add(
        &self,
        connection: &MultiplexedConnection,
        groups: &[GroupName],
    ) -> CommandFuture<Added> {
        let channels = self.channels_of(groups);
        let adding = if self.names.are_sharded() {
            sharded(connection, "SSUBSCRIBE", &channels)
        } else {
            let mut connection = connection.clone();
            Box::pin(async move { connection.subscribe(channels).await })
        };
        Box::pin(adding.map_ok(|()| Added::Confirmed))
    }

    fn remove(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> CommandFuture {
        let channels = self.channels_of(groups);
        if self.names.are_sharded() {
            return sharded(connection, "SUNSUBSCRIBE", &channels);
        }
        let mut connection = connection.clone();
        Box::pin(async move { connection.unsubscribe(channels).await })
    }
}

/// Runs a command for each of these sharded channels: each is confirmed once.
fn sharded(
    connection: &MultiplexedConnection,
    command: &str,
    channels: &[String],
) -> CommandFuture {
    let mut connection = connection.clone();
    let mut pipe = redis::pipe();
    for channel in channels {
        pipe.cmd(command).arg(channel).ignore();
    }
    Box::pin(async move { pipe.exec_async(&mut connection).await })
}
