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

/// How often a topic is checked for what has expired, if topics are used.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// The number of topics that a call checks, so that it takes a short time. If more become due per
/// call, each is checked less often.
const MOST_CHECKED: usize = 16;

/// The topics inside this process: numbers, history and delivery.
///
/// For a channel layer of your own whose processes share no store: each process then has its own
/// topics, so an event reaches the members in this process only. [`InMemoryChannelLayer`] uses it.
///
/// What has expired is dropped by calls for any topic: each checks up to 16 topics that were last
/// checked a minute ago or earlier. Without calls, nothing is dropped, and nothing is added.
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
    /// The names of all topics with the time of their next check, the earliest first.
    checks: VecDeque<(Instant, GroupName)>,
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
        let now = Instant::now();
        let mut topics = lock(&self.0);
        topics.check(now);
        if let Some(log) = topics.by_name.get(topic) {
            return log.clone();
        }
        let log = Arc::new(Mutex::new(Log {
            position: Position::fresh(),
            events: VecDeque::new(),
            keys: HashMap::new(),
            key_times: VecDeque::new(),
            used: now,
            age: HistoryLimits::default().age,
        }));
        topics.by_name.insert(topic.clone(), log.clone());
        topics.check_later(topic.clone(), now);
        log
    }
}

impl Topics {
    /// Drops what has expired of the topics that are due for a check.
    fn check(&mut self, now: Instant) {
        let next = self.checks.iter().take(MOST_CHECKED);
        let due = next.take_while(|(at, _)| *at <= now).count();
        let due: Vec<_> = self.checks.drain(..due).collect();
        for (_, topic) in due {
            // One that is in use is locked, or held by a caller.
            let has_expired = self
                .by_name
                .get(&topic)
                .is_some_and(|log| Arc::strong_count(log) == 1 && lock(log).expire(now));
            if has_expired {
                self.by_name.remove(&topic);
            } else {
                self.check_later(topic, now);
            }
        }
    }

    fn check_later(&mut self, topic: GroupName, now: Instant) {
        self.checks.push_back((now + CHECK_INTERVAL, topic));
    }
}

impl Log {
    /// Adds an event; returns the position of the one with the same key if there is one.
    fn add(&mut self, post: TopicPost) -> Result<(Position, Envelope), Position> {
        let now = Instant::now();
        self.used = now;
        self.age = post.age();
        self.expire(now);
        if let Some(key) = post.key()
            && let Some(known) = self.keys.get(key)
        {
            return Err(known.clone());
        }
        self.position = self.position.with_offset(self.position.offset() + 1);
        if let Some(key) = post.key {
            self.keys.insert(key.clone(), self.position.clone());
            self.key_times.push_back((now, key));
            if self.keys.len() > MOST_KEYS {
                self.drop_oldest_key();
            }
        }
        let envelope = post.envelope.at(&self.position);
        self.events.push_back((now, envelope.clone()));
        while self.events.len() > post.limits.events {
            self.events.pop_front();
        }
        Ok((self.position.clone(), envelope))
    }

    /// Drops the events and keys that have expired; returns whether the position has, too.
    fn expire(&mut self, now: Instant) -> bool {
        let is_older = |at: &Instant, age| now - *at > age;
        while self
            .events
            .front()
            .is_some_and(|(at, _)| is_older(at, self.age))
        {
            self.events.pop_front();
        }
        while self
            .key_times
            .front()
            .is_some_and(|(at, _)| is_older(at, KEY_AGE))
        {
            self.drop_oldest_key();
        }
        // A topic that was busy keeps no unused memory.
        if self.events.is_empty() {
            self.events.shrink_to_fit();
        }
        if self.keys.is_empty() {
            self.keys.shrink_to_fit();
            self.key_times.shrink_to_fit();
        }
        is_older(&self.used, self.age.saturating_add(POSITION_AGE))
    }

    fn drop_oldest_key(&mut self) {
        if let Some((_, key)) = self.key_times.pop_front() {
            self.keys.remove(&key);
        }
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
