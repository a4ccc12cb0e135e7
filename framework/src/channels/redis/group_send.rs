//! Sending to a group with the format of queues.

use super::{
    heartbeat::HEARTBEAT, host::Host, names::LayerNames, queue_sender::GroupHost, restart::SETTLE,
};
use crate::{
    channels::Envelope,
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName},
};
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

/// Sends an event to the members of a group.
///
/// If this process should be a member and is not, Redis has lost the group: its data was deleted,
/// or the key of the group was. Then all processes join again, which takes them as long as a
/// heartbeat; the event waits for that.
///
/// # Errors
/// Those of [`Publisher::send`](super::publisher::Publisher::send).
pub(super) async fn group_send(
    hosts: &[Host],
    names: &LayerNames,
    group: &GroupName,
    envelope: &Envelope,
    deadline: Instant,
) -> Result<()> {
    let host = &hosts[names.host_of_group(group)];
    let members = current_members(host, names, group, deadline).await?;
    let mut by_host = vec![Vec::new(); hosts.len()];
    for member in members {
        by_host[names.host_of(&member)].push(member);
    }
    let sends = hosts
        .iter()
        .zip(by_host)
        .filter(|(_, members)| !members.is_empty());
    // At once: a host that does not respond does not delay the members on others.
    let outcomes = join_all(sends.map(|(to, members)| {
        let groups = GroupHost {
            names: &host.names,
            link: &host.publisher.link,
        };
        to.queues
            .send_to(group, members, groups, envelope, deadline)
    }))
    .await;
    let is_only = outcomes.len() == 1;
    let is_unsent = |outcome: &Result<()>| {
        let error = outcome.as_ref().err();
        error.is_some_and(|error| error.kind() == ErrorKind::Layer)
    };
    let may_be_sent = !outcomes.iter().all(is_unsent);
    match outcomes.into_iter().find_map(Result::err) {
        None => Ok(()),
        Some(error) if may_be_sent && !is_only => {
            let message =
                "an event may have reached the members on some hosts, and not those on others";
            Err(Error::new(ErrorKind::Unconfirmed, message).with_source(error))
        }
        Some(error) => Err(error),
    }
}

/// Returns the members of a group, this process among them if it should be.
async fn current_members(
    host: &Host,
    names: &LayerNames,
    group: &GroupName,
    deadline: Instant,
) -> Result<Vec<ChannelName>> {
    let Host {
        subscriptions,
        queues,
        ..
    } = host;
    let activation = subscriptions.activation(group);
    let members = queues.members(group, deadline).await?;
    let is_missing = !members.iter().any(|member| names.is_own(member));
    // It may have left meanwhile, and joined again.
    if !is_missing || activation.is_none() || subscriptions.activation(group) != activation {
        return Ok(members);
    }
    subscriptions.renew();
    let settled = Instant::now() + HEARTBEAT + SETTLE;
    sleep_until(settled.min(deadline)).await;
    queues.members(group, deadline).await
}
