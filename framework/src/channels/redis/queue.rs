//! The wire format of channels_redis' core layer.
//!
//! In a Cluster, where Python does not take part, the queue of a process is in one shard.

use super::{
    connecting::{LayerParts, ReceiverParts, ReceiverTasks, Receiving},
    heartbeat::HeartbeatKey,
    inbox::{Backpressure, QueueReader},
    membership_check::MembershipCheck,
    memberships::Memberships,
    readiness::Readiness,
};
use crate::{error::Result, name::ChannelName, redis_link::LinkNeeds};
use std::sync::Arc;

/// Starts to receive.
///
/// # Errors
/// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the connection fails.
pub(super) async fn receive(connecting: &ReceiverParts<'_>) -> Result<Receiving> {
    let LayerParts {
        local,
        coding,
        group_expiry,
        ..
    } = connecting.shared;
    let names = &connecting.names;
    let (subscriptions, commands) = (&connecting.subscriptions, &connecting.link);
    let proxies = &connecting.shared.proxies;
    let heartbeat = HeartbeatKey::new(names, coding.expiry);
    let reads_queue = connecting.shared.names.reads_queue_on(connecting.number);
    let check = MembershipCheck::new(names, proxies.clone());
    let mut memberships = Memberships::new(
        local.clone(),
        names,
        connecting.part(),
        proxies.clone(),
        heartbeat.clone(),
        *group_expiry,
    );
    let mut tasks = ReceiverTasks::default();
    let (link, readiness) = if reads_queue {
        let inbox = inbox(connecting).await?;
        let receiving = (inbox.link.clone(), inbox.readiness.clone());
        tasks.spawn(async move { inbox.read().await });
        receiving
    } else {
        memberships = memberships.alone();
        (commands.clone(), subscriptions.readiness().clone())
    };
    let (maintained, link_of_commands, members) =
        (subscriptions.clone(), commands.clone(), local.clone());
    tasks.spawn(async move {
        maintained
            .maintain(&link_of_commands, &members, memberships)
            .await;
    });
    let (renewed, link_of_commands, group_expiry) =
        (subscriptions.clone(), commands.clone(), *group_expiry);
    tasks.spawn(async move {
        heartbeat
            .renew_forever(&link_of_commands, &renewed, check, group_expiry)
            .await;
    });
    Ok(Receiving {
        link,
        readiness,
        tasks,
    })
}

/// Returns the reader of this process' queue.
async fn inbox(connecting: &ReceiverParts<'_>) -> Result<QueueReader> {
    let shared = connecting.shared;
    let own_channel = ChannelName::new(format!("{}!", shared.names.process))?;
    let backpressure = Backpressure(shared.local.clone());
    Ok(QueueReader {
        link: connecting
            .open_receiver(Arc::new(backpressure), LinkNeeds::EndOfPrevious)
            .await?,
        queue: connecting.names.own_queue(),
        capacity: shared.coding.capacities.of(&own_channel),
        local: shared.local.clone(),
        proxies: shared.proxies.clone(),
        names: shared.names.clone(),
        subscriptions: connecting.subscriptions.clone(),
        subscriptions_of_hosts: shared.subscriptions.clone(),
        readiness: Arc::new(Readiness::new()),
        received: connecting.received.clone(),
        coding: shared.coding.clone(),
    })
}
