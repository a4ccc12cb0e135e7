//! The groups of one process.

use super::{
    group::GroupPresence,
    memory::MemoryStore,
    store::{Changes, PersonKey, PresenceStore, Sink, StoreListener, Totals},
};
use crate::{
    channels::LocalChannels,
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName},
};
use bytes::Bytes;
use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, Weak},
    task::Poll,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, timeout, timeout_at},
};

/// The longest lease and grace time, so that no time overflows.
pub(in crate::channels) const LONGEST_PRESENCE_TIME: Duration =
    Duration::from_secs(365 * 24 * 3600);

/// How long people are kept after their last connection has closed, unless the layer is configured
/// otherwise.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(3);

/// How long the end of a connection waits until the store knows of it.
const DEPARTURE: Duration = Duration::from_secs(2);

/// The presence of one process: who is connected to it, and what it knows of the others.
///
/// A channel layer holds one beside its [`LocalChannels`], and returns it in
/// [`ChannelLayer::presence`](crate::channels::ChannelLayer::presence). One that delivers inside
/// one process needs no more:
///
/// ```
/// use seaway::channels::{LocalChannels, LocalPresence, PRESENCE_GRACE};
///
/// struct Here {
///     local: LocalChannels,
///     presence: LocalPresence,
/// }
///
/// let local = LocalChannels::default();
/// let presence = LocalPresence::new(&local, PRESENCE_GRACE);
/// let here = Here { local, presence };
/// ```
#[derive(Clone)]
pub struct LocalPresence(Arc<Hub>);

pub(crate) struct Hub {
    local: LocalChannels,
    store: Arc<dyn PresenceStore>,
    /// How long the store may take to confirm something.
    limit: Duration,
    groups: Mutex<HashMap<GroupName, HubGroup>>,
}

/// A group, and the task that keeps it up to date.
struct HubGroup {
    group: Arc<GroupPresence>,
    task: AbortHandle,
}

impl LocalPresence {
    /// Creates the presence of a layer inside one process, which keeps people for `grace` after
    /// their last connection has closed, for a year at most.
    ///
    /// A [`LocalChannels`] has one presence: a second one does not learn which connections end.
    pub fn new(local: &LocalChannels, grace: Duration) -> Self {
        let limit = Duration::from_secs(10);
        let grace = grace.min(LONGEST_PRESENCE_TIME);
        Self::with_store(local, limit, |sink| Arc::new(MemoryStore::new(sink, grace)))
    }

    pub(crate) fn with_store(
        local: &LocalChannels,
        limit: Duration,
        store: impl FnOnce(Sink) -> Arc<dyn PresenceStore>,
    ) -> Self {
        let hub = Arc::new_cyclic(|hub: &Weak<Hub>| Hub {
            local: local.clone(),
            store: store(Sink::new(hub.clone())),
            limit,
            groups: Mutex::default(),
        });
        let weak = Arc::downgrade(&hub);
        local.on_departure(move |group, channel| {
            if let Some(hub) = weak.upgrade() {
                hub.leave(group, channel);
            }
        });
        Self(hub)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }
}

impl Hub {
    /// Makes a connection of this process present in a group, and waits until the store has
    /// confirmed it.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel is not of this process, or the store refuses or does not
    /// confirm it in time. The connection is not present then, unless it was before: then it is
    /// stored later, as by [`update`](Self::update).
    pub(crate) async fn enter(
        self: &Arc<Self>,
        group: &GroupName,
        channel: &ChannelName,
        key: &str,
        meta: Bytes,
    ) -> Result<()> {
        let elsewhere = || {
            let message = format!(
                "cannot make channel {channel} present in {group}: it is not open in this process"
            );
            Error::new(ErrorKind::Layer, message)
        };
        let slot = self.local.slot(channel).ok_or_else(elsewhere)?;
        let (waiter, outcome) = oneshot::channel();
        let mut undo = UnconfirmedPresence {
            hub: self,
            group,
            channel,
            is_due: true,
        };
        // One that was present before remains so.
        let was_present =
            self.with_group(group, |group| group.enter(&slot, key.into(), meta, waiter));
        undo.is_due = !was_present;
        // In this order: a mailbox that is dropped meanwhile is not attended any more.
        if !self.local.attend(group, channel) {
            return Err(elsewhere());
        }
        match self.confirmed(outcome).await {
            Ok(()) => undo.is_due = false,
            Err(why) if was_present => return Err(not_stored_yet(group, &why)),
            Err(why) => {
                let message = format!("a presence in {group} was not stored: {why}");
                return Err(Error::new(ErrorKind::Layer, message));
            }
        }
        Ok(())
    }

