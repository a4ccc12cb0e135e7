//! One group in this process, and the task that keeps it and the store equal.

use super::{
    group_state::PresenceState,
    own::{DeclarationBatch, DeclarationWaiter, Own},
    store::{Changes, Declared, PersonKey, PresenceStore, Snapshot, Version},
};
use crate::{
    channels::{LocalChannels, mailbox::Slot},
    error::{Error, Result},
    log_limit::log_limited,
    name::{ChannelName, GroupName},
};
use bytes::Bytes;
use std::{
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

/// The number of people in one declaration.
const DECLARED_AT_ONCE: usize = 250;

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
    state: Mutex<PresenceState>,
    changed: Notify,
    /// How much later this process removes people of others.
    second: Duration,
}

/// A command to the store, and its outcome.
type StoreCommand = BoxFuture<StoreOutcome>;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum StoreOutcome {
    Subscribed(Result<u64>),
    Compared(Result<Vec<PersonKey>>),
    Declared(DeclarationBatch, Result<Declared>),
    Read(Result<Snapshot>),
    Expired(Vec<PersonKey>, Result<Option<Version>>),
    /// With the version that this process had before.
    Refreshed(Option<Version>, Result<Option<Version>>),
    Unsubscribed,
}

/// What one task does for a group.
struct GroupTask {
    group: Arc<GroupPresence>,
    store: Arc<dyn PresenceStore>,
    subscription: Option<u64>,
    lost: BoxFuture<()>,
    /// When commands may be sent to the store again after it has refused one.
    retry_at: Option<Instant>,
    refresh_at: Option<Instant>,
    /// A version of the store that this process should have reached by the next refresh.
    expected: Option<Version>,
    /// Whether the last command was a declaration.
    has_declared: bool,
}

impl GroupPresence {
    pub(super) fn new(name: &GroupName, local: &LocalChannels) -> Arc<Self> {
        Arc::new(Self {
            name: name.clone(),
            state: Mutex::new(PresenceState::new(name, local)),
            changed: Notify::new(),
            second: SECOND.mul_f64(1.0 + fastrand::f64()),
        })
    }

    /// Adds a connection, and sends it the list and its changes from now on; returns whether it
    /// was there before.
    pub(super) fn enter(
        &self,
        slot: &Arc<Slot>,
        key: PersonKey,
        meta: Bytes,
        waiter: DeclarationWaiter,
    ) -> bool {
        let mut state = self.state();
        let channel = slot.name();
        let was_present = state.own.enter(channel, key, meta, waiter);
        state.subscribe(slot);
        drop(state);
        self.changed.notify_one();
        was_present
    }

    /// Changes the meta of the person of a connection; returns whether there is one.
    pub(super) fn update(
        &self,
        channel: &ChannelName,
        meta: Bytes,
        waiter: DeclarationWaiter,
    ) -> bool {
        let is_present = self.state().own.update(channel, meta, waiter);
        self.changed.notify_one();
        is_present
    }

    /// Removes a connection.
    pub(super) fn leave(&self, channel: &ChannelName) {
        let mut state = self.state();
        state.own.leave(channel);
        state.unsubscribe(channel);
        drop(state);
        self.changed.notify_one();
    }

    /// Has the people of this process in the store compared with those that it has.
    pub(super) fn compare(&self) {
        self.state().must_compare = true;
    }

    /// Declares everyone again: the store has lost them.
    pub(super) fn declare_all(&self) {
        self.state().declare_all();
        self.changed.notify_one();
    }

    /// Takes a change from the store.
    pub(super) fn received(&self, changes: Changes) {
        if self.state().receive(changes) {
            self.changed.notify_one();
        }
    }

    /// Returns the list of those whose meta this process can decode, unless it does not have it or has
    /// stored something newer.
    pub(super) fn list(&self) -> Option<Vec<(PersonKey, u32, Bytes)>> {
        let state = self.state();
        state.is_current().then(|| {
            let people = state.replica.people().iter();
            people
                .filter_map(|(key, person)| Some((key.clone(), person.count, person.meta.clone()?)))
                .collect()
        })
    }

    /// Returns a receiver that completes once everything is declared; `None` if it is.
    pub(super) fn settled(&self) -> Option<oneshot::Receiver<()>> {
        self.state().settled()
    }

    /// Returns whether a connection of this process is present.
    pub(super) fn has_connections(&self) -> bool {
        self.state().own.has_connections()
    }

