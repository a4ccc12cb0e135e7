//! Topics inside this process, for channel layers without a store that processes share.

use super::{
    Envelope, LocalChannels, Position, TopicHistory, TopicPost, TopicQuery, topics::HistoryLimits,
};
use crate::{error::Result, name::GroupName};
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// How long an idempotency key is stored.
pub(super) const KEY_AGE: Duration = Duration::from_secs(600);

/// The number of idempotency keys that a topic stores in memory.
const MOST_KEYS: usize = 10_000;

/// How long the position of a topic is stored after its last event has expired.
pub(super) const POSITION_AGE: Duration = Duration::from_secs(24 * 3600);

/// The number of topics below which none is removed early.
const FEWEST_SWEPT: usize = 64;

/// The topics inside this process: numbers, history and delivery.
///
/// For a channel layer of your own whose processes share no store: each process then has its own
/// topics, so an event reaches the members in this process only. [`InMemoryChannelLayer`] uses it.
///
/// [`InMemoryChannelLayer`]: super::InMemoryChannelLayer
///
/// ```
/// use async_trait::async_trait;
/// use seaway::{Error, GroupName, Result, channels::{
///     LocalChannels, LocalTopics, Position, TopicHistory, TopicPost, TopicQuery,
/// }};
///
/// /// A part of a channel layer.
/// struct Here {
///     local: LocalChannels,
///     topics: LocalTopics,
/// }
///
/// impl Here {
///     async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position, Error> {
///         Ok(self.topics.send(&self.local, topic, post))
///     }
///     async fn topic_read(&self, topic: &GroupName, query: TopicQuery) -> Result<TopicHistory, Error> {
///         Ok(self.topics.read(topic, &query))
///     }
/// }
/// # let here = Here { local: LocalChannels::default(), topics: LocalTopics::default() };
/// # _ = (&here.local, &here.topics, Here::topic_send, Here::topic_read);
/// ```
#[derive(Clone, Default)]
pub struct LocalTopics(Arc<Mutex<Topics>>);

#[derive(Default)]
struct Topics {
    by_name: HashMap<GroupName, Arc<Mutex<Log>>>,
    /// The number of topics at which those that have expired are next removed.
    sweep_at: usize,
}

/// The history of one topic.
struct Log {
    position: Position,
    events: VecDeque<(Instant, Envelope)>,
    keys: HashMap<String, Position>,
    /// The keys with the time of their events, oldest first.
    key_times: VecDeque<(Instant, String)>,
    used: Instant,
    age: Duration,
}

impl LocalTopics {
    /// Stores an event, and delivers it to the members in this process; returns its position.
    pub fn send(&self, local: &LocalChannels, topic: &GroupName, post: TopicPost) -> Position {
        let log = self.log(topic);
        // Held while the event is delivered, so that all members receive events in their order.
        let mut log = lock(&log);
        let (position, envelope) = match log.add(post) {
            Ok(added) => added,
            Err(known) => return known,
        };
        local.deliver_group(topic, &envelope);
        position
    }

    /// Returns the position of a topic, and the events that the query wants.
    pub fn read(&self, topic: &GroupName, query: &TopicQuery) -> TopicHistory {
        let log = self.log(topic);
        let mut log = lock(&log);
        log.used = Instant::now();
        let wanted = query.wanted(&log.position);
        let start = log.events.len().saturating_sub(wanted);
        let events = log.events.range(start..);
        let events = events.map(|(at, envelope)| (at.elapsed(), envelope.clone()));
        let events = events.skip_while(|(age, _)| *age > query.age()).collect();
        TopicHistory::new(log.position.clone(), events)
    }

    fn log(&self, topic: &GroupName) -> Arc<Mutex<Log>> {
        let mut topics = lock(&self.0);
        topics.sweep();
        let log = topics.by_name.entry(topic.clone()).or_insert_with(|| {
            Arc::new(Mutex::new(Log {
                position: Position::fresh(),
                events: VecDeque::new(),
                keys: HashMap::new(),
                key_times: VecDeque::new(),
                used: Instant::now(),
                age: HistoryLimits::default().age,
            }))
        });
        log.clone()
    }
}

impl Topics {
    /// Removes the topics that have expired, once their number has doubled.
    fn sweep(&mut self) {
        if self.by_name.len() < self.sweep_at.max(FEWEST_SWEPT) {
            return;
        }
        self.by_name.retain(|_, log| {
            // One that is in use is locked, or held by a caller.
            let is_idle = Arc::strong_count(log) == 1;
            !is_idle || !lock(log).expire()
        });
        self.sweep_at = self.by_name.len().saturating_mul(2);
    }
}

impl Log {
    /// Adds an event; returns the position of the one with the same key if there is one.
    fn add(&mut self, post: TopicPost) -> Result<(Position, Envelope), Position> {
        let now = Instant::now();
        self.used = now;
        self.age = post.age();
        self.expire_keys(now);
        if let Some(key) = post.key()
            && let Some(known) = self.keys.get(key)
        {
            return Err(known.clone());
        }
        self.position = self.position.with_offset(self.position.offset() + 1);
        if let Some(key) = post.key {
            self.keys.insert(key.clone(), self.position.clone());
            self.key_times.push_back((now, key));
        }
        let envelope = post.envelope.at(&self.position);
        self.events.push_back((now, envelope.clone()));
        let HistoryLimits { events, age } = post.limits;
        while self.events.len() > events
            || self.events.front().is_some_and(|(at, _)| now - *at > age)
        {
            self.events.pop_front();
        }
        Ok((self.position.clone(), envelope))
    }

    fn expire_keys(&mut self, now: Instant) {
        while self.key_times.len() >= MOST_KEYS
            || self
                .key_times
                .front()
                .is_some_and(|(at, _)| now - *at > KEY_AGE)
        {
            if let Some((_, key)) = self.key_times.pop_front() {
                self.keys.remove(&key);
            }
        }
    }

    /// Drops the events that have expired; returns whether the position has, too.
    fn expire(&mut self) -> bool {
        let idle = self.used.elapsed();
        if idle > self.age {
            self.events = VecDeque::new();
        }
        idle > self.age.saturating_add(POSITION_AGE)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("no code panics while it holds this lock")
}

impl fmt::Debug for LocalTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTopics")
            .field("topics", &lock(&self.0).by_name.len())
            .finish()
    }
}
