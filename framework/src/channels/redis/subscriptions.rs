//! The subscriptions of this process, kept equal to what its members have joined, whatever happens
//! to the connection.

use super::{
    names::Names,
    publisher::NOT_YET,
    readiness::{Readiness, Status},
};
use crate::{
    channels::{LocalChannels, Membership},
    error::{Error, ErrorKind, Result},
    metric,
    name::{ChannelName, GroupName},
    redis_link::{Fault, Link, Repeat, State, Up, error_text},
};
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep, timeout_at},
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
    /// The number of the host, which has a part of all groups.
    host: usize,
    names: Names,
    table: Mutex<Table>,
    /// Notified when groups are due to be checked.
    changed: Notify,
    readiness: Arc<Readiness>,
    /// Whether all groups are to be subscribed to again, although the connection is the same.
    is_renewal_due: AtomicBool,
}

/// The commands by which Redis learns what this process subscribes to, and what else is done then.
pub(super) trait Registrar: Send {
    /// Handles the loss of the connection.
    fn lost(&mut self);

    /// Handles that Redis has forgotten groups: all are about to be subscribed to again.
    fn forgotten(&mut self);

    /// Handles a connection that has no subscriptions yet.
    fn connected(&mut self, up: &Up) -> impl Future<Output = ()> + Send;

    /// Handles the confirmation of all subscriptions.
    fn confirmed(&mut self, up: &Up) -> impl Future<Output = ()> + Send;

    /// Subscribes to the channels of this process.
    fn register(&self, connection: &MultiplexedConnection) -> CommandFuture;