    /// Returns whether this process has neither people nor subscribers in the group.
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Keeps store and consumers up to date, until `end` agrees that the group is idle.
    pub(super) async fn run(
        self: Arc<Self>,
        store: Arc<dyn PresenceStore>,
        end: impl Fn(&Self) -> bool,
    ) {
        let mut task = GroupTask {
            refresh_at: store.refresh_every().map(|period| Instant::now() + period),
            group: self,
            store,
            subscription: None,
            lost: Box::pin(pending()),
            retry_at: None,
            expected: None,
            has_declared: false,
        };
        let mut operation: Option<StoreCommand> = None;
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

    fn state(&self) -> MutexGuard<'_, PresenceState> {
        self.state
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl GroupTask {
    /// Returns the next command, if there is one to send now.
    fn next(&mut self, now: Instant) -> Option<StoreCommand> {
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
                StoreOutcome::Subscribed(store.subscribe(&group.name).await)
            }));
        };
        let state = self.group.state();
        if state.must_compare {
            return Some(Box::pin(async move {
                StoreOutcome::Compared(store.own(&group.name).await)
            }));
        }
        // Changes may come without a pause, and may not delay the rest for ever.
        let rest_is_first = mem::take(&mut self.has_declared) && !state.own.is_declaring_first();
        drop(state);
        match rest_is_first {
            true => self.other(now).or_else(|| self.declaration()),
            false => self.declaration().or_else(|| self.other(now)),
        }
    }

    /// Returns the next declaration, if one is due.
    fn declaration(&self) -> Option<StoreCommand> {
        let batch = self.group.state().take_due(DECLARED_AT_ONCE)?;
        let (group, store) = (self.group.clone(), self.store.clone());
        Some(Box::pin(async move {
            let declared = store.declare(&group.name, &batch.declarations).await;
            StoreOutcome::Declared(batch, declared)
        }))
    }

    /// Returns the next command that is no declaration, if one is due.
    fn other(&mut self, now: Instant) -> Option<StoreCommand> {
        let (group, store) = (self.group.clone(), self.store.clone());
        let mut state = self.group.state();
        if state.is_idle() {
            return Some(Box::pin(async move {
                store.unsubscribe(&group.name).await;
                StoreOutcome::Unsubscribed
            }));
        }
        if state.is_stale {
            state.begin_read();
            return Some(Box::pin(async move {
                StoreOutcome::Read(store.read(&group.name).await)
            }));
        }
        let delay = |key: &PersonKey| self.group.delay(&state.own, key);
        let expired = state.replica.expired(now, delay);
        if !expired.is_empty() {
            return Some(Box::pin(async move {
                let removed = store.expire(&group.name, &expired).await;
                StoreOutcome::Expired(expired, removed)
            }));
        }
        if self.refresh_at.is_some_and(|at| at <= now) {
            self.refresh_at = store.refresh_every().map(|period| now + period);
            if !state.own.has_connections() {
                return None;
            }
            let before = state.replica.version();
            return Some(Box::pin(async move {
                StoreOutcome::Refreshed(before, store.refresh(&group.name).await)
            }));
        }
        None
    }

    /// Sends what is due now; returns when something is due next. A command that is due
    /// starts only if `is_free`.
    fn due(&self, now: Instant, is_free: bool) -> Option<Instant> {
        let mut state = self.group.state();
        state.expire_missing(now);
        let event = state.flush(now);
        let missing = state.replica.next_missing_expiry();
        let command = match (is_free, self.retry_at) {
            (false, _) => None,
            (true, Some(at)) => Some(at),
            // It waits for a subscription.
            (true, None) if state.is_stale => None,
            (true, None) => {
                let delay = |key: &PersonKey| self.group.delay(&state.own, key);
                let expiry = state.replica.next_expiry(delay);
                [expiry, self.refresh_at].into_iter().flatten().min()
            }
        };
        [event, missing, command].into_iter().flatten().min()
    }

    fn complete(&mut self, outcome: StoreOutcome) {
        let now = Instant::now();
        self.has_declared = matches!(outcome, StoreOutcome::Declared(..));
        let done = match outcome {
            StoreOutcome::Subscribed(outcome) => outcome.map(|number| self.subscribed(number)),
            StoreOutcome::Compared(outcome) => outcome.map(|keys| {
                let mut state = self.group.state();
                state.must_compare = false;
                state.own.found(keys);
            }),
            StoreOutcome::Declared(batch, outcome) => self.group.state().declared(batch, outcome),
            StoreOutcome::Read(outcome) => outcome.map(|snapshot| {
                let missing_grace = self.store.missing_grace();
                self.group.state().read(snapshot, missing_grace, now);
            }),
            StoreOutcome::Expired(keys, outcome) => outcome.map(|version| {
                let mut state = self.group.state();
                state.replica.postpone(&keys, now + EXPIRY_RETRY);
                // Without the list, no subscriber receives that they have left.
                state.is_stale |= version.is_none();
            }),
            StoreOutcome::Refreshed(before, outcome) => {
                outcome.map(|version| self.refreshed(before, version))
            }
            StoreOutcome::Unsubscribed => {
                self.lose();
                Ok(())
            }
        };
        if let Err(error) = done {
            self.refused(&error, now);
        }
    }

    fn subscribed(&mut self, subscription: u64) {
        // After a loss, the store may have been replaced by an older or empty one.
        let mut state = self.group.state();
        state.declare_all();
        state.must_compare = true;
        drop(state);
        self.subscription = Some(subscription);
        let (store, name) = (self.store.clone(), self.group.name.clone());
        self.lost = Box::pin(async move { store.lost(&name, subscription).await });
    }

    fn refreshed(&mut self, before: Option<Version>, version: Option<Version>) {
        let mut state = self.group.state();
        let is_ahead = |(before, version): (Version, Version)| {
            before.epoch == version.epoch && before.number > version.number
        };
        // A change that this process was to receive by now was lost, or it has received one of
        // another program.
        if self
            .expected
            .is_some_and(|expected| !state.is_reached(Some(expected)))
            || before.zip(version).is_some_and(is_ahead)
        {
            state.is_stale = true;
        }
        if version.is_none() {
            state.declare_all();
        }
        self.expected = version;
    }

    /// Handles an error of the store: those who wait get it, and the command is repeated later.
    fn refused(&mut self, error: &Error, now: Instant) {
        self.group.state().own.reject(&format!("{error:#}").into());
        log_limited!(
            warn,
            group = %self.group.name,
            error = %format_args!("{error:#}"),
            "cannot keep a presence up to date; retrying"
        );
        self.retry_at = Some(now + RETRY);
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
    /// they were connected to goes first, unless they are back and about to be declared.
    fn delay(&self, own: &Own, key: &PersonKey) -> Duration {
        match own.has_left(key) {
            true => Duration::ZERO,
            false => self.second,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{
        LocalPresence,
        memory::MemoryStore,
        store::{Declaration, StoreListener, Totals},
    };
    use super::*;
    use async_trait::async_trait;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{sleep, timeout};

    const PERIOD: Duration = Duration::from_secs(1);

    /// A store that needs time for each declaration.
    struct SlowStore {
        store: MemoryStore,
        refreshes: Arc<AtomicUsize>,
    }

    #[async_trait]
    impl PresenceStore for SlowStore {
        async fn subscribe(&self, group: &GroupName) -> Result<u64> {
            self.store.subscribe(group).await
        }

        async fn lost(&self, group: &GroupName, subscription: u64) {
            self.store.lost(group, subscription).await;
        }

        async fn unsubscribe(&self, group: &GroupName) {
            self.store.unsubscribe(group).await;
        }

        async fn own(&self, group: &GroupName) -> Result<Vec<PersonKey>> {
            self.store.own(group).await
        }

        async fn read(&self, group: &GroupName) -> Result<Snapshot> {
            self.store.read(group).await
        }

        async fn totals(&self, group: &GroupName) -> Result<Totals> {
            self.store.totals(group).await
        }

        async fn declare(&self, group: &GroupName, people: &[Declaration]) -> Result<Declared> {
            sleep(Duration::from_millis(10)).await;
            self.store.declare(group, people).await
        }

        async fn expire(&self, group: &GroupName, keys: &[PersonKey]) -> Result<Option<Version>> {
            self.store.expire(group, keys).await
        }

        async fn refresh(&self, group: &GroupName) -> Result<Option<Version>> {
            self.refreshes.fetch_add(1, Ordering::Relaxed);
            self.store.refresh(group).await
        }

        fn refresh_every(&self) -> Option<Duration> {
            Some(PERIOD)
        }

        fn missing_grace(&self) -> Duration {
            self.store.missing_grace()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn people_who_change_without_a_pause_delay_neither_leaves_nor_refreshes_nor_reads() {
        let (local, lot) = (LocalChannels::default(), GroupName::new("lot.7").unwrap());
        let refreshes = Arc::new(AtomicUsize::new(0));
        let presence = LocalPresence::with_store(&local, PERIOD, |sink| {
            Arc::new(SlowStore {
                store: MemoryStore::new(sink, PERIOD),
                refreshes: refreshes.clone(),
            })
        });
        let hub = presence.hub();
        let meta = || Bytes::from_static(b"\xc0");
        let [ana, bo, cy] = [(); 3].map(|()| local.open("here").unwrap());
        for (channel, key) in [(&ana, "ana"), (&bo, "bo"), (&cy, "cy")] {
            hub.enter(&lot, channel.name(), key, meta()).await.unwrap();
        }
        // More often than a declaration ends: another one is always due.
        let change = async |channel: &ChannelName| {
            loop {
                let changed = hub.update(&lot, channel, meta());
                _ = timeout(Duration::from_millis(3), changed).await;
            }
        };
        let rest = async {
            drop(cy);
            sleep(PERIOD / 2).await;
            // The list is to be read again.
            hub.lost_by_store(&|_| true);
            let mut di = local.open("here").unwrap();
            hub.enter(&lot, di.name(), "di", meta()).await.unwrap();
            sleep(PERIOD * 10).await;
            let list = timeout(PERIOD, di.receive()).await.expect("the list");
            assert!(list.is_ok());
            let list = hub.list(&lot).await.unwrap();
            let mut keys: Vec<_> = list.into_iter().map(|(key, ..)| key).collect();
            keys.sort();
            keys
        };

        let keys = tokio::select! {
            never = change(ana.name()) => never,
            never = change(bo.name()) => never,
            keys = rest => keys,
        };

        assert_eq!(keys, ["ana", "bo", "di"].map(PersonKey::from));
        let refreshes = refreshes.load(Ordering::Relaxed);
        assert!((9..=11).contains(&refreshes), "{refreshes}");
    }
}
