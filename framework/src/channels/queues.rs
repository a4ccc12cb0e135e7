//! Worker queues inside this process.

use super::Envelope;
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::ChannelName,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep_until, timeout_at},
};

/// The number of jobs that may wait in one worker queue, unless its layer is configured otherwise:
/// that of Django Channels.
///
/// When the queue is full, a further job is rejected with
/// [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull).
pub const QUEUE_CAPACITY: usize = 100;

/// The time that a job waits for a worker, unless its layer is configured otherwise: as long as in
/// Django Channels.
///
/// Then it is dropped and counted.
pub const JOB_EXPIRY: Duration = Duration::from_secs(60);

/// The worker queues of this process, for channel layers that have no transport for jobs.
///
/// A queue exists while jobs wait in it or a worker waits for one. Clones share the queues.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use seaway::{ChannelName, channels::{Envelope, LocalQueues}};
/// use std::time::Duration;
///
/// let (queues, thumbnails) = (LocalQueues::default(), ChannelName::new("thumbnails")?);
/// queues.send(&thumbnails, Envelope::from_bytes("resize 7"))?;
/// assert_eq!(queues.waiting(&thumbnails), 1);
///
/// let job = queues.receive(&thumbnails, Duration::from_secs(1)).await?;
/// assert_eq!(job.unwrap().as_bytes(), "resize 7");
/// # seaway::Result::<()>::Ok(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct LocalQueues(Arc<JobQueue>);

struct JobQueue {
    capacity: usize,
    expiry: Duration,
    expired: AtomicU64,
    queues: Mutex<Queues>,
}

#[derive(Default)]
struct Queues {
    by_channel: HashMap<ChannelName, Queue>,
    /// The channels whose jobs a worker has waited for, up to [`MOST_SERVED`].
    served: BTreeSet<ChannelName>,
    /// The number of queues at which those without jobs are next removed.
    sweep_at: usize,
    /// Whether a task drops jobs when they expire; see [`JobQueue::expire_in_time`].
    has_expirer: bool,
}

#[derive(Default)]
struct Queue {
    /// The jobs with their expiry, oldest first.
    waiting: VecDeque<(Instant, Envelope)>,
    /// The number of calls that wait for a job.
    receivers: usize,
    arrival: Arc<Notify>,
}

/// The number of queues below which none is removed early.
const FEWEST_SWEPT: usize = 64;

/// The number of served channels that are remembered. A process that serves more is not told of
/// those that it does not serve.
const MOST_SERVED: usize = 1024;

impl Default for LocalQueues {
    fn default() -> Self {
        Self::new(QUEUE_CAPACITY, JOB_EXPIRY)
    }
}

impl LocalQueues {
    /// Creates queues that hold `capacity` jobs each, for at most `expiry`.
    pub fn new(capacity: usize, expiry: Duration) -> Self {
        Self(Arc::new(JobQueue {
            capacity,
            expiry,
            expired: AtomicU64::new(0),
            queues: Mutex::default(),
        }))
    }

    /// Queues a job.
    ///
    /// In a runtime it starts the task that drops jobs when they expire, up to 1/64 of `expiry`
    /// late; it needs the time driver (`enable_time`). Elsewhere, jobs expire with the next use of
    /// their queue.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelFull`] if the queue is full, [`ErrorKind::Name`] if the name is not that
    /// of a worker queue.
    pub fn send(&self, channel: &ChannelName, job: Envelope) -> Result<()> {
        check(channel)?;
        let now = Instant::now();
        let expires = deadline_after(self.0.expiry);
        let mut queues = self.0.queues();
        self.sweep(&mut queues, now);
        let queue = queues.by_channel.entry(channel.clone()).or_default();
        self.0.expire(channel, queue, now);
        if queue.waiting.len() >= self.0.capacity {
            return Err(Error::channel_full(channel, self.0.capacity));
        }
        queue.waiting.push_back((expires, job));
        queue.arrival.notify_one();
        if !queues.is_served(channel) {
            log_unserved(channel, &queues.served);
        }
        if !queues.has_expirer
            && let Ok(runtime) = Handle::try_current()
        {
            queues.has_expirer = true;
            // A runtime that is shutting down drops the task at once, which takes the lock.
            drop(queues);
            runtime.spawn(JobQueue::expire_in_time(Expirer {
                jobs: Arc::downgrade(&self.0),
                is_done: false,
            }));
        }
        Ok(())
    }

