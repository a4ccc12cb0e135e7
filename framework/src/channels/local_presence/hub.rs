//! The topics of one process.

use super::{
    memory::MemoryStore,
    store::{Changes, Key, Receiver, Sink, Store, Totals},
    topic::Topic,
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
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

/// How long people are kept after their last connection has closed, unless the layer is configured
/// otherwise.
pub const PRESENCE_GRACE: Duration = Duration::from_secs(3);

/// How long the end of a connection waits until the store knows of it.
const DEPARTURE: Duration = Duration::from_secs(2);

/// The presence of one process: who is connected to it, and what it knows of the others.
///
/// A channel layer holds one beside its [`LocalChannels`], and returns it in
/// [`ChannelLayer::presence`](super::ChannelLayer::presence). One that delivers inside a process
/// needs no more:
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
    store: Arc<dyn Store>,
    /// How long the store may take to confirm something.
    limit: Duration,
    topics: Mutex<HashMap<GroupName, Arc<Topic>>>,
}

impl LocalPresence {
    /// Creates the presence of a layer inside one process, which keeps people for `grace` after their
    /// last connection has closed.
    ///
    /// A [`LocalChannels`] has one presence: a second one is not told which connections end.
    pub fn new(local: &LocalChannels, grace: Duration) -> Self {
        let limit = Duration::from_secs(10);
        Self::with_store(local, limit, |sink| Arc::new(MemoryStore::new(sink, grace)))
    }

    pub(crate) fn with_store(
        local: &LocalChannels,
        limit: Duration,
        store: impl FnOnce(Sink) -> Arc<dyn Store>,
    ) -> Self {
        let hub = Arc::new_cyclic(|hub: &Weak<Hub>| Hub {
            local: local.clone(),
            store: store(Sink::new(hub.clone())),
            limit,
            topics: Mutex::default(),
        });
        let weak = Arc::downgrade(&hub);
        local.on_departure(move |topic, channel| {
            if let Some(hub) = weak.upgrade() {
                hub.leave(topic, channel);
            }
        });
        Self(hub)
    }

    pub(crate) fn hub(&self) -> &Arc<Hub> {
        &self.0
    }
}