    /// Subscribes to groups.
    fn add(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> CommandFuture;

    /// Unsubscribes from groups.
    fn remove(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> CommandFuture;
}

/// Redis' reply to a command.
pub(super) type CommandFuture = BoxFuture<'static, RedisResult<()>>;

#[derive(Default)]
struct Table {
    groups: HashMap<GroupName, GroupState>,
    /// The number of groups that the metric includes.
    counted: usize,
    /// The number of confirmed subscriptions so far.
    activations: u64,
    due: HashSet<GroupName>,
}

#[derive(Default)]
struct GroupState {
    phase: Phase,
    /// The number of its last confirmed subscription.
    activation: u64,
    waiters: Vec<Waiter>,
}

type Waiter = oneshot::Sender<Result<(), Arc<str>>>;

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// Redis has no subscription to the group.
    #[default]
    Idle,
    Subscribing,
    Active,
    Unsubscribing,
}

/// A command in flight, and its outcome.
type Operation = BoxFuture<'static, Outcome>;

enum Outcome {
    Subscribed(Vec<GroupName>, RedisResult<()>),
    Unsubscribed(Vec<GroupName>),
    OwnChannels(RedisResult<()>),
}

/// The commands to send to Redis.
#[derive(Default)]
struct Plan {
    subscribe: Vec<GroupName>,
    unsubscribe: Vec<GroupName>,
}

impl Subscriptions {
    pub(super) fn new(host: usize, names: &Names) -> Self {
        Self {
            host,
            names: names.clone(),
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
        let mut undo = Undo {
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
        let confirmed = {
            let mut table = self.table();
            let entry = table.groups.entry(group.clone()).or_default();
            if entry.phase == Phase::Active {
                return Ok(());
            }
            let (waiter, confirmed) = oneshot::channel();
            entry.wait(waiter);
            table.due.insert(group.clone());
            confirmed
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
        let table = self.table();
        table.groups.get(group).and_then(GroupState::active)
    }

    /// Returns all groups whose subscription Redis has confirmed, with the numbers of
    /// [`activation`](Self::activation).
    pub(super) fn active(&self) -> Vec<(GroupName, u64)> {
        let table = self.table();
        let groups = table.groups.iter();
        groups
            .filter_map(|(group, entry)| Some((group.clone(), entry.active()?)))
            .collect()
    }

    /// Returns whether Redis knows what this process subscribes to.
    pub(super) fn readiness(&self) -> &Arc<Readiness> {
        &self.readiness
    }

    /// Subscribes to all groups again and notifies consumers, because Redis has forgotten some.
    pub(super) fn renew(&self) {
        self.is_renewal_due.store(true, Ordering::Release);
        let reason = "Redis has forgotten the groups of this process";
        self.mark_interrupted(Status::Interrupted(Arc::from(reason)));
        self.changed.notify_one();
    }

    /// Subscribes to all groups again before Redis forgets them.
    pub(super) fn refresh(&self) {
        let mut table = self.table();
        let Table { groups, due, .. } = &mut *table;
        for (group, entry) in groups.iter_mut() {
            if entry.phase == Phase::Active {
                entry.phase = Phase::Idle;
                due.insert(group.clone());
            }
        }
        drop(table);
        self.changed.notify_one();
    }

    /// Records that Redis has a subscription to a group that has no member here.
    pub(super) fn found_stale(&self, group: &GroupName) {
        let mut table = self.table();
        if table.groups.contains_key(group) {
            return;
        }
        let stale = GroupState {
            phase: Phase::Active,
            ..GroupState::default()
        };
        table.groups.insert(group.clone(), stale);
        table.due.insert(group.clone());
        drop(table);
        self.changed.notify_one();
    }

    /// Records that the group's last member has left.
    pub(super) fn emptied(&self, group: &GroupName) {
        let mut table = self.table();
        if table.groups.contains_key(group) {
            table.due.insert(group.clone());
            drop(table);
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
                State::Down(down) => {
                    self.mark_interrupted(Status::Interrupted(down.reason().clone()));
                    registrar.lost();
                    false
                }
                State::Up(up) => {
                    let serving = self.serve(link, &up, local, &mut states, &mut registrar);
                    match serving.await {
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
            while !states.has_changed().unwrap_or(true) {
                tokio::select! {
                    changed = states.changed() => {
                        if changed.is_err() { return }
                        states.mark_changed();
                    }
                    () = self.changed.notified() => self.prune(local),
                }
            }
        }
    }

    /// Subscribes again to all groups with members, then follows their changes, until the
    /// connection is lost.
    ///
    /// # Errors
    /// The error with which Redis refused a subscription that this process needs.
    async fn serve(
        &self,
        link: &Link,
        up: &Up,
        local: &LocalChannels,
        states: &mut watch::Receiver<State>,
        registrar: &mut impl Registrar,
    ) -> Result<(), RedisError> {
        let connection = &up.connection;
        if self.is_renewal_due.swap(false, Ordering::AcqRel) {
            registrar.forgotten();
        }
        self.reset(local);
        registrar.connected(up).await;

        let mut operations = FuturesUnordered::<Operation>::new();
        let registering = registrar.register(connection);
        operations.push(Box::pin(registering.map(Outcome::OwnChannels)));
        self.command(&mut operations, connection, local, registrar);
        // All at once, so that a process with many groups is back after a few round trips.
        while let Some(outcome) = tokio::select! {
            outcome = operations.next() => outcome,
            () = is_over(states, up) => return Ok(()),
        } {
            if let Some(error) = self.refusal(link, up, &outcome, local) {
                return match link.fault(up.generation, error) {
                    Some(Fault::Broken | Fault::Moved) => Ok(()),
                    Some(Fault::NotYet) | None => Err(error.clone()),
                };
            }
            self.complete(outcome, &mut operations, link, up, registrar);
        }
        registrar.confirmed(up).await;
        if up.loss.is_some() {
            local.doubt_topics();
        }
        self.readiness.set(Status::Restored {
            generation: up.generation,
            run_id: up.run_id.clone(),
        });
        loop {
            tokio::select! {
                () = is_over(states, up) => return Ok(()),
                () = self.changed.notified() => {
                    if self.is_renewal_due.load(Ordering::Acquire) {
                        states.mark_changed();
                        return Ok(());
                    }
                }
                Some(outcome) = operations.next() => {
                    self.complete(outcome, &mut operations, link, up, registrar);
                }
            }
            self.command(&mut operations, connection, local, registrar);
        }
    }

    /// Returns the error that keeps this process from receiving what its members have joined: a
    /// broken connection, or a refused subscription that Redis allowed before. The refusal of a
    /// group that only new members wait for fails those members alone.
    fn refusal<'a>(
        &self,
        link: &Link,
        up: &Up,
        outcome: &'a Outcome,
        local: &LocalChannels,
    ) -> Option<&'a RedisError> {
        match outcome {
            Outcome::OwnChannels(Err(error)) => Some(error),
            Outcome::Subscribed(groups, Err(error)) => {
                match link.fault(up.generation, error) {
                    Some(Fault::Broken | Fault::Moved) => return Some(error),
                    Some(Fault::NotYet) => return None,
                    None if groups.len() > 1 => return None,
                    None => {}
                }
                let group = &groups[0];
                let waiting = self
                    .table()
                    .groups
                    .get(group)
                    .map_or(0, |entry| entry.waiters.len());
                (local.members(group) > waiting).then_some(error)
            }
            _ => None,
        }
    }

    /// Resets all groups for a new connection: every group that has members is due.
    fn reset(&self, local: &LocalChannels) {
        let mut members = local.groups();
        members.retain(|group| self.names.host_of_group(group) == self.host);
        let mut table = self.table();
        let Table { groups, due, .. } = &mut *table;
        for entry in groups.values_mut() {
            entry.phase = Phase::Idle;
        }
        for group in members {
            groups.entry(group).or_default();
        }
        due.extend(groups.keys().cloned());
    }

    /// Records that nothing is received any more. Waiters keep waiting until their deadline.
    fn mark_interrupted(&self, status: Status) {
        self.readiness.set(status);
        for entry in self.table().groups.values_mut() {
            entry.phase = Phase::Idle;
        }
    }

    /// Removes the groups that are no longer wanted, while there is no connection.
    fn prune(&self, local: &LocalChannels) {
        let mut table = self.table();
        let Table { groups, due, .. } = &mut *table;
        due.retain(|group| {
            let is_wanted = groups
                .get_mut(group)
                .is_some_and(|entry| entry.is_wanted(group, local));
            if !is_wanted {
                groups.remove(group);
            }
            is_wanted
        });
    }

    /// Decides which commands the due groups need.
    fn plan(&self, local: &LocalChannels) -> Plan {
        let mut plan = Plan::default();
        let mut table = self.table();
        let Table {
            groups,
            counted,
            due,
            ..
        } = &mut *table;
        for group in mem::take(due) {
            let Some(entry) = groups.get_mut(&group) else {
                continue;
            };
            match (entry.phase, entry.is_wanted(&group, local)) {
                (Phase::Idle, true) => {
                    entry.phase = Phase::Subscribing;
                    plan.subscribe.push(group);
                }
                (Phase::Idle, false) => {
                    groups.remove(&group);
                }
                (Phase::Active, true) => entry.settle(&Ok(())),
                (Phase::Active, false) => {
                    entry.phase = Phase::Unsubscribing;
                    plan.unsubscribe.push(group);
                }
                // Checked again when Redis has responded.
                (Phase::Subscribing | Phase::Unsubscribing, _) => {}
            }
        }
        metric::subscriptions(groups.len() as f64 - *counted as f64);
        *counted = groups.len();
        plan
    }

    /// Sends the commands that the due groups need.
    fn command(
        &self,
        operations: &mut FuturesUnordered<Operation>,
        connection: &MultiplexedConnection,
        local: &LocalChannels,
        registrar: &impl Registrar,
    ) {
        let Plan {
            subscribe,
            unsubscribe,
        } = self.plan(local);
        for chunk in subscribe.chunks(CHUNK) {
            operations.push(subscribe_to(registrar, connection, chunk.to_vec()));
        }
        for chunk in unsubscribe.chunks(CHUNK) {
            operations.push(unsubscribe_from(registrar, connection, chunk.to_vec()));
        }
    }

    /// Records the outcome of a command.
    fn complete(
        &self,
        outcome: Outcome,
        operations: &mut FuturesUnordered<Operation>,
        link: &Link,
        up: &Up,
        registrar: &impl Registrar,
    ) {
        let connection = &up.connection;
        match outcome {
            Outcome::OwnChannels(_) => {}
            Outcome::Subscribed(groups, Ok(())) => {
                let mut table = self.table();
                let Table {
                    groups: entries,
                    activations,
                    due,
                    ..
                } = &mut *table;
                for group in groups {
                    if let Some(entry) = entries.get_mut(&group) {
                        *activations += 1;
                        entry.activation = *activations;
                        entry.phase = Phase::Active;
                        entry.settle(&Ok(()));
                    }
                    // Its members may have left meanwhile.
                    due.insert(group);
                }
            }
            Outcome::Subscribed(groups, Err(error)) => match link.fault(up.generation, &error) {
                // Those that wait for it wait for the next connection.
                Some(Fault::Broken | Fault::Moved) => self.refuse(groups, None),
                Some(Fault::NotYet) => {
                    let again = subscribe_to(registrar, connection, groups);
                    operations.push(Box::pin(sleep(NOT_YET).then(|()| again)));
                }
                // Redis refuses the whole command because of one group; the allowed ones must not
                // fail with it.
                None if groups.len() > 1 => {
                    for group in groups {
                        operations.push(subscribe_to(registrar, connection, vec![group]));
                    }
                }
                None => self.refuse(groups, Some(&error)),
            },
            Outcome::Unsubscribed(groups) => {
                let mut table = self.table();
                for group in groups {
                    if let Some(entry) = table.groups.get_mut(&group) {
                        entry.phase = Phase::Idle;
                    }
                    // A channel may have joined meanwhile.
                    table.due.insert(group);
                }
            }
        }
    }

    /// Records that Redis has no subscription to these groups; `error` is for those that wait for
    /// it.
    fn refuse(&self, groups: Vec<GroupName>, error: Option<&RedisError>) {
        let mut table = self.table();
        for group in groups {
            let Some(entry) = table.groups.get_mut(&group) else {
                continue;
            };
            entry.phase = Phase::Idle;
            if let Some(error) = error {
                entry.settle(&Err(Arc::from(error_text(error))));
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

/// A membership that Redis has not confirmed yet.
struct Undo<'a> {
    local: &'a LocalChannels,
    group: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.local.leave(self.group, self.channel);
        }
    }
}

impl GroupState {
    fn active(&self) -> Option<u64> {
        (self.phase == Phase::Active).then_some(self.activation)
    }

    /// Adds a waiter. Waiters whose deadline has passed are removed before the list grows.
    fn wait(&mut self, waiter: Waiter) {
        if self.waiters.len() == self.waiters.capacity() {
            self.waiters.retain(|waiter| !waiter.is_closed());
        }
        self.waiters.push(waiter);
    }

    fn is_wanted(&mut self, group: &GroupName, local: &LocalChannels) -> bool {
        self.waiters.retain(|waiter| !waiter.is_closed());
        !self.waiters.is_empty() || local.members(group) > 0
    }

    fn settle(&mut self, outcome: &Result<(), Arc<str>>) {
        for waiter in self.waiters.drain(..) {
            // A waiter whose deadline has passed needs no outcome.
            _ = waiter.send(outcome.clone());
        }
    }
}

fn subscribe_to(
    registrar: &impl Registrar,
    connection: &MultiplexedConnection,
    groups: Vec<GroupName>,
) -> Operation {
    let adding = registrar.add(connection, &groups);
    Box::pin(adding.map(|outcome| Outcome::Subscribed(groups, outcome)))
}

fn unsubscribe_from(
    registrar: &impl Registrar,
    connection: &MultiplexedConnection,
    groups: Vec<GroupName>,
) -> Operation {
    let removing = registrar.remove(connection, &groups);
    // Successful or not, the groups are checked again; a broken connection has lost them anyway.
    Box::pin(removing.map(|_| Outcome::Unsubscribed(groups)))
}

/// Waits until this connection is no longer the link's.
pub(super) async fn is_over(states: &mut watch::Receiver<State>, up: &Up) {
    let is_current =
        |state: &State| matches!(state, State::Up(now) if now.generation == up.generation);
    // The caller checks the state again, so it must remain marked as changed.
    _ = states.wait_for(|state| !is_current(state)).await;
    states.mark_changed();
}

/// Returns the status after an error with which Redis refused a subscription.
fn refused(link: &Link, up: &Up, error: &RedisError) -> Status {
    match link.fault(up.generation, error) {
        Some(_) => Status::Interrupted(error_text(error).into()),
        None => {
            let error = error_text(error);
            let reason = format!("Redis refused a subscription: {error}; check the user's ACL");
            Status::Refused(reason.into())
        }
    }
}