    /// Takes the oldest job, or waits at most `wait` for one.
    ///
    /// Each job is taken once.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not that of a worker queue.
    ///
    /// # Cancel safety
    /// Safe: no job is lost.
    pub async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>> {
        check(channel)?;
        let deadline = deadline_after(wait);
        let receiver = JobReceiver::new(self, channel);
        loop {
            let mut arrived = std::pin::pin!(receiver.arrival.notified());
            // Registered before the look, so that no job arrives unnoticed between the two.
            arrived.as_mut().enable();
            if let Some(job) = self.take(channel) {
                return Ok(Some(job));
            }
            if timeout_at(deadline, arrived).await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Returns how many jobs wait in a queue, those that have expired included.
    pub fn waiting(&self, channel: &ChannelName) -> usize {
        let queues = self.0.queues();
        let queue = queues.by_channel.get(channel);
        queue.map_or(0, |queue| queue.waiting.len())
    }

    /// Returns how many jobs were dropped because no worker took them in time.
    pub fn expired(&self) -> u64 {
        self.0.expired.load(Ordering::Relaxed)
    }

    fn take(&self, channel: &ChannelName) -> Option<Envelope> {
        let mut queues = self.0.queues();
        let queue = queues.by_channel.get_mut(channel)?;
        self.0.expire(channel, queue, Instant::now());
        let (_, job) = queue.waiting.pop_front()?;
        // One notification may stand for several jobs: the next receiver looks for itself.
        if !queue.waiting.is_empty() {
            queue.arrival.notify_one();
        }
        Some(job)
    }

    /// Removes the queues without jobs and receivers, once their number has doubled.
    fn sweep(&self, queues: &mut Queues, now: Instant) {
        if queues.by_channel.len() < queues.sweep_at.max(FEWEST_SWEPT) {
            return;
        }
        queues.by_channel.retain(|channel, queue| {
            self.0.expire(channel, queue, now);
            queue.receivers > 0 || !queue.waiting.is_empty()
        });
        queues.sweep_at = queues.by_channel.len().saturating_mul(2);
    }
}

/// Logs the jobs that end with the process.
impl Drop for JobQueue {
    fn drop(&mut self) {
        let Ok(queues) = self.queues.get_mut() else {
            return;
        };
        let queues = queues.by_channel.iter();
        let lost: Vec<_> = queues
            .filter(|(_, queue)| !queue.waiting.is_empty())
            .collect();
        let jobs: usize = lost.iter().map(|(_, queue)| queue.waiting.len()).sum();
        let names: Vec<_> = lost
            .iter()
            .map(|(channel, _)| channel.as_str())
            .take(5)
            .collect();
        if jobs > 0 {
            tracing::warn!(
                jobs,
                channels = names.join(", "),
                "dropped jobs that no worker had taken: the process ends"
            );
        }
    }
}

impl Queues {
    /// Returns whether workers take jobs from this channel, as far as it is known: before any
    /// worker has started, all channels may be served.
    fn is_served(&self, channel: &ChannelName) -> bool {
        matches!(self.served.len(), 0 | MOST_SERVED..) || self.served.contains(channel)
    }
}

/// Logs a job on a channel that is not served although others are: its name may be mistyped. The
/// job waits nevertheless, since its worker may start later.
fn log_unserved(channel: &ChannelName, served: &BTreeSet<ChannelName>) {
    let names: Vec<_> = served.iter().map(ChannelName::as_str).take(5).collect();
    log_limited!(
        warn,
        %channel,
        served = names.join(", "),
        "a job waits on a channel that no worker of this process serves; is its name mistyped?"
    );
}

impl JobQueue {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        let lock = self.queues.lock();
        lock.expect("no code panics while it holds this lock")
    }

    /// Drops the jobs that have expired.
    fn expire(&self, channel: &ChannelName, queue: &mut Queue, now: Instant) {
        let before = queue.waiting.len();
        while queue
            .waiting
            .front()
            .is_some_and(|(expires, _)| *expires <= now)
        {
            queue.waiting.pop_front();
        }
        let expired = (before - queue.waiting.len()) as u64;
        if expired == 0 {
            return;
        }
        metric::jobs_expired(expired);
        let total = self.expired.fetch_add(expired, Ordering::Relaxed) + expired;
        log_limited!(
            warn,
            %channel,
            total,
            "dropped jobs that no worker took in time; start a worker for the channel, or more of them"
        );
    }

    /// Drops jobs when they expire, also those of a channel that nobody uses any more. Ends when no
    /// job waits.
    async fn expire_in_time(mut expirer: Expirer) {
        while let Some(next) = expirer.run() {
            sleep_until(next).await;
        }
    }
}

/// The task that drops jobs when they expire.
struct Expirer {
    jobs: Weak<JobQueue>,
    is_done: bool,
}

impl Expirer {
    /// Drops what has expired, and the queues that nobody uses any more; returns when to look again,
    /// unless no job waits.
    fn run(&mut self) -> Option<Instant> {
        let jobs = self.jobs.upgrade()?;
        let now = Instant::now();
        let mut queues = jobs.queues();
        let mut next = None;
        queues.by_channel.retain(|channel, queue| {
            jobs.expire(channel, queue, now);
            let first = queue.waiting.front().map(|(expires, _)| *expires);
            next = [next, first].into_iter().flatten().min();
            queue.receivers > 0 || first.is_some()
        });
        self.is_done = next.is_none();
        queues.has_expirer = !self.is_done;
        // Not for each job by itself: there may be many queues.
        next.map(|next| next.max(deadline_after(jobs.expiry / 64)))
    }
}

/// The task may end with its runtime: a later send in another one starts the next.
impl Drop for Expirer {
    fn drop(&mut self) {
        if !self.is_done
            && let Some(jobs) = self.jobs.upgrade()
        {
            jobs.queues().has_expirer = false;
        }
    }
}

/// A call that waits for a job, and keeps its queue.
struct JobReceiver<'a> {
    queues: &'a LocalQueues,
    channel: &'a ChannelName,
    arrival: Arc<Notify>,
}

