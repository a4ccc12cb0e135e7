//! The last events of topics in the memory of this process, with one query at a time for each.

use super::{
    history::TopicQuery,
    window::{Recovery, TopicWindow, Unknown},
};
use crate::{
    channels::{Envelope, Position, lost_part::LostPart},
    name::GroupName,
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tokio::{sync::watch, time::Instant};

/// The memory that all windows of a process may use, in bytes, with the values and messages made of
/// their events. Past it, a window that grows drops its own oldest events.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// More shards than cores, so that two topics rarely contend for a lock.
const SHARDS: usize = 16;

/// The windows of the topics that have members in this process.
///
/// A window is loaded by the first consumer that resumes the topic, extended by each event that is
/// delivered, and dropped as soon as an event may be missing: at a gap in the numbers, at an
/// interruption, and when the last member has left. A query for one consumer whose position the
/// window does not know leaves it in place, unless the store turns out to have another history.
pub(in crate::channels) struct Windows {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<GroupName, WindowEntry>>>,
    queries: AtomicU64,
    bytes: AtomicUsize,
}

/// The window of a topic, the query under way, or both.
#[derive(Default)]
struct WindowEntry {
    window: Option<TopicWindow>,
    loading: Option<Loading>,
}

/// A query under way.
struct Loading {
    number: u64,
    /// Where the window was when it began, if it is to stay.
    kept_at: Option<Position>,
    /// Dropped when the query has ended.
    done: watch::Sender<()>,
    /// The events delivered since it began.
    delivered: VecDeque<(Position, Envelope)>,
    /// How many of them are kept.
    most: usize,
    is_outdated: bool,
}

impl WindowEntry {
    fn is_empty(&self) -> bool {
        self.window.is_none() && self.loading.is_none()
    }
}

/// Where to look up what a consumer has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::channels) enum RecoverySource {
    Any,
    /// The channel layer, or a window that was compared with it since the consumer asked.
    Store,
}

/// What a consumer that resumes a topic is to do.
pub(in crate::channels) enum Look {
    Found(Recovery),
    /// Wait until another one's query has ended, then look again.
    Wait(watch::Receiver<()>),
    /// Query the channel layer.
    Query(WindowQuery),
}

/// A query of the channel layer, for which all others who ask wait: nothing but the layer may delay
/// it. If it is dropped, it has returned nothing.
pub(in crate::channels) struct WindowQuery {
    windows: Arc<Windows>,
    topic: GroupName,
    number: u64,
    is_whole: bool,
}

impl Default for Windows {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            queries: AtomicU64::new(0),
            bytes: AtomicUsize::new(0),
        }
    }
}

impl Windows {
    /// Returns what a consumer has missed, or what it is to do to know it. It began to ask at
    /// `asked`, as a member of the topic; `is_shared` if others are as well.
    pub(in crate::channels) fn look(
        self: &Arc<Self>,
        topic: &GroupName,
        query: &TopicQuery,
        source: RecoverySource,
        asked: Instant,
        is_shared: bool,
    ) -> Look {
        let TopicQuery { since, limits, .. } = query;
        let (since, limits) = (since.as_ref(), *limits);
        let mut shard = self.shard(topic);
        // Other clients that come back have missed other events: they are served from a whole
        // window. Members have mostly missed the same, often nothing.
        let mut is_whole = is_shared && since.is_some() && !query.is_received;
        let entry = shard.get(topic);
        let mut kept_at = None;
        if let Some(window) = entry.and_then(|entry| entry.window.as_ref()) {
            let is_current = window.is_asked_since(asked);
            let keep = || Some(window.position().clone());
            match window.since(since, limits) {
                Ok(recovery) if is_current || source == RecoverySource::Any => {
                    return Look::Found(recovery);
                }
                Err(Unknown::TooShort) => is_whole = true,
                // The query names the event that the store has lost.
                Err(Unknown::Ahead) if query.is_received => kept_at = keep(),
                Err(Unknown::Ahead) if is_current => {
                    return Look::Found(window.finally_since(since, limits));
                }
                // A gap, wherever the store is in this epoch.
                Err(Unknown::Foreign) if window.is_epoch_asked_since(asked) => {
                    return Look::Found(window.finally_since(since, limits));
                }
                Ok(_) | Err(Unknown::Ahead | Unknown::Foreign) => kept_at = keep(),
            }
        }
        // The window serves the others.
        is_whole &= kept_at.is_none();
        if let Some(loading) = entry.and_then(|entry| entry.loading.as_ref()) {
            return Look::Wait(loading.done.subscribe());
        }
        let number = self.queries.fetch_add(1, Ordering::Relaxed);
        let entry = shard.entry(topic.clone()).or_default();
        if kept_at.is_none() {
            self.release(entry.window.take());
        }
        entry.loading = Some(Loading {
            number,
            kept_at,
            done: watch::Sender::new(()),
            delivered: VecDeque::new(),
            most: limits.events,
            is_outdated: false,
        });
        Look::Query(WindowQuery {
            windows: self.clone(),
            topic: topic.clone(),
            number,
            is_whole,
        })
    }