impl Hub {
    /// Makes a connection of this process present in a topic, and waits until the store has confirmed
    /// it.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel is not of this process, or the store refuses or does not
    /// confirm it in time. The connection is not present then.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        topic: &GroupName,
        channel: &ChannelName,
        key: &str,
        meta: Bytes,
    ) -> Result<()> {
        let elsewhere = || {
            let message = format!(
                "cannot make channel {channel} present in {topic}: it is not open in this process"
            );
            Error::new(ErrorKind::Layer, message)
        };
        let slot = self.local.slot(channel).ok_or_else(elsewhere)?;
        let (waiter, outcome) = oneshot::channel();
        let mut undo = Undo {
            hub: self,
            topic,
            channel,
            is_due: true,
        };
        self.with_topic(topic, |topic| topic.enter(&slot, key.into(), meta, waiter));
        // In this order: a mailbox that is dropped meanwhile is not attended any more.
        if !self.local.attend(topic, channel) {
            return Err(elsewhere());
        }
        self.confirmed(topic, outcome).await?;
        undo.is_due = false;
        Ok(())
    }

    /// Changes the meta of a connection of this process.
    ///
    /// # Errors
    /// [`ErrorKind::User`] if it is not present in the topic; otherwise as [`enter`](Self::enter).
    pub(crate) async fn update(
        &self,
        topic: &GroupName,
        channel: &ChannelName,
        meta: Bytes,
    ) -> Result<()> {
        let (waiter, outcome) = oneshot::channel();
        let found = self.topics().get(topic).cloned();
        if !found.is_some_and(|topic| topic.update(channel, meta, waiter)) {
            let message = format!(
                "cannot update a presence in {topic}: the connection is not present there; call `present` first"
            );
            return Err(Error::new(ErrorKind::User, message));
        }
        self.confirmed(topic, outcome).await
    }

    async fn confirmed(
        &self,
        topic: &GroupName,
        outcome: oneshot::Receiver<Result<(), Arc<str>>>,
    ) -> Result<()> {
        let why = match timeout(self.limit, outcome).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) => Arc::from("the channel layer is shutting down"),
            Err(_) => Arc::from(format!(
                "it was not confirmed within {} s",
                self.limit.as_secs_f32()
            )),
        };
        let message = format!("a presence in {topic} was not stored: {why}");
        Err(Error::new(ErrorKind::Layer, message))
    }

    /// Ends the presence of a connection in a topic.
    pub(crate) fn leave(&self, topic: &GroupName, channel: &ChannelName) {
        self.local.unattend(topic, channel);
        if let Some(topic) = self.topics().get(topic) {
            topic.leave(channel);
        }
    }

    /// Returns a future that completes once the store knows that a connection has ended, at the latest
    /// after [`DEPARTURE`]. The connection ends in between.
    pub(crate) fn departure(
        &self,
        channel: &ChannelName,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let attended = self.local.attended(channel);
        if attended.is_empty() {
            return None;
        }
        let topics = self.topics();
        let left: Vec<_> = attended
            .iter()
            .filter_map(|topic| topics.get(topic).cloned())
            .collect();
        Some(async move {
            let deadline = Instant::now() + DEPARTURE;
            for topic in left {
                if let Some(settled) = topic.settled() {
                    _ = timeout_at(deadline, settled).await;
                }
            }
        })
    }

    /// Returns everyone in a topic: key, count and meta.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the store does not respond in time.
    pub(crate) async fn list(&self, topic: &GroupName) -> Result<Vec<(Key, u32, Bytes)>> {
        let found = self.topics().get(topic).cloned();
        if let Some(list) = found.and_then(|topic| topic.list()) {
            return Ok(list);
        }
        let snapshot = self.in_time(topic, self.store.read(topic)).await?;
        let people = snapshot.people.into_iter();
        Ok(people
            .map(|(key, record)| (key, record.count, record.meta))
            .collect())
    }

    /// Returns how many are in a topic.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the store does not respond in time.
    pub(crate) async fn totals(&self, topic: &GroupName) -> Result<Totals> {
        self.in_time(topic, self.store.totals(topic)).await
    }

    async fn in_time<T>(
        &self,
        topic: &GroupName,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut answer = pin!(answer);
        // A store in memory answers at once, and needs no timer of the runtime.
        let first = poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx)));
        if let Poll::Ready(answer) = first.await {
            return answer;
        }
        match timeout(self.limit, answer).await {
            Ok(answer) => answer,
            Err(_) => {
                let seconds = self.limit.as_secs_f32();
                let message = format!("the presence in {topic} was not read within {seconds} s");
                Err(Error::new(ErrorKind::Layer, message))
            }
        }
    }

    /// Calls `act` on a topic, which is created and kept up to date if it is new.
    fn with_topic(self: &Arc<Self>, name: &GroupName, act: impl FnOnce(&Topic)) {
        let mut topics = self.topics();
        if let Some(topic) = topics.get(name) {
            return act(topic);
        }
        let topic = Topic::new(name, &self.local);
        act(&topic);
        topics.insert(name.clone(), topic.clone());
        drop(topics);
        let (hub, name) = (self.clone(), name.clone());
        let store = self.store.clone();
        let end = move |topic: &Topic| {
            let mut topics = hub.topics();
            let is_idle = topic.is_idle();
            if is_idle {
                topics.remove(&name);
            }
            is_idle
        };
        tokio::spawn(topic.run(store, end));
    }

    /// It is locked before a topic's own state.
    fn topics(&self) -> MutexGuard<'_, HashMap<GroupName, Arc<Topic>>> {
        self.topics
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl Receiver for Hub {
    fn received(&self, topic: &GroupName, changes: Changes) {
        let found = self.topics().get(topic).cloned();
        if let Some(topic) = found {
            topic.received(changes);
        }
    }

    fn forgotten(&self, concerns: &dyn Fn(&GroupName) -> bool) {
        for (name, topic) in &*self.topics() {
            if concerns(name) {
                topic.forgotten();
            }
        }
    }

    fn is_connected(&self, concerns: &dyn Fn(&GroupName) -> bool) -> bool {
        let topics = self.topics();
        let mut concerned = topics.iter().filter(|(name, _)| concerns(name));
        concerned.any(|(_, topic)| topic.has_connections())
    }
}

/// A presence that the store has not confirmed yet.
struct Undo<'a> {
    hub: &'a Hub,
    topic: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.hub.leave(self.topic, self.channel);
        }
    }
}

impl fmt::Debug for LocalPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics = self.0.topics().len();
        f.debug_struct("LocalPresence")
            .field("topics", &topics)
            .finish_non_exhaustive()
    }
}
