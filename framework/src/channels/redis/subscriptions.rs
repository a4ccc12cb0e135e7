//! The subscriptions of this process, kept equal to what its members have joined, whatever happens
//! to the connection.

use super::{
    host_part::HostPart,
    readiness::{Readiness, Status},
    subscription_table::{Plan, SubscriptionTable},
};
use crate::{
    channels::{LocalChannels, Membership},
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    name::{ChannelName, GroupName},
    redis_link::{
        CommandFault, Link, LinkState, NOT_YET, Repeat, Up, error_text, refusal_code, remedy,
    },
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout_at},
};

/// The number of groups in one command: a reconnect with 100,000 groups must not be one giant
/// command.
const CHUNK: usize = 500;

/// The pause before subscriptions that Redis refused are requested again.
const RETRY: Duration = Duration::from_secs(1);

/// The subscriptions of this process.
///
/// This is not a queue of commands: each group has a phase and at most one command in flight; when
/// Redis responds to it, the group is checked again. So joins and leaves in any order end in the
/// state wanted last, and a late response delays only those that wait for its groups.
pub(super) struct Subscriptions {
    table: Mutex<SubscriptionTable>,
    /// Notified when groups are due to be checked.
    changed: Notify,
    readiness: Arc<Readiness>,
    /// Whether all groups are to be subscribed to again, although the connection is the same.
    is_renewal_due: AtomicBool,
}

/// The commands by which Redis learns what this process subscribes to, and what else is done then.
pub(super) trait Registrar: Send {
    /// Returns the groups and channels that lose events with this connection.
    fn part(&self) -> &HostPart;

    /// Handles the loss of the connection.
    fn lost(&mut self);

    /// Handles that Redis has lost groups: all are about to be subscribed to again.
    fn lost_by_redis(&mut self);

    /// Handles a connection that has no subscriptions yet.
    fn connected(&mut self, up: &Up) -> impl Future<Output = ()> + Send;

    /// Handles the confirmation of all subscriptions.
    fn confirmed(&mut self, up: &Up) -> impl Future<Output = ()> + Send;

    /// Subscribes to the channels of this process.
    fn register(&self, connection: &MultiplexedConnection) -> CommandFuture;

    /// Subscribes to groups.
    fn add(&self, connection: &MultiplexedConnection, groups: &[GroupName])
    -> CommandFuture<Added>;

    /// Unsubscribes from groups.
    fn remove(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> CommandFuture;
}

/// Redis' reply to a command.
pub(super) type CommandFuture<T = ()> = BoxFuture<'static, RedisResult<T>>;

/// The subscriptions to groups after a command that adds them.
pub(super) enum Added {
    Confirmed,
    /// Redis has refused to add them, with this error, and still has earlier ones.
    Kept(RedisError),
}

/// A command in flight, and its outcome.
type SubscriptionCommand = BoxFuture<'static, SubscriptionOutcome>;

enum SubscriptionOutcome {
    Subscribed(Vec<GroupName>, RedisResult<Added>),
    Unsubscribed(Vec<GroupName>),
    OwnChannels(RedisResult<()>),
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self {
            table: Mutex::default(),
            changed: Notify::new(),
            readiness: Arc::new(Readiness::new()),
            is_renewal_due: AtomicBool::new(false),
        }
    }

    /// Adds a channel of this process to a group, and waits until Redis has confirmed that this
    /// process is subscribed to the group.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel is of another process, Redis refuses, or has not
    /// confirmed it by the deadline. Then the channel is not a member.
    pub(super) async fn join(
        &self,
        local: &LocalChannels,
        group: &GroupName,
        channel: &ChannelName,
        deadline: Instant,
    ) -> Result<()> {
        let membership = local.join(group, channel)?;
        // Undone if Redis does not confirm it or the caller stops waiting; but only what this call
        // has added.
        let mut undo = UnconfirmedMembership {
            local,
            group,
            channel,
            is_due: membership != Membership::Already,
        };
        self.confirm(group, deadline).await?;
        undo.is_due = false;
        Ok(())
    }