    /// Records an event that is about to be delivered to the members of the topic.
    pub(in crate::channels) fn record(&self, topic: &GroupName, envelope: &Envelope) {
        let Some(position) = envelope.position() else {
            return;
        };
        let mut shard = self.shard(topic);
        let Some(entry) = shard.get_mut(topic) else {
            return;
        };
        let envelope = envelope.in_topic(topic);
        if let Some(loading) = &mut entry.loading {
            let Loading { delivered, .. } = loading;
            delivered.push_back((position.clone(), envelope.clone()));
            if delivered.len() > loading.most {
                delivered.clear();
                loading.is_outdated = true;
            }
        }
        if let Some(window) = &mut entry.window {
            let before = window.bytes();
            let is_current = window.push(position, envelope);
            self.bytes.fetch_sub(before, Ordering::Relaxed);
            self.add(window.bytes());
            if is_current {
                self.fit(window);
            } else {
                self.release(entry.window.take());
            }
        }
        if entry.is_empty() {
            shard.remove(topic);
        }
    }

    /// Drops the window of a topic whose last member has left, or that may lack events.
    pub(in crate::channels) fn remove(&self, topic: &GroupName) {
        let removed = self.shard(topic).remove(topic);
        self.release(removed.and_then(|entry| entry.window));
    }

    /// Drops the windows of a part, because events may be missing.
    pub(in crate::channels) fn remove_all(&self, part: &impl LostPart) {
        for shard in &self.shards {
            let mut shard = shard.lock().expect(UNPOISONED);
            shard
                .extract_if(|topic, _| part.has_group(topic))
                .for_each(|(_, entry)| self.release(entry.window));
        }
    }

    /// Shortens a window while all windows use too much memory.
    fn fit(&self, window: &mut TopicWindow) {
        while self.bytes.load(Ordering::Relaxed) > MOST_BYTES && !window.is_empty() {
            let before = window.bytes();
            window.shorten();
            let freed = before - window.bytes();
            self.bytes.fetch_sub(freed, Ordering::Relaxed);
        }
    }

    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn release(&self, window: Option<TopicWindow>) {
        if let Some(window) = window {
            self.bytes.fetch_sub(window.bytes(), Ordering::Relaxed);
        }
    }

    fn shard(&self, topic: &GroupName) -> MutexGuard<'_, HashMap<GroupName, WindowEntry>> {
        let shard = self.hasher.hash_one(topic) as usize % SHARDS;
        self.shards[shard].lock().expect(UNPOISONED)
    }
}

impl WindowQuery {
    /// Returns whether to read all that the topic stores, for the others.
    pub(in crate::channels) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Keeps the window that the query has returned, extended by what was delivered meanwhile,
    /// unless an event may be missing. If the one that was to stay is of the same history, it stays.
    pub(in crate::channels) fn finish(self, mut window: TopicWindow) {
        let Self {
            windows,
            topic,
            number,
            ..
        } = &self;
        let mut shard = windows.shard(topic);
        let Some(entry) = shard.get_mut(topic) else {
            return;
        };
        let Some(loading) = entry.loading.take_if(|loading| loading.number == *number) else {
            return;
        };
        // At an earlier number than before, the store has lost events.
        let is_same = |at: Position| at.until(window.position()).is_some();
        if loading.kept_at.is_some_and(is_same)
            && let Some(kept) = &mut entry.window
        {
            kept.confirm(&window);
            return;
        }
        windows.release(entry.window.take());
        let mut events = loading.delivered.into_iter();
        let is_current = !loading.is_outdated
            && events.all(|(position, envelope)| window.push(&position, envelope));
        if !is_current {
            shard.remove(topic);
            return;
        }
        windows.add(window.bytes());
        windows.fit(&mut window);
        entry.window = Some(window);
    }
}

