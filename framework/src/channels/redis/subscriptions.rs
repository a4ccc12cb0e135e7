//! The subscriptions of this process, kept equal to what its members have joined, whatever happens
//! to the connection.

use super::{deliverer::Deliverer, pending_gap::PendingGap};
use crate::{
    channels::LocalChannels,
    error::{Error, ErrorKind, Result},
    metric,
    name::GroupName,
    redis_link::{Link, Repeat, State, Up, are_two_runs},
};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};
use std::{
    collections::{HashMap, HashSet},
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot, watch},
    time::{Instant, sleep, timeout_at},
};

/// The number of channels in one SUBSCRIBE: a reconnect with 100,000 groups must not be one giant
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
    table: Mutex<Table>,
    /// Notified when groups are due to be checked.
    changed: Notify,
    status: watch::Sender<Status>,
}

#[derive(Default)]
struct Table {
    groups: HashMap<GroupName, Entry>,
    due: HashSet<GroupName>,
}

#[derive(Default)]
struct Entry {
    phase: Phase,
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

/// Whether this process receives events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not currently, for this reason.
    Interrupted(Arc<str>),
    /// Not before an operator changes the permissions in Redis, for this reason.
    Refused(Arc<str>),
    /// All groups with members are subscribed on this connection of the link, to this run of Redis.
    Restored {
        generation: u64,
        run_id: Option<Arc<str>>,
    },
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

/// The parts of the layer that the subscriptions use.
pub(super) struct Wiring {
    pub(super) link: Arc<Link>,
    pub(super) local: LocalChannels,
    pub(super) deliverer: Arc<Deliverer>,
    /// The pattern that matches every channel of this process.
    pub(super) own_channels: String,
    /// The prefix of every group's name.
    pub(super) group_prefix: Arc<str>,
}

impl Subscriptions {
    pub(super) fn new() -> Self {
        Self {
            table: Mutex::default(),
            changed: Notify::new(),
            status: watch::Sender::new(Status::Interrupted(Arc::from(
                "the layer has just started",
            ))),
        }
    }

    /// Waits until Redis has confirmed that this process is subscribed to the group, which already
    /// has a member.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis refuses, or has not confirmed it by the deadline.
    pub(super) async fn confirm(&self, group: &GroupName, deadline: Instant) -> Result<()> {
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
            Err(_) => match &*self.status.borrow() {
                Status::Interrupted(why) | Status::Refused(why) => why.clone(),
                Status::Restored { .. } => {
                    Arc::from("Redis has not confirmed the subscription in time")
                }
            },
        };
        Err(Error::new(
            ErrorKind::Layer,
            format!("not subscribed to {group}: {why}"),
        ))
    }

    /// Returns whether Redis has confirmed that this process is subscribed to the group.
    pub(super) fn is_active(&self, group: &GroupName) -> bool {
        let table = self.table();
        table
            .groups
            .get(group)
            .is_some_and(|entry| entry.phase == Phase::Active)
    }

    /// Returns whether this process receives events.
    pub(super) fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Waits until this process receives events for the first time.
    ///
    /// # Errors
    /// The reason why Redis refused.
    pub(super) async fn restored(&self) -> Result<(), String> {
        let mut statuses = self.status.subscribe();
        loop {
            match &*statuses.borrow_and_update() {
                Status::Restored { .. } => return Ok(()),
                Status::Refused(why) => return Err(why.to_string()),
                Status::Interrupted(_) => {}
            }
            // The sender is in `self`, so it has not been dropped.
            _ = statuses.changed().await;
        }
    }