    async fn confirm(&self, group: &GroupName, deadline: Instant) -> Result<()> {
        let Some(confirmed) = self.table().wait_for(group) else {
            return Ok(());
        };
        self.changed.notify_one();
        let why = match timeout_at(deadline, confirmed).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) => Arc::from("the channel layer is shutting down"),
            Err(_) => self
                .readiness
                .interruption()
                .unwrap_or_else(|| Arc::from("Redis has not confirmed the subscription in time")),
        };
        Err(Error::new(
            ErrorKind::Layer,
            format!("not subscribed to {group}: {why}"),
        ))
    }

    /// Returns whether Redis has confirmed that this process is subscribed to the group.
    pub(super) fn is_active(&self, group: &GroupName) -> bool {
        self.activation(group).is_some()
    }

    /// Returns the number of the subscription to the group that Redis has confirmed, if it has. Two
    /// equal numbers mean that this process was subscribed all the time between.
    pub(super) fn activation(&self, group: &GroupName) -> Option<u64> {
        self.table().activation(group)
    }

    /// Returns all groups whose subscription Redis has confirmed, with the numbers of
    /// [`activation`](Self::activation).
    pub(super) fn active(&self) -> Vec<(GroupName, u64)> {
        self.table().active()
    }

    /// Returns whether this process has requested a subscription to the group, and not its end.
    pub(super) fn needs(&self, group: &GroupName) -> bool {
        self.table().needs(group)
    }

    /// Returns whether Redis knows what this process subscribes to.
    pub(super) fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Subscribes to all groups again and notifies consumers, because Redis has lost some.
    pub(super) fn renew(&self) {
        self.is_renewal_due.store(true, Ordering::Release);
        let reason = "Redis has lost the groups of this process";
        self.mark_interrupted(Status::Interrupted(Arc::from(reason)));
        self.changed.notify_one();
    }

    /// Subscribes to all groups again before they expire in Redis.
    pub(super) fn refresh(&self) {
        self.table().refresh();
        self.changed.notify_one();
    }

    /// Returns whether Redis has refused a part of the last [`refresh`](Self::refresh).
    pub(super) fn is_refresh_refused(&self) -> bool {
        self.table().is_refresh_refused()
    }

    /// Records that Redis has a subscription to a group that has no member here.
    pub(super) fn found_stale(&self, group: &GroupName) {
        if self.table().add_stale(group) {
            self.changed.notify_one();
        }
    }

    /// Records that the group's last member has left.
    pub(super) fn emptied(&self, group: &GroupName) {
        if self.table().check(group) {
            self.changed.notify_one();
        }
    }

    /// Keeps the subscriptions equal to the groups with members. Runs as long as the layer lives.
    pub(super) async fn maintain(
        &self,
        link: &Link,
        local: &LocalChannels,
        mut registrar: impl Registrar,
    ) {
        let mut states = link.watch();
        let mut repeat = Repeat::default();
        loop {
            let state = states.borrow_and_update().clone();
            let pause = match state {
                LinkState::Down(down) => {
                    self.mark_interrupted(Status::Interrupted(down.reason().clone()));
                    registrar.lost();
                    false
                }
                LinkState::Up(up) => {
                    let serving = Serving {
                        subscriptions: self,
                        link,
                        up: &up,
                        local,
                        registrar: &mut registrar,
                        commands: FuturesUnordered::new(),
                    };
                    match serving.run(&mut states).await {
                        Ok(()) => false,
                        Err(error) => {
                            let status = refused(link, &up, &error);
                            if let Status::Refused(reason) | Status::Interrupted(reason) = &status
                                && repeat.is_due(reason)
                            {
                                tracing::warn!(%reason, "cannot subscribe; retrying");
                            }
                            self.mark_interrupted(status);
                            true
                        }
                    }
                }
            };
            if pause {
                tokio::select! {
                    () = sleep(RETRY) => continue,
                    changed = states.changed() => if changed.is_err() { return },
                }
                continue;
            }
            if !self.next_state(&mut states, local).await {
                return;
            }
        }
    }

    /// Waits until the link has another state, and removes groups without members meanwhile.
    /// Returns `false` once the link has ended, as when the runtime shuts down.
    async fn next_state<S>(&self, states: &mut watch::Receiver<S>, local: &LocalChannels) -> bool {
        loop {
            match states.has_changed() {
                Ok(true) => return true,
                Ok(false) => {}
                Err(_) => return false,
            }
            tokio::select! {
                changed = states.changed() => match changed {
                    Ok(()) => states.mark_changed(),
                    Err(_) => return false,
                },
                () = self.changed.notified() => {
                    self.table().prune(|group| local.has_members(group));
                }
            }
        }
    }

    /// Records that nothing is received any more. Waiters keep waiting until their deadline.
    fn mark_interrupted(&self, status: Status) {
        self.readiness.set(status);
        self.table().interrupt();
    }

    fn table(&self) -> MutexGuard<'_, SubscriptionTable> {
        self.table
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// The service of the subscriptions on one connection.
struct Serving<'a, R> {
    subscriptions: &'a Subscriptions,
    link: &'a Link,
    up: &'a Up,
    local: &'a LocalChannels,
    registrar: &'a mut R,
    /// The commands in flight.
    commands: FuturesUnordered<SubscriptionCommand>,
}