impl Drop for WindowQuery {
    fn drop(&mut self) {
        let mut shard = self.windows.shard(&self.topic);
        let Some(entry) = shard.get_mut(&self.topic) else {
            return;
        };
        entry
            .loading
            .take_if(|loading| loading.number == self.number);
        if entry.is_empty() {
            shard.remove(&self.topic);
        }
    }
}

const UNPOISONED: &str = "no code panics while it holds this lock";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channels::{
        lost_part::Everything,
        topics::{HistoryLimits, TopicHistory},
    };
    use std::time::Duration;

    const LIMITS: HistoryLimits = HistoryLimits {
        events: 4,
        age: Duration::from_secs(60),
    };

    fn topic() -> GroupName {
        GroupName::new("lot.7").unwrap()
    }

    fn event(position: &str) -> Envelope {
        Envelope::from_bytes(&b"\x81\xa4type\xa4hail"[..]).at(&position.parse().unwrap())
    }

    fn look(windows: &Arc<Windows>, since: &str, is_shared: bool) -> Look {
        let request = request(since, false);
        windows.look(
            &topic(),
            &request,
            RecoverySource::Any,
            Instant::now(),
            is_shared,
        )
    }

    fn request(since: &str, is_received: bool) -> TopicQuery {
        TopicQuery {
            since: Some(since.parse().unwrap()),
            limits: LIMITS,
            is_whole: false,
            is_received,
        }
    }

    /// Returns how many events are found; `None` for a gap.
    fn found(look: Look) -> Option<usize> {
        match look {
            Look::Found(recovery) => recovery.all.then_some(recovery.events.len()),
            Look::Wait(_) => panic!("it is to wait"),
            Look::Query(_) => panic!("it is to query"),
        }
    }

    /// Returns the query, and whether it is to read everything.
    fn due(look: Look) -> (WindowQuery, bool) {
        match look {
            Look::Query(query) => {
                let is_whole = query.is_whole();
                (query, is_whole)
            }
            _ => panic!("no query is needed"),
        }
    }

    /// Returns a window of the last `count` events up to 10.
    fn loaded(count: usize, is_whole: bool) -> TopicWindow {
        let events = vec![(Duration::ZERO, event("1:b")); count];
        let history = TopicHistory::new("10:a".parse().unwrap(), events);
        TopicWindow::new(&topic(), history, LIMITS, is_whole, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn one_query_serves_all_that_resume_a_topic() {
        let windows = Arc::new(Windows::default());
        let (query, is_whole) = due(look(&windows, "8:a", true));
        let Look::Wait(mut done) = look(&windows, "7:a", true) else {
            panic!("a query is under way");
        };

        windows.record(&topic(), &event("11:a"));
        query.finish(loaded(4, is_whole));

        assert!(is_whole);
        assert!(done.changed().await.is_err(), "the query has ended");
        assert_eq!(found(look(&windows, "7:a", true)), Some(4));
        windows.record(&topic(), &event("12:a"));
        assert_eq!(found(look(&windows, "11:a", true)), Some(1));
        assert_eq!(found(look(&windows, "7:a", true)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_may_lack_events_is_dropped() {
        let windows = Arc::new(Windows::default());
        type Loss = fn(&Arc<Windows>);
        let losses: [Loss; 4] = [
            |windows| windows.remove_all(&Everything),
            |windows| windows.remove(&topic()),
            |windows| windows.record(&topic(), &event("12:a")),
            |windows| windows.record(&topic(), &event("11:b")),
        ];
        for lose in losses {
            let (query, _) = due(look(&windows, "8:a", true));
            query.finish(loaded(4, true));
            assert_eq!(found(look(&windows, "8:a", true)), Some(2));

            lose(&windows);

            let (query, _) = due(look(&windows, "8:a", true));
            lose(&windows);
            query.finish(loaded(4, true));
            drop(due(look(&windows, "8:a", true)));
            assert_eq!(windows.bytes.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_window_is_replaced_by_a_whole_one() {
        let windows = Arc::new(Windows::default());
        let (query, is_whole) = due(look(&windows, "9:a", false));
        query.finish(loaded(1, is_whole));
        assert!(!is_whole);

        let (query, is_whole) = due(look(&windows, "7:a", false));
        query.finish(loaded(2, is_whole));

        assert!(is_whole);
        assert_eq!(found(look(&windows, "7:a", false)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn members_that_may_have_missed_events_read_those_only() {
        let windows = Arc::new(Windows::default());
        let missed_by = |since| {
            let request = request(since, true);
            windows.look(
                &topic(),
                &request,
                RecoverySource::Any,
                Instant::now(),
                true,
            )
        };

        let (query, is_whole) = due(missed_by("9:a"));
        query.finish(loaded(1, is_whole));

        assert!(!is_whole);
        assert_eq!(found(missed_by("9:a")), Some(1));
        assert_eq!(found(missed_by("10:a")), Some(0));
        let (_, is_whole) = due(missed_by("8:a"));
        assert!(is_whole, "one that is behind the others serves all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_ahead_is_a_gap_only_if_a_later_query_says_so() {
        let windows = Arc::new(Windows::default());
        let (query, _) = due(look(&windows, "9:a", false));
        query.finish(loaded(1, false));
        tokio::time::advance(Duration::from_secs(1)).await;

        let asked = Instant::now();
        let look = |is_received| {
            let request = request("12:a", is_received);
            windows.look(&topic(), &request, RecoverySource::Any, asked, false)
        };
        let (query, _) = due(look(false));
        query.finish(loaded(0, false));

        assert_eq!(found(look(false)), None);
        // Events that were received are lost: the store has to know.
        due(look(true));
    }

    /// Returns a window without events, as a query returns it that wants the position only.
    fn empty(position: &str) -> TopicWindow {
        let history = TopicHistory::new(position.parse().unwrap(), Vec::new());
        TopicWindow::new(&topic(), history, LIMITS, false, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unknown_position_leaves_the_window_unless_the_store_has_another_history() {
        for (unknown, source, store, found_after) in [
            ("8:b", RecoverySource::Any, "10:a", Some(3)),
            ("8:b", RecoverySource::Any, "12:a", Some(3)),
            ("99:a", RecoverySource::Any, "10:a", Some(3)),
            ("9:a", RecoverySource::Store, "10:a", Some(3)),
            ("99:a", RecoverySource::Any, "9:a", None),
            ("9:a", RecoverySource::Store, "9:a", None),
            ("8:b", RecoverySource::Any, "10:b", None),
        ] {
            let windows = Arc::new(Windows::default());
            let (query, is_whole) = due(look(&windows, "6:a", true));
            query.finish(loaded(4, is_whole));
            tokio::time::advance(Duration::from_secs(1)).await;

            let asked = Instant::now();
            let again = || windows.look(&topic(), &request(unknown, false), source, asked, true);
            let (query, is_whole) = due(again());
            assert!(!is_whole, "{unknown}");
            assert!(matches!(again(), Look::Wait(_)), "{unknown}: one query");
            assert_eq!(found(look(&windows, "8:a", true)), Some(2), "{unknown}");
            windows.record(&topic(), &event("11:a"));
            query.finish(empty(store));

            let after = match look(&windows, "8:a", true) {
                Look::Found(recovery) => Some(recovery.events.len()),
                _ => None,
            };
            assert_eq!(after, found_after, "{unknown}, {source:?}, {store}");
            windows.remove(&topic());
            assert_eq!(windows.bytes.load(Ordering::Relaxed), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_of_another_epoch_share_a_query_whose_last_event_is_not_delivered() {
        let windows = Arc::new(Windows::default());
        let (query, is_whole) = due(look(&windows, "6:a", true));
        query.finish(loaded(4, is_whole));
        tokio::time::advance(Duration::from_secs(1)).await;

        let asked = Instant::now();
        let again = || {
            let request = request("8:b", false);
            windows.look(&topic(), &request, RecoverySource::Any, asked, true)
        };
        let (query, _) = due(again());
        query.finish(empty("12:a"));

        assert_eq!(found(again()), None, "a gap");
    }

    #[tokio::test(start_paused = true)]
    async fn the_memory_of_all_windows_is_bounded() {
        let windows = Arc::new(Windows::default());
        windows.add(MOST_BYTES - 1000);
        let (query, _) = due(look(&windows, "8:a", true));

        query.finish(loaded(4, true));

        assert!(windows.bytes.load(Ordering::Relaxed) <= MOST_BYTES);
        let (_, is_whole) = due(look(&windows, "6:a", true));
        assert!(is_whole);
    }
}