    /// Waits until this process receives events from this run of Redis; returns on which
    /// connection.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn restored_on(&self, run: Option<&str>) -> u64 {
        let mut statuses = self.status.subscribe();
        loop {
            if let Status::Restored { generation, run_id } = &*statuses.borrow_and_update()
                && !are_two_runs(run_id.as_deref(), run)
            {
                return *generation;
            }
            // The sender is in `self`, so it has not been dropped.
            _ = statuses.changed().await;
        }
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
    pub(super) async fn maintain(&self, wiring: &Wiring) {
        let mut states = wiring.link.watch();
        let mut pending_gap = PendingGap::default();
        let mut repeat = Repeat::default();
        loop {
            let state = states.borrow_and_update().clone();
            let pause = match state {
                State::Down(down) => {
                    self.mark_interrupted(Status::Interrupted(down.reason().clone()));
                    pending_gap.lost(wiring.local.opened());
                    false
                }
                State::Up(up) => match self.serve(&up, wiring, &mut states, &mut pending_gap).await
                {
                    Ok(()) => false,
                    Err(error) => {
                        let reason: Arc<str> =
                            format!("Redis refused a subscription: {error}; check the user's ACL")
                                .into();
                        if repeat.is_due(&reason) {
                            tracing::warn!(%reason, "cannot subscribe; retrying");
                        }
                        self.mark_interrupted(Status::Refused(reason));
                        true
                    }
                },
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
                    () = self.changed.notified() => self.prune(&wiring.local),
                }
            }
        }
    }

    /// Subscribes anew to all groups with members, then follows their changes, until the connection
    /// is lost.
    ///
    /// # Errors
    /// The error with which Redis refused a subscription that this process needs.
    async fn serve(
        &self,
        up: &Up,
        wiring: &Wiring,
        states: &mut watch::Receiver<State>,
        pending_gap: &mut PendingGap,
    ) -> Result<(), RedisError> {
        let Wiring {
            local, deliverer, ..
        } = wiring;
        let mut connection = up.connection.clone();
        self.reset(local);
        pending_gap
            .connected(up, &mut connection, local, deliverer)
            .await;

        let mut operations = FuturesUnordered::<Operation>::new();
        operations.push(subscribe_own(&connection, &wiring.own_channels));
        self.command(&mut operations, &connection, wiring);
        // All at once, so that a process with many groups is back after a few round trips.
        while let Some(outcome) = tokio::select! {
            outcome = operations.next() => outcome,
            () = is_over(states, up) => return Ok(()),
        } {
            if let Some(error) = self.refusal(&outcome, local) {
                return if is_broken(error) {
                    Ok(())
                } else {
                    Err(error.clone())
                };
            }
            self.complete(outcome, &mut operations, &connection, wiring);
        }
        pending_gap.subscribed(up, &mut connection, deliverer).await;
        self.status.send_replace(Status::Restored {
            generation: up.generation,
            run_id: up.run_id.clone(),
        });
        loop {
            tokio::select! {
                () = is_over(states, up) => return Ok(()),
                () = self.changed.notified() => {}
                Some(outcome) = operations.next() => {
                    self.complete(outcome, &mut operations, &connection, wiring);
                }
            }
            self.command(&mut operations, &connection, wiring);
        }
    }

    /// Returns the error that keeps this process from receiving what its members have joined: a
    /// broken connection, or a refused subscription that Redis allowed before. The refusal of a
    /// group that only new members wait for fails those members alone.
    fn refusal<'a>(&self, outcome: &'a Outcome, local: &LocalChannels) -> Option<&'a RedisError> {
        match outcome {
            Outcome::OwnChannels(Err(error)) => Some(error),
            Outcome::Subscribed(_, Err(error)) if is_broken(error) => Some(error),
            Outcome::Subscribed(groups, Err(error)) if groups.len() == 1 => {
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
        let members = local.groups();
        let mut table = self.table();
        let Table { groups, due } = &mut *table;
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
        self.status.send_replace(status);
        for entry in self.table().groups.values_mut() {
            entry.phase = Phase::Idle;
        }
    }

    /// Removes the groups that are no longer wanted, while there is no connection.
    fn prune(&self, local: &LocalChannels) {
        let mut table = self.table();
        let Table { groups, due } = &mut *table;
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
        let Table { groups, due } = &mut *table;
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
        metric::subscriptions(groups.len());
        plan
    }

    /// Sends the commands that the due groups need.
    fn command(
        &self,
        operations: &mut FuturesUnordered<Operation>,
        connection: &MultiplexedConnection,
        wiring: &Wiring,
    ) {
        let Plan {
            subscribe,
            unsubscribe,
        } = self.plan(&wiring.local);
        for chunk in subscribe.chunks(CHUNK) {
            operations.push(subscribe_to(connection, chunk.to_vec(), wiring));
        }
        for chunk in unsubscribe.chunks(CHUNK) {
            operations.push(unsubscribe_from(connection, chunk.to_vec(), wiring));
        }
    }

    /// Records the outcome of a command.
    fn complete(
        &self,
        outcome: Outcome,
        operations: &mut FuturesUnordered<Operation>,
        connection: &MultiplexedConnection,
        wiring: &Wiring,
    ) {
        match outcome {
            Outcome::OwnChannels(_) => {}
            Outcome::Subscribed(groups, Ok(())) => {
                let mut table = self.table();
                for group in groups {
                    if let Some(entry) = table.groups.get_mut(&group) {
                        entry.phase = Phase::Active;
                        entry.settle(&Ok(()));
                    }
                    // Its members may have left meanwhile.
                    table.due.insert(group);
                }
            }
            // Redis refuses the whole command because of one group; the allowed ones must not fail
            // with it.
            Outcome::Subscribed(groups, Err(error)) if groups.len() > 1 && !is_broken(&error) => {
                for group in groups {
                    operations.push(subscribe_to(connection, vec![group], wiring));
                }
            }
            Outcome::Subscribed(groups, Err(error)) => {
                let mut table = self.table();
                for group in groups {
                    if let Some(entry) = table.groups.get_mut(&group) {
                        entry.phase = Phase::Idle;
                        // If the connection broke, the waiters wait for the next one.
                        if !is_broken(&error) {
                            entry.settle(&Err(Arc::from(error.to_string())));
                        }
                    }
                }
            }
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

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl Entry {
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

fn subscribe_own(connection: &MultiplexedConnection, pattern: &str) -> Operation {
    let (mut connection, pattern) = (connection.clone(), pattern.to_owned());
    Box::pin(async move { Outcome::OwnChannels(connection.psubscribe(pattern).await) })
}

fn subscribe_to(
    connection: &MultiplexedConnection,
    groups: Vec<GroupName>,
    wiring: &Wiring,
) -> Operation {
    let (mut connection, names) = (connection.clone(), wiring.channels_of(&groups));
    Box::pin(async move {
        let outcome = connection.subscribe(names).await;
        Outcome::Subscribed(groups, outcome)
    })
}

fn unsubscribe_from(
    connection: &MultiplexedConnection,
    groups: Vec<GroupName>,
    wiring: &Wiring,
) -> Operation {
    let (mut connection, names) = (connection.clone(), wiring.channels_of(&groups));
    Box::pin(async move {
        // Successful or not, the groups are checked again; a broken connection has lost them
        // anyway.
        _ = connection.unsubscribe(names).await;
        Outcome::Unsubscribed(groups)
    })
}

impl Wiring {
    fn channels_of(&self, groups: &[GroupName]) -> Vec<String> {
        let names = groups.iter();
        names
            .map(|group| format!("{}{group}", self.group_prefix))
            .collect()
    }
}

/// Waits until this connection is no longer the link's.
async fn is_over(states: &mut watch::Receiver<State>, up: &Up) {
    let is_current =
        |state: &State| matches!(state, State::Up(now) if now.generation == up.generation);
    // The caller checks the state again, so it must remain marked as changed.
    _ = states.wait_for(|state| !is_current(state)).await;
    states.mark_changed();
}

/// Returns whether a command failed because its connection did.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error()
}
