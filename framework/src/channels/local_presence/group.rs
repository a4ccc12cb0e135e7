//! One group in this process: its people, its list, and the consumers that are told of changes.

use super::{
    batch::{self, Batch},
    own::{DeclarationBatch, Own, Waiter},
    replica::{Applied, Difference, Replica},
    store::{Changes, Declared, Key, Snapshot, Store, Version},
};
use crate::{
    channels::{LocalChannels, mailbox::Slot},
    error::Result,
    log_limit::log_limited,
    name::{ChannelName, GroupName},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    future::{Future, pending},
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

/// The shortest time between two events of one group; changes in between are told together.
const WINDOW: Duration = Duration::from_millis(10);

/// How much longer it is for each consumer that is told.
const WINDOW_EACH: Duration = Duration::from_micros(10);

/// The number of people in one declaration.
const DECLARED_AT_ONCE: usize = 250;

/// The number of changes that are kept while the list is read. With more, it is read again.
const MOST_BUFFERED: usize = 4096;

/// The pause after the store has refused something.
const RETRY: Duration = Duration::from_secs(1);

/// How much later a process removes people after their grace time who were connected to another
/// one, if that has not done so: chosen at random up to twice this time.
const SECOND: Duration = Duration::from_millis(250);

/// How long an attempt to remove people is given before the next one.
const EXPIRY_RETRY: Duration = Duration::from_millis(500);

/// One group in this process.
pub(super) struct GroupPresence {
    name: GroupName,
    local: LocalChannels,
    state: Mutex<GroupState>,
    changed: Notify,
    /// How much later this process removes people of others.
    second: Duration,
}

struct GroupState {
    own: Own,
    replica: Replica,
    /// Whether the list is to be read. Meanwhile changes are buffered.
    is_stale: bool,
    buffered: Vec<Changes>,
    /// The consumers that know the list and are told each change.
    audience: HashMap<ChannelName, Arc<Slot>>,
    /// Those who are still to be told the whole list.
    newcomers: HashMap<ChannelName, Arc<Slot>>,
    batch: Batch,
    /// When the next event may be told.
    next_event: Instant,
    /// The newest version that the declarations of this process are part of.
    stored_by: Option<Version>,
    is_declaring: bool,
    settled: Vec<oneshot::Sender<()>>,
}

/// A command to the store, and its outcome.
type Operation = BoxFuture<Outcome>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Outcome {
    Subscribed(Result<u64>),
    Declared(DeclarationBatch, Result<Declared>),
    Read(Result<Snapshot>),
    Expired(Vec<Key>, Result<Option<Version>>),
    /// With the version that this process had before.
    Refreshed(Option<Version>, Result<Option<Version>>),
    Unsubscribed,
}

/// What one task does for a group.
struct GroupTask {
    group: Arc<GroupPresence>,
    store: Arc<dyn Store>,
    subscription: Option<u64>,
    lost: BoxFuture<()>,
    /// When the store may be asked again after it has refused something.
    retry_at: Option<Instant>,
    refresh_at: Option<Instant>,
    /// A version of the store that this process should have reached by the next refresh.
    expected: Option<Version>,
}

impl GroupPresence {
    pub(super) fn new(name: &GroupName, local: &LocalChannels) -> Arc<Self> {
        Arc::new(Self {
            name: name.clone(),
            local: local.clone(),
            state: Mutex::new(GroupState {
                own: Own::default(),
                replica: Replica::default(),
                is_stale: true,
                buffered: Vec::new(),
                audience: HashMap::new(),
                newcomers: HashMap::new(),
                batch: Batch::default(),
                next_event: Instant::now(),
                stored_by: None,
                is_declaring: false,
                settled: Vec::new(),
            }),
            changed: Notify::new(),
            second: SECOND.mul_f64(1.0 + fastrand::f64()),
        })
    }

    /// Adds a connection, and tells it the list and its changes from now on; returns whether it was
    /// there before.
    pub(super) fn enter(&self, slot: &Arc<Slot>, key: Key, meta: Bytes, waiter: Waiter) -> bool {
        let mut state = self.state();
        let channel = slot.name();
        let was_present = state.own.enter(channel, key, meta, waiter);
        state.audience.remove(channel);
        state.newcomers.insert(channel.clone(), slot.clone());
        drop(state);
        self.changed.notify_one();
        was_present
    }

    /// Changes the meta of the person of a connection; returns whether there is one.
    pub(super) fn update(&self, channel: &ChannelName, meta: Bytes, waiter: Waiter) -> bool {
        let is_present = self.state().own.update(channel, meta, waiter);
        self.changed.notify_one();
        is_present
    }

    /// Removes a connection.
    pub(super) fn leave(&self, channel: &ChannelName) {
        let mut state = self.state();
        state.own.leave(channel);
        state.audience.remove(channel);
        state.newcomers.remove(channel);
        drop(state);
        self.changed.notify_one();
    }

    /// Declares everyone again: the store has lost them.
    pub(super) fn forgotten(&self) {
        let mut state = self.state();
        state.own.declare_all();
        state.is_stale = true;
        drop(state);
        self.changed.notify_one();
    }

    /// Takes a change from the store.
    pub(super) fn received(&self, changes: Changes) {
        let mut state = self.state();
        if state.is_stale {
            if state.buffered.len() < MOST_BUFFERED {
                state.buffered.push(changes);
            }
            return;
        }
        state.apply(changes, self);
        drop(state);
        self.changed.notify_one();
    }

    /// Returns the list, unless this process does not have it or has stored something newer.
    pub(super) fn list(&self) -> Option<Vec<(Key, u32, Bytes)>> {
        let state = self.state();
        let is_current = !state.is_stale && state.is_reached(state.stored_by);
        is_current.then(|| {
            let people = state.replica.people().iter();
            people
                .map(|(key, person)| (key.clone(), person.count, person.meta.clone()))
                .collect()
        })
    }

    /// Returns a receiver that completes once everything is declared; `None` if it is.
    pub(super) fn settled(&self) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state();
        if !state.is_declaring && !state.own.is_due() {
            return None;
        }
        let (settled, receiver) = oneshot::channel();
        state.settled.retain(|other| !other.is_closed());
        state.settled.push(settled);
        Some(receiver)
    }

    /// Returns whether a connection of this process is present.
    pub(super) fn has_connections(&self) -> bool {
        self.state().own.has_connections()
    }

    /// Returns whether nobody in this process takes part any more.
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Keeps store and consumers up to date, until `end` agrees that the group is idle.
    pub(super) async fn run(self: Arc<Self>, store: Arc<dyn Store>, end: impl Fn(&Self) -> bool) {
        let mut task = GroupTask {
            refresh_at: store.refresh_every().map(|period| Instant::now() + period),
            group: self,
            store,
            subscription: None,
            lost: Box::pin(pending()),
            retry_at: None,
            expected: None,
        };
        let mut operation: Option<Operation> = None;
        loop {
            let now = Instant::now();
            if operation.is_none() {
                operation = task.next(now);
            }
            if operation.is_none() && task.subscription.is_none() && end(&task.group) {
                return;
            }
            let due = task.due(now, operation.is_none());
            let finished = async {
                match &mut operation {
                    Some(operation) => operation.await,
                    None => pending().await,
                }
            };
            let timer = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                outcome = finished => {
                    operation = None;
                    task.complete(outcome);
                }
                () = &mut task.lost => task.lose(),
                () = timer => {}
                () = task.group.changed.notified() => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, GroupState> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl GroupTask {
    /// Returns the next command, if there is one to send now.
    fn next(&mut self, now: Instant) -> Option<Operation> {
        if self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        self.retry_at = None;
        let (group, store) = (self.group.clone(), self.store.clone());
        let Some(_) = self.subscription else {
            if group.is_idle() {
                return None;
            }
            return Some(Box::pin(async move {
                Outcome::Subscribed(store.subscribe(&group.name).await)
            }));
        };
        let mut state = self.group.state();
        if state.own.is_due() {
            let batch = state.own.take_due(DECLARED_AT_ONCE);
            state.is_declaring = true;
            return Some(Box::pin(async move {
                let declared = store.declare(&group.name, &batch.declarations).await;
                Outcome::Declared(batch, declared)
            }));
        }
        if state.is_idle() {
            return Some(Box::pin(async move {
                store.unsubscribe(&group.name).await;
                Outcome::Unsubscribed
            }));
        }
        if state.is_stale {
            state.buffered.clear();
            return Some(Box::pin(async move {
                Outcome::Read(store.read(&group.name).await)
            }));
        }
        let delay = |key: &Key| self.group.delay(&state.own, key);
        let expired = state.replica.expired(now, delay);
        if !expired.is_empty() {
            return Some(Box::pin(async move {
                let removed = store.expire(&group.name, &expired).await;
                Outcome::Expired(expired, removed)
            }));
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = store.refresh_every().map(|period| now + period);
            if !state.own.has_connections() {
                return None;
            }
            let before = state.replica.version();
            return Some(Box::pin(async move {
                Outcome::Refreshed(before, store.refresh(&group.name).await)
            }));
        }
        None
    }

    /// Tells what is to be told now; returns when something is due next. A command that is due
    /// starts only if `is_free`.
    fn due(&self, now: Instant, is_free: bool) -> Option<Instant> {
        let mut state = self.group.state();
        let gone = state.replica.end_doubts(now);
        state.tell(gone, &self.group);
        let event = state.flush(now, &self.group);
        let doubt = state.replica.next_doubt();
        let command = match (is_free, self.retry_at) {
            (false, _) => None,
            (true, Some(at)) => Some(at),
            // It waits for a subscription.
            (true, None) if state.is_stale => None,
            (true, None) => {
                let delay = |key: &Key| self.group.delay(&state.own, key);
                let expiry = state.replica.next_expiry(delay);
                [expiry, self.refresh_at].into_iter().flatten().min()
            }
        };
        [event, doubt, command].into_iter().flatten().min()
    }

    fn complete(&mut self, outcome: Outcome) {
        let now = Instant::now();
        let mut state = self.group.state();
        let failed = match outcome {
            Outcome::Subscribed(Ok(subscription)) => {
                state.is_stale = true;
                // After a loss, the store may have been replaced by an older or empty one.
                state.own.declare_all();
                self.subscription = Some(subscription);
                let (store, name) = (self.store.clone(), self.group.name.clone());
                self.lost = Box::pin(async move { store.lost(&name, subscription).await });
                None
            }
            Outcome::Declared(batch, Ok(Declared::Stored(by))) => {
                state.own.stored(batch, by);
                state.stored_by = by;
                state.declared();
                None
            }
            Outcome::Declared(batch, Ok(Declared::Forgotten)) => {
                state.own.take_back(batch);
                state.is_declaring = false;
                None
            }
            Outcome::Declared(batch, Err(error)) => {
                state.own.take_back(batch);
                state.is_declaring = false;
                Some(error)
            }
            Outcome::Read(Ok(snapshot)) => {
                let patience = self.store.patience();
                state.read(snapshot, patience, now, &self.group);
                None
            }
            Outcome::Expired(keys, Ok(version)) => {
                state.replica.postpone(&keys, now + EXPIRY_RETRY);
                // Without the list, nobody is told that they have left.
                state.is_stale |= version.is_none();
                None
            }
            Outcome::Refreshed(before, Ok(version)) => {
                let is_ahead = |(before, version): (Version, Version)| {
                    before.epoch == version.epoch && before.number > version.number
                };
                // A change that this process was to receive by now was lost, or it has received
                // one of another program.
                if self
                    .expected
                    .is_some_and(|expected| !state.is_reached(Some(expected)))
                    || before.zip(version).is_some_and(is_ahead)
                {
                    state.is_stale = true;
                }
                if version.is_none() {
                    state.own.declare_all();
                    state.is_stale = true;
                }
                self.expected = version;
                None
            }
            Outcome::Unsubscribed => {
                self.subscription = None;
                self.lost = Box::pin(pending());
                state.is_stale = true;
                None
            }
            Outcome::Subscribed(Err(error))
            | Outcome::Read(Err(error))
            | Outcome::Expired(_, Err(error))
            | Outcome::Refreshed(_, Err(error)) => Some(error),
        };
        if let Some(error) = failed {
            state.own.reject(&format!("{error:#}").into());
            log_limited!(
                warn,
                group = %self.group.name,
                error = %format_args!("{error:#}"),
                "cannot keep a presence up to date; retrying"
            );
            self.retry_at = Some(now + RETRY);
        }
    }

    /// Handles the loss of the subscription.
    fn lose(&mut self) {
        self.subscription = None;
        self.lost = Box::pin(pending());
        self.group.state().is_stale = true;
    }
}

impl GroupPresence {
    /// Returns how much later than its grace time this process removes a person. The process that
    /// they were connected to goes first.
    fn delay(&self, own: &Own, key: &Key) -> Duration {
        match own.has(key) {
            true => Duration::ZERO,
            false => self.second,
        }
    }
}

impl GroupState {
    fn is_idle(&self) -> bool {
        self.own.is_empty() && self.audience.is_empty() && self.newcomers.is_empty()
    }

    fn is_reached(&self, version: Option<Version>) -> bool {
        let (Some(version), Some(reached)) = (version, self.replica.version()) else {
            return version.is_none();
        };
        reached.epoch == version.epoch && reached.number >= version.number
    }

    fn apply(&mut self, changes: Changes, group: &GroupPresence) {
        match self.replica.apply(changes, Instant::now()) {
            Applied::Next(differences) => {
                self.tell(differences, group);
                self.forget_unknown();
            }
            Applied::Old => {}
            Applied::Gap => self.is_stale = true,
        }
    }

    fn read(
        &mut self,
        snapshot: Snapshot,
        patience: Duration,
        now: Instant,
        group: &GroupPresence,
    ) {
        let before = self.replica.version();
        let is_other = |before: Version| ![0, snapshot.version.epoch].contains(&before.epoch);
        if before.is_some_and(is_other) {
            // It may have people of this process, but not with their connections to it.
            self.own.declare_all();
        }
        let differences = self.replica.replace(snapshot, patience, now);
        self.tell(differences, group);
        let Self { own, replica, .. } = self;
        // Nothing was stored since the list was read.
        own.forget_unknown(|key| replica.people().contains_key(key), |_| true);
        self.stored_by = None;
        self.is_stale = self.buffered.len() >= MOST_BUFFERED;
        for changes in mem::take(&mut self.buffered) {
            if !self.is_stale {
                self.apply(changes, group);
            }
        }
    }

    fn declared(&mut self) {
        self.is_declaring = false;
        self.forget_unknown();
        if !self.own.is_due() {
            self.settled
                .drain(..)
                .for_each(|waiter| _ = waiter.send(()));
        }
    }

    fn forget_unknown(&mut self) {
        if self.is_stale {
            return;
        }
        let Self { own, replica, .. } = self;
        let reached = replica.version();
        let is_reached = |by: Option<Version>| match (by, reached) {
            (Some(by), Some(reached)) => by.epoch == reached.epoch && by.number <= reached.number,
            (by, _) => by.is_none(),
        };
        own.forget_unknown(|key| replica.people().contains_key(key), is_reached);
    }

    /// Adds differences to those that are to be told.
    fn tell(&mut self, differences: Vec<Difference>, group: &GroupPresence) {
        for difference in differences {
            match &difference {
                Difference::Joined(key, person) | Difference::Updated(key, person) => {
                    let record = (person.count, person.stamp, &person.meta);
                    self.own.seen(key, Some(record));
                }
                Difference::Left(key) => self.own.seen(key, None),
            }
            if let Some(again) = self.batch.add(difference) {
                self.tell_batch(group);
                self.batch.add(again);
            }
        }
    }

    fn tell_batch(&mut self, group: &GroupPresence) {
        let envelope = self.batch.take(&group.name);
        group.local.deliver_to(self.audience.values(), &envelope);
    }

    /// Tells changes to the audience, and the list to newcomers, if it is time to; returns when it
    /// is otherwise.
    fn flush(&mut self, now: Instant, group: &GroupPresence) -> Option<Instant> {
        let has_newcomers = !self.is_stale && !self.newcomers.is_empty();
        if self.batch.is_empty() && !has_newcomers {
            return None;
        }
        if now < self.next_event {
            return Some(self.next_event);
        }
        if !self.batch.is_empty() {
            self.tell_batch(group);
        }
        if has_newcomers {
            let envelope = batch::state(&group.name, self.replica.people());
            group.local.deliver_to(self.newcomers.values(), &envelope);
            self.audience.extend(self.newcomers.drain());
        }
        let consumers = u32::try_from(self.audience.len()).unwrap_or(u32::MAX);
        self.next_event = now + WINDOW + WINDOW_EACH.saturating_mul(consumers);
        None
    }
}