impl<'a> JobReceiver<'a> {
    fn new(queues: &'a LocalQueues, channel: &'a ChannelName) -> Self {
        let mut all = queues.0.queues();
        if all.served.len() < MOST_SERVED && !all.served.contains(channel) {
            all.served.insert(channel.clone());
        }
        let queue = all.by_channel.entry(channel.clone()).or_default();
        queue.receivers += 1;
        let arrival = queue.arrival.clone();
        drop(all);
        Self {
            queues,
            channel,
            arrival,
        }
    }
}

impl Drop for JobReceiver<'_> {
    fn drop(&mut self) {
        let mut all = self.queues.0.queues();
        let Some(queue) = all.by_channel.get_mut(self.channel) else {
            return;
        };
        queue.receivers -= 1;
        if queue.receivers == 0 && queue.waiting.is_empty() {
            all.by_channel.remove(self.channel);
        }
    }
}

/// Checks that a channel is a worker queue, and not that of a consumer.
fn check(channel: &ChannelName) -> Result<()> {
    if channel.is_worker_queue() {
        return Ok(());
    }
    let message = format!(
        "{channel} is the channel of a consumer, not of a worker queue: a queue's name has no `!`"
    );
    Err(Error::new(ErrorKind::Name, message))
}

/// Returns the time after a duration from now; one that the clock cannot represent is 30 years away.
pub(super) fn deadline_after(limit: Duration) -> Instant {
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + THIRTY_YEARS)
}