impl<R: Registrar> Serving<'_, R> {
    /// Subscribes again to all groups with members, then follows their changes, until the
    /// connection is lost.
    ///
    /// # Errors
    /// The error with which Redis refused a subscription that this process needs.
    async fn run(mut self, states: &mut watch::Receiver<LinkState>) -> Result<(), RedisError> {
        let (subscriptions, up) = (self.subscriptions, self.up);
        if subscriptions.is_renewal_due.swap(false, Ordering::AcqRel) {
            self.registrar.lost_by_redis();
        }
        subscriptions.table().reset();
        self.registrar.connected(up).await;

        let registering = self.registrar.register(&up.connection);
        let registering = registering.map(SubscriptionOutcome::OwnChannels);
        self.commands.push(Box::pin(registering));
        self.send_due();
        // All at once, so that a process with many groups is back after a few round trips.
        while let Some(outcome) = tokio::select! {
            outcome = self.commands.next() => outcome,
            () = connection_ended(states, up) => return Ok(()),
        } {
            if let Some(error) = self.refusal(&outcome) {
                return match self.link.fault(up.generation, error) {
                    Some(CommandFault::Broken | CommandFault::Moved) => Ok(()),
                    Some(CommandFault::NotYet) | None => Err(error.clone()),
                };
            }
            self.complete(outcome);
        }
        self.registrar.confirmed(up).await;
        if up.loss.is_some() {
            self.local.reread_topics(self.registrar.part());
        }
        subscriptions.readiness.set(Status::Restored {
            generation: up.generation,
            run_id: up.run_id.clone(),
        });
        let mut retry_at = Instant::now() + RETRY;
        loop {
            let has_blocked = subscriptions.table().has_blocked();
            tokio::select! {
                () = connection_ended(states, up) => return Ok(()),
                () = sleep_until(retry_at), if has_blocked => {
                    retry_at = Instant::now() + RETRY;
                    subscriptions.table().retry_blocked();
                }
                () = subscriptions.changed.notified() => {
                    if subscriptions.is_renewal_due.load(Ordering::Acquire) {
                        states.mark_changed();
                        return Ok(());
                    }
                }
                Some(outcome) = self.commands.next() => self.complete(outcome),
            }
            self.send_due();
        }
    }

    /// Returns the error that keeps this process from receiving what its members have joined: a
    /// broken connection, or a refused subscription that Redis allowed before. The refusal of a
    /// group that only new members wait for fails those members alone, and that of a group whose
    /// key another program has written concerns this group alone.
    fn refusal<'o>(&self, outcome: &'o SubscriptionOutcome) -> Option<&'o RedisError> {
        match outcome {
            SubscriptionOutcome::OwnChannels(Err(error)) => Some(error),
            SubscriptionOutcome::Subscribed(groups, Err(error)) => {
                match self.link.fault(self.up.generation, error) {
                    Some(CommandFault::Broken | CommandFault::Moved) => return Some(error),
                    Some(CommandFault::NotYet) => return None,
                    None if groups.len() > 1 => return None,
                    None if refusal_code(error).as_deref() == Some("WRONGTYPE") => return None,
                    None => {}
                }
                let group = &groups[0];
                self.has_old_members(group).then_some(error)
            }
            _ => None,
        }
    }

    /// Sends the commands that the due groups need.
    fn send_due(&self) {
        let has_members = |group: &GroupName| self.local.has_members(group);
        let Plan {
            subscribe,
            unsubscribe,
        } = self.subscriptions.table().plan(has_members);
        for chunk in subscribe.chunks(CHUNK) {
            self.commands.push(self.subscribe_to(chunk.to_vec()));
        }
        for chunk in unsubscribe.chunks(CHUNK) {
            self.commands.push(self.unsubscribe_from(chunk.to_vec()));
        }
    }

    fn subscribe_to(&self, groups: Vec<GroupName>) -> SubscriptionCommand {
        let adding = self.registrar.add(&self.up.connection, &groups);
        Box::pin(adding.map(|outcome| SubscriptionOutcome::Subscribed(groups, outcome)))
    }

    fn unsubscribe_from(&self, groups: Vec<GroupName>) -> SubscriptionCommand {
        let removing = self.registrar.remove(&self.up.connection, &groups);
        // Successful or not, the groups are checked again; a broken connection has lost them anyway.
        Box::pin(removing.map(|_| SubscriptionOutcome::Unsubscribed(groups)))
    }

    /// Records the outcome of a command.
    fn complete(&self, outcome: SubscriptionOutcome) {
        let (subscriptions, local) = (self.subscriptions, self.local);
        let has_members = |group: &GroupName| local.has_members(group);
        match outcome {
            SubscriptionOutcome::OwnChannels(_) => {}
            SubscriptionOutcome::Subscribed(groups, Ok(added)) => {
                let blocked = match added {
                    Added::Confirmed => subscriptions.table().subscribed(groups),
                    Added::Kept(error) => {
                        warn_unrenewed(&groups, &error);
                        subscriptions.table().kept(groups)
                    }
                };
                // Events that were sent before the subscription are missing.
                for (group, since) in blocked {
                    local.interrupted_members(&group, local.opened(), since.elapsed());
                }
            }
            SubscriptionOutcome::Subscribed(groups, Err(error)) => {
                match self.link.fault(self.up.generation, &error) {
                    // Those that wait for it wait for the next connection.
                    Some(CommandFault::Broken | CommandFault::Moved) => {
                        subscriptions.table().refused(groups, None, has_members);
                    }
                    Some(CommandFault::NotYet) => {
                        let again = self.subscribe_to(groups);
                        self.commands
                            .push(Box::pin(sleep(NOT_YET).then(|()| again)));
                    }
                    // Redis refuses the whole command because of one group; the allowed ones must
                    // not fail with it.
                    None if groups.len() > 1 => {
                        for group in groups {
                            self.commands.push(self.subscribe_to(vec![group]));
                        }
                    }
                    None => {
                        let reason: Arc<str> = error_text(&error).into();
                        let group = groups[0].clone();
                        let has_old_members = self.has_old_members(&group);
                        let expiring =
                            subscriptions
                                .table()
                                .refused(groups, Some(reason), has_members);
                        warn_unrenewed(&expiring, &error);
                        if expiring.is_empty() && has_old_members {
                            self.block(group, &error);
                        }
                    }
                }
            }
            SubscriptionOutcome::Unsubscribed(groups) => subscriptions.table().unsubscribed(groups),
        }
    }

    /// Returns whether a group has members other than those that wait for its subscription.
    fn has_old_members(&self, group: &GroupName) -> bool {
        self.local.members(group) > self.subscriptions.table().waiting(group)
    }

    /// Records that Redis refuses a group that has members, and notifies these. They are notified
    /// again when Redis has confirmed the subscription.
    fn block(&self, group: GroupName, error: &RedisError) {
        if self.subscriptions.table().block(group.clone()) {
            let loss = self.up.loss.as_ref();
            let gap = loss.map_or(Duration::ZERO, |loss| loss.last_received.elapsed());
            let local = self.local;
            local.interrupted_members(&group, local.opened(), gap);
        }
        let remedy = remedy(error).unwrap_or_default();
        let reason = format!("Redis refused it{remedy}: {}", error_text(error));
        log_limited!(warn, %group, %reason, "cannot join a group again that has members; they receive nothing; retrying");
    }
}

