//! The wire format of channels_redis' core layer.

use super::{
    connecting::{Connecting, Receiving, Shared},
    inbox::{Backpressure, Inbox},
    membership_check::MembershipCheck,
    memberships::Memberships,
    names::Proxies,
    readiness::Readiness,
    sign_of_life::Life,
};
use crate::{error::Result, name::ChannelName};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Starts to receive.
///
/// # Errors
/// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the connection fails.
pub(super) async fn receive(connecting: &Connecting<'_>) -> Result<Receiving> {
    let Shared {
        local,
        names,
        coding,
        group_expiry,
        ..
    } = connecting.shared;
    let subscriptions = &connecting.subscriptions;
    let link = connecting
        .open_receiver(Arc::new(Backpressure(local.clone())))
        .await?;
    let readiness = Arc::new(Readiness::new());
    let proxies = Arc::new(Proxies::new(names));
    let own_channel = ChannelName::new(format!("{}!", names.process))?;
    let inbox = Inbox {
        link: link.clone(),
        commands: connecting.link.clone(),
        queue: names.own_queue(),
        capacity: coding.capacities.of(&own_channel),
        local: local.clone(),
        proxies: proxies.clone(),
        names: names.clone(),
        subscriptions: subscriptions.clone(),
        subscriptions_of_hosts: connecting.shared.subscriptions.clone(),
        readiness: readiness.clone(),
        received: connecting.received.clone(),
        coding: coding.clone(),
    };
    let life = Life::new(names, coding.expiry);
    let check = MembershipCheck::new(names, proxies.clone());
    let memberships = Memberships::new(local.clone(), names, proxies, life.clone(), *group_expiry);

    let mut tasks = JoinSet::new();
    tasks.spawn(async move { inbox.read().await });
    let (maintained, commands, members) = (
        subscriptions.clone(),
        connecting.link.clone(),
        local.clone(),
    );
    tasks.spawn(async move { maintained.maintain(&commands, &members, memberships).await });
    let (renewed, commands, group_expiry) = (
        subscriptions.clone(),
        connecting.link.clone(),
        *group_expiry,
    );
    tasks.spawn(async move { life.keep(&commands, &renewed, check, group_expiry).await });
    Ok(Receiving {
        link,
        readiness,
        tasks,
    })
}