impl fmt::Debug for LocalQueues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalQueues")
            .field("capacity", &self.0.capacity)
            .field("expiry", &self.0.expiry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn job(text: &'static str) -> Envelope {
        Envelope::from_bytes(text)
    }

    async fn receive(queues: &LocalQueues, name: &str) -> Option<String> {
        let received = queues.receive(&channel(name), Duration::from_secs(1)).await;
        let text = |job: Envelope| String::from_utf8(job.as_bytes().to_vec()).unwrap();
        received.unwrap().map(text)
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_leave_in_order_and_each_queue_on_its_own() {
        let queues = LocalQueues::default();
        for (name, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
            queues.send(&channel(name), job(text)).unwrap();
        }

        assert_eq!(receive(&queues, "a").await.as_deref(), Some("1"));
        assert_eq!(receive(&queues, "a").await.as_deref(), Some("3"));
        assert_eq!(receive(&queues, "a").await, None);
        assert_eq!(receive(&queues, "b").await.as_deref(), Some("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_receiver_gets_a_job_at_once() {
        let queues = LocalQueues::default();
        let begun = Instant::now();
        let (received, ()) = tokio::join!(receive(&queues, "a"), async {
            queues.send(&channel("a"), job("1")).unwrap();
        });

        assert_eq!(received.as_deref(), Some("1"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_tells_the_sender_and_expired_jobs_make_room() {
        let queues = LocalQueues::new(2, Duration::from_secs(60));
        let name = channel("a");
        queues.send(&name, job("1")).unwrap();
        tokio::time::advance(Duration::from_secs(30)).await;
        queues.send(&name, job("2")).unwrap();

        let refused = queues.send(&name, job("3")).unwrap_err();
        tokio::time::advance(Duration::from_secs(30)).await;
        queues.send(&name, job("4")).unwrap();

        assert_eq!(refused.kind(), ErrorKind::ChannelFull);
        assert_eq!(queues.expired(), 1);
        assert_eq!(receive(&queues, "a").await.as_deref(), Some("2"));
        assert_eq!(receive(&queues, "a").await.as_deref(), Some("4"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_no_worker_took_in_time_is_dropped_and_counted() {
        let queues = LocalQueues::default();
        queues.send(&channel("a"), job("1")).unwrap();

        tokio::time::advance(JOB_EXPIRY).await;

        assert_eq!(receive(&queues, "a").await, None);
        assert_eq!(queues.expired(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_of_channels_that_nobody_serves_are_dropped_in_time() {
        let queues = LocalQueues::default();
        for round in 1..=2 {
            queues.send(&channel("exprot"), job("1")).unwrap();
            sleep(JOB_EXPIRY / 2).await;
            queues.send(&channel("imprt"), job("2")).unwrap();

            sleep(JOB_EXPIRY / 2 + Duration::from_secs(1)).await;
            assert_eq!(queues.expired(), 2 * round - 1);
            sleep(JOB_EXPIRY / 2).await;
            assert_eq!(queues.expired(), 2 * round);
        }
    }

    #[test]
    fn a_runtime_that_has_ended_takes_jobs_and_the_next_one_drops_them() {
        let queues = LocalQueues::default();
        let runtime = || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_time().start_paused(true).build().unwrap()
        };
        let ended = runtime();
        let handle = ended.handle().clone();
        drop(ended);
        let _entered = handle.enter();
        queues.send(&channel("exprot"), job("1")).unwrap();

        runtime().block_on(async {
            queues.send(&channel("imprt"), job("2")).unwrap();
            sleep(JOB_EXPIRY * 2).await;
        });

        assert_eq!(queues.expired(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_is_dropped_takes_no_job_with_it() {
        let queues = LocalQueues::default();
        let name = channel("a");
        {
            let mut dropped = std::pin::pin!(queues.receive(&name, JOB_EXPIRY));
            let mut other = std::pin::pin!(receive(&queues, "a"));
            assert!(futures_util::poll!(&mut dropped).is_pending());
            assert!(futures_util::poll!(&mut other).is_pending());
            queues.send(&name, job("1")).unwrap();
        }

        assert_eq!(receive(&queues, "a").await.as_deref(), Some("1"));
    }

    #[tokio::test(start_paused = true)]
    async fn queues_without_jobs_and_receivers_use_no_memory() {
        let queues = LocalQueues::default();
        for number in 0..10_000 {
            queues
                .send(&channel(&format!("a{number}")), job("1"))
                .unwrap();
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        receive(&queues, "other").await;

        let kept = queues.0.queues().by_channel.len();

        assert!(kept <= 2 * FEWEST_SWEPT, "{kept} queues");
    }

    #[tokio::test]
    async fn a_consumers_channel_is_no_queue() {
        let queues = LocalQueues::default();
        let own = channel("specific.a!1");

        let sent = queues.send(&own, job("1")).unwrap_err();
        let received = queues.receive(&own, Duration::ZERO).await.unwrap_err();

        assert_eq!(sent.kind(), ErrorKind::Name);
        assert_eq!(received.kind(), ErrorKind::Name);
    }
}