    /// Changes the meta of a connection of this process.
    ///
    /// # Errors
    /// [`ErrorKind::User`] if it is not present in the group; [`ErrorKind::Layer`] if the store
    /// refuses or does not confirm it in time: it is stored later, unless it is replaced before.
    pub(crate) async fn update(
        self: &Arc<Self>,
        group: &GroupName,
        channel: &ChannelName,
        meta: Bytes,
    ) -> Result<()> {
        self.resume(group);
        let (waiter, outcome) = oneshot::channel();
        let found = self.group(group);
        if !found.is_some_and(|group| group.update(channel, meta, waiter)) {
            let message = format!(
                "cannot update a presence in {group}: the connection is not present there; call `present` first; a presence that `connect` requests begins once it has returned"
            );
            return Err(Error::new(ErrorKind::User, message));
        }
        let confirmed = self.confirmed(outcome).await;
        confirmed.map_err(|why| not_stored_yet(group, &why))
    }

    /// Waits until the store has confirmed a declaration; returns why not, if it does not.
    async fn confirmed(
        &self,
        outcome: oneshot::Receiver<Result<(), Arc<str>>>,
    ) -> Result<(), Arc<str>> {
        match timeout(self.limit, outcome).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the channel layer is shutting down".into()),
            Err(_) => {
                let seconds = self.limit.as_secs_f32();
                Err(format!("it was not confirmed within {seconds} s").into())
            }
        }
    }

    /// Ends the presence of a connection in a group.
    pub(crate) fn leave(&self, group: &GroupName, channel: &ChannelName) {
        self.local.unattend(group, channel);
        if let Some(HubGroup { group, .. }) = self.groups().get(group) {
            group.leave(channel);
        }
    }

    /// Returns a future that completes once the store knows that a connection has ended, at the
    /// latest after [`DEPARTURE`]. The connection ends in between.
    pub(crate) fn departure(
        &self,
        channel: &ChannelName,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let attended = self.local.attended(channel);
        if attended.is_empty() {
            return None;
        }
        let groups = self.groups();
        let left: Vec<_> = attended
            .iter()
            .filter_map(|group| Some(groups.get(group)?.group.clone()))
            .collect();
        Some(async move {
            let deadline = Instant::now() + DEPARTURE;
            for group in left {
                if let Some(settled) = group.settled() {
                    _ = timeout_at(deadline, settled).await;
                }
            }
        })
    }

    /// Returns everyone in a group whose meta this process can decode: key, count and meta.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the store does not respond in time.
    pub(crate) async fn list(
        self: &Arc<Self>,
        group: &GroupName,
    ) -> Result<Vec<(PersonKey, u32, Bytes)>> {
        self.resume(group);
        let found = self.group(group);
        if let Some(list) = found.and_then(|group| group.list()) {
            return Ok(list);
        }
        let snapshot = self.in_time(group, self.store.read(group)).await?;
        let people = snapshot.people.into_iter();
        Ok(people
            .filter_map(|(key, record)| Some((key, record.count, record.meta?)))
            .collect())
    }

    /// Returns how many are in a group.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the store does not respond in time.
    pub(crate) async fn totals(self: &Arc<Self>, group: &GroupName) -> Result<Totals> {
        self.resume(group);
        self.in_time(group, self.store.totals(group)).await
    }

    async fn in_time<T>(
        &self,
        group: &GroupName,
        response: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut response = pin!(response);
        // A store in memory responds at once, and needs no timer of the runtime.
        let first = poll_fn(|cx| Poll::Ready(response.as_mut().poll(cx)));
        if let Poll::Ready(response) = first.await {
            return response;
        }
        match timeout(self.limit, response).await {
            Ok(response) => response,
            Err(_) => {
                let seconds = self.limit.as_secs_f32();
                let message = format!("the presence in {group} was not read within {seconds} s");
                Err(Error::new(ErrorKind::Layer, message))
            }
        }
    }

    /// Calls `act` on a group, which is created if it is new, and kept up to date in this runtime if
    /// it is new or its runtime has ended.
    fn with_group<T>(
        self: &Arc<Self>,
        name: &GroupName,
        act: impl FnOnce(&GroupPresence) -> T,
    ) -> T {
        let runtime = Handle::current();
        let mut groups = self.groups();
        let found = groups.get(name);
        if let Some(HubGroup { group, task }) = found
            && !task.is_finished()
        {
            return act(group);
        }
        let found = found.map(|found| found.group.clone());
        let group = found.unwrap_or_else(|| GroupPresence::new(name, &self.local));
        let outcome = act(&group);
        let (hub, ended) = (self.clone(), name.clone());
        let end = move |group: &GroupPresence| {
            let mut groups = hub.groups();
            let is_idle = group.is_idle();
            if is_idle {
                groups.remove(&ended);
            }
            is_idle
        };
        let task = runtime.spawn(group.clone().run(self.store.clone(), end));
        let task = task.abort_handle();
        groups.insert(name.clone(), HubGroup { group, task });
        outcome
    }

    /// Keeps a group up to date in this runtime, if that of its task has ended.
    fn resume(self: &Arc<Self>, name: &GroupName) {
        // A list in memory needs no runtime.
        if Handle::try_current().is_ok() && self.group(name).is_some() {
            self.with_group(name, |_| ());
        }
    }

    fn group(&self, name: &GroupName) -> Option<Arc<GroupPresence>> {
        Some(self.groups().get(name)?.group.clone())
    }

    /// It is locked before a group's own state.
    fn groups(&self) -> MutexGuard<'_, HashMap<GroupName, HubGroup>> {
        self.groups
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl StoreListener for Hub {
    fn received(&self, group: &GroupName, changes: Changes) {
        if let Some(group) = self.group(group) {
            group.received(changes);
        }
    }

    fn lost_by_store(&self, concerns: &dyn Fn(&GroupName) -> bool) {
        for (name, HubGroup { group, .. }) in &*self.groups() {
            // A group without a connection declares those who left when it reads the new list.
            if concerns(name) && group.has_connections() {
                group.declare_all();
            }
        }
    }

    fn stored(self: Arc<Self>, group: &GroupName) {
        // Any other is compared when it is subscribed to again.
        let is_new = !self.groups().contains_key(group);
        if is_new {
            self.with_group(group, GroupPresence::compare);
        }
    }

    fn is_connected(&self, concerns: &dyn Fn(&GroupName) -> bool) -> bool {
        let groups = self.groups();
        let mut concerned = groups.iter().filter(|(name, _)| concerns(name));
        concerned.any(|(_, HubGroup { group, .. })| group.has_connections())
    }
}

fn not_stored_yet(group: &GroupName, why: &str) -> Error {
    let message = format!(
        "a change of a presence in {group} is not stored yet: {why}; it will be once the channel layer is available, unless it is replaced"
    );
    Error::new(ErrorKind::Layer, message)
}

/// A presence that the store has not confirmed yet.
struct UnconfirmedPresence<'a> {
    hub: &'a Hub,
    group: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for UnconfirmedPresence<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.hub.leave(self.group, self.channel);
        }
    }
}

impl fmt::Debug for LocalPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups = self.0.groups().len();
        f.debug_struct("LocalPresence")
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}