/// A membership that Redis has not confirmed yet.
struct UnconfirmedMembership<'a> {
    local: &'a LocalChannels,
    group: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for UnconfirmedMembership<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.local.leave(self.group, self.channel);
        }
    }
}

/// Logs that Redis has refused to renew memberships that it still has.
fn warn_unrenewed(groups: &[GroupName], error: &RedisError) {
    let reason = error_text(error);
    for group in groups {
        log_limited!(warn, %group, %reason, "cannot renew a membership before it expires; retrying");
    }
}

/// Waits until this connection is no longer the link's.
pub(super) async fn connection_ended(states: &mut watch::Receiver<LinkState>, up: &Up) {
    let is_current =
        |state: &LinkState| matches!(state, LinkState::Up(now) if now.generation == up.generation);
    // The caller checks the state again, so it must remain marked as changed.
    _ = states.wait_for(|state| !is_current(state)).await;
    states.mark_changed();
}

/// Returns the status after an error with which Redis refused a subscription.
fn refused(link: &Link, up: &Up, error: &RedisError) -> Status {
    match link.fault(up.generation, error) {
        Some(_) => Status::Interrupted(error_text(error).into()),
        None => {
            let (remedy, error) = (remedy(error).unwrap_or_default(), error_text(error));
            let reason = format!("Redis refused a subscription{remedy}: {error}");
            Status::Refused(reason.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_link_that_has_ended_has_no_further_state() {
        let (subscriptions, local) = (Subscriptions::new(), LocalChannels::default());
        for is_seen in [true, false] {
            let (link, mut states) = watch::channel("up");
            link.send_replace("down");
            if is_seen {
                states.mark_unchanged();
            }
            drop(link);

            assert!(!subscriptions.next_state(&mut states, &local).await);
        }
    }
}
