//! The metrics of this crate, through the `metrics` facade: every name in one place.
//!
//! Without an installed recorder, each metric costs one branch. Handles are created with the
//! channel layer, with each connection, and with the first WebSocket of the process, so install the
//! recorder first. `docs/channel-layers.md` lists the metrics for operators.

use crate::error::{Error, ErrorKind, Result};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::{
    sync::{
        LazyLock, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Counters of sent events, by outcome.
pub(crate) struct SendCounters {
    sent: Counter,
    failed: Counter,
    unconfirmed: Counter,
    full: Counter,
}

impl SendCounters {
    pub(crate) fn new() -> Self {
        let outcome =
            |outcome: &'static str| counter!("seaway_events_published_total", "outcome" => outcome);
        Self {
            sent: outcome("sent"),
            failed: outcome("failed"),
            unconfirmed: outcome("unconfirmed"),
            full: outcome("channel_full"),
        }
    }

    /// Counts the outcome of sending an event.
    pub(crate) fn count<T>(&self, outcome: &Result<T>) {
        match outcome.as_ref().map_err(Error::kind) {
            Ok(_) => self.sent.increment(1),
            Err(ErrorKind::Unconfirmed) => self.unconfirmed.increment(1),
            Err(ErrorKind::ChannelFull) => self.full.increment(1),
            Err(_) => self.failed.increment(1),
        }
    }
}

/// Metrics of delivery to mailboxes.
pub(crate) struct DeliveryMetrics {
    delivered: Counter,
    dropped: Counter,
    depth: Histogram,
    deepest: SampledPeak,
}

impl DeliveryMetrics {
    pub(crate) fn new() -> Self {
        Self {
            delivered: counter!("seaway_events_delivered_total"),
            dropped: dropped("mailbox_full"),
            depth: histogram!("seaway_mailbox_depth"),
            deepest: SampledPeak::new(),
        }
    }

    /// Counts one event for one or more mailboxes; `depth` is the number of events in the fullest.
    pub(crate) fn count(&self, delivered: u64, dropped: u64, depth: usize) {
        self.delivered.increment(delivered);
        self.dropped.increment(dropped);
        if let Some(sample) = self.deepest.add(depth as u64) {
            self.depth.record(sample);
        }
    }
}

/// The highest of many values, at most once per [`SAMPLE_PERIOD`]: a recorder may keep every sample
/// of a histogram until it is read, and a client may cause any number.
struct SampledPeak {
    began: Instant,
    /// When the next sample is due, in milliseconds since the beginning.
    due: AtomicU64,
    /// The highest value since the last sample.
    highest: AtomicU64,
}

const SAMPLE_PERIOD: Duration = Duration::from_millis(100);

impl SampledPeak {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            due: AtomicU64::new(0),
            highest: AtomicU64::new(0),
        }
    }

    /// Adds a value; returns the sample to record if one is due.
    fn add(&self, value: u64) -> Option<f64> {
        self.highest.fetch_max(value, Relaxed);
        let since = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (now, due) = (since(self.began.elapsed()), self.due.load(Relaxed));
        let next = now.saturating_add(since(SAMPLE_PERIOD));
        if now < due {
            return None;
        }
        let exchanged = self.due.compare_exchange(due, next, Relaxed, Relaxed);
        exchanged
            .is_ok()
            .then(|| self.highest.swap(0, Relaxed) as f64)
    }
}

/// Gauges of the mailboxes of this process and their memberships.
pub(crate) struct MembershipGauges {
    mailboxes: Gauge,
    members: Gauge,
}

impl MembershipGauges {
    pub(crate) fn new() -> Self {
        Self {
            mailboxes: gauge!("seaway_mailboxes_open"),
            members: gauge!("seaway_group_members"),
        }
    }

    pub(crate) fn opened(&self) {
        self.mailboxes.increment(1.0);
    }

    pub(crate) fn closed(&self) {
        self.mailboxes.decrement(1.0);
    }

    pub(crate) fn joined(&self) {
        self.members.increment(1.0);
    }

    pub(crate) fn left(&self) {
        self.members.decrement(1.0);
    }
}

/// Counts events that were dropped, or people who were left out of a presence, because they could
/// not be decoded.
pub(crate) fn undecodable(count: u64) {
    dropped("undecodable").increment(count);
}

/// Counts a query for the history of a topic.
pub(crate) fn topic_read() {
    counter!("seaway_topic_reads_total").increment(1);
}

/// Counts the end of a resume, or a gap on an open connection.
pub(crate) fn topic_recovered(all: bool) {
    let outcome = if all { "all" } else { "gap" };
    counter!("seaway_topic_resumes_total", "outcome" => outcome).increment(1);
}

/// Metrics of the jobs of one channel.
#[cfg(feature = "server")]
pub(crate) struct Jobs {
    channel: String,
    running: Gauge,
    duration: Histogram,
}

#[cfg(feature = "server")]
impl Jobs {
    pub(crate) fn new(channel: &str) -> Self {
        let channel = channel.to_owned();
        Self {
            running: gauge!("seaway_jobs_running", "channel" => channel.clone()),
            duration: histogram!("seaway_job_seconds", "channel" => channel.clone()),
            channel,
        }
    }

    /// Counts a job as running, until the returned value is dropped.
    pub(crate) fn begin(self: std::sync::Arc<Self>) -> RunningJob {
        RunningJob {
            _open: OpenUnit::new(self.running.clone()),
            began: std::time::Instant::now(),
            outcome: "aborted",
            metrics: self,
        }
    }
}

/// A running job, which counts its outcome when it is dropped.
#[cfg(feature = "server")]
pub(crate) struct RunningJob {
    metrics: std::sync::Arc<Jobs>,
    began: std::time::Instant,
    _open: OpenUnit,
    outcome: &'static str,
}

#[cfg(feature = "server")]
impl RunningJob {
    /// Sets how the job ended, and counts it.
    pub(crate) fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

#[cfg(feature = "server")]
impl Drop for RunningJob {
    fn drop(&mut self) {
        let channel = self.metrics.channel.clone();
        counter!("seaway_jobs_total", "channel" => channel, "outcome" => self.outcome).increment(1);
        self.metrics.duration.record(self.began.elapsed());
    }
}

/// Counts jobs that were dropped because no worker took them in time.
pub(crate) fn jobs_expired(jobs: u64) {
    dropped("expired").increment(jobs);
}

/// Counts events that were dropped because the queue of a process in Redis was full.
#[cfg(feature = "redis")]
pub(crate) fn queue_full(queues: u64) {
    dropped("queue_full").increment(queues);
}

fn dropped(reason: &'static str) -> Counter {
    counter!("seaway_events_dropped_total", "reason" => reason)
}

/// Counts messages to a client that were dropped at the bounds of its queue or with its connection.
pub(crate) fn unsent(reason: &'static str, count: u64) {
    if count > 0 {
        counter!("seaway_websocket_messages_dropped_total", "reason" => reason).increment(count);
    }
}

/// Records how full the queue to a client is, in percent of its bounds.
pub(crate) fn queue_filled(percent: u64) {
    static FULLEST: LazyLock<SampledPeak> = LazyLock::new(SampledPeak::new);
    if let Some(sample) = FULLEST.add(percent) {
        histogram!("seaway_websocket_queue_percent").record(sample);
    }
}

/// Counts a notice to a receiver that it may have missed events.
pub(crate) fn missed(reason: &'static str) {
    counter!("seaway_missed_total", "reason" => reason).increment(1);
}

/// Counts a reconnection to Redis, and the time without a connection.
#[cfg(feature = "redis")]
pub(crate) fn redis_reconnected(purpose: &'static str, down: std::time::Duration) {
    counter!("seaway_redis_reconnects_total", "purpose" => purpose).increment(1);
    let millis = u64::try_from(down.as_millis()).unwrap_or(u64::MAX);
    counter!("seaway_redis_down_milliseconds_total", "purpose" => purpose).increment(millis);
}

/// Records how many more groups this process is subscribed to.
#[cfg(feature = "redis")]
pub(crate) fn subscriptions(more: f64) {
    gauge!("seaway_redis_subscriptions").increment(more);
}

/// One unit of a gauge, counted until it is dropped.
struct OpenUnit(Gauge);

impl OpenUnit {
    fn new(open: Gauge) -> Self {
        open.increment(1.0);
        Self(open)
    }
}

impl Drop for OpenUnit {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A connection to Redis.
#[cfg(feature = "redis")]
pub(crate) struct RedisConnection(
    #[expect(dead_code, reason = "it counts until it is dropped")] OpenUnit,
);

#[cfg(feature = "redis")]
impl RedisConnection {
    pub(crate) fn new(purpose: &'static str) -> Self {
        Self(OpenUnit::new(
            gauge!("seaway_redis_up", "purpose" => purpose),
        ))
    }
}

/// An open client connection.
pub(crate) struct OpenConnection(());

impl OpenConnection {
    pub(crate) fn new() -> Self {
        Self::gauge().increment(1.0);
        Self(())
    }

    /// Looked up each time, so that an idle connection does not hold a handle of its own.
    fn gauge() -> Gauge {
        gauge!("seaway_connections_open")
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        Self::gauge().decrement(1.0);
    }
}

/// An open client connection that uses HTTP/2.
pub(crate) struct OpenHttp2Connection(
    #[expect(dead_code, reason = "it counts until it is dropped")] OpenUnit,
);

impl OpenHttp2Connection {
    pub(crate) fn new() -> Self {
        Self(OpenUnit::new(gauge!("seaway_http2_connections_open")))
    }
}

/// An open WebSocket.
pub(crate) struct OpenSocket(());

impl OpenSocket {
    pub(crate) fn new() -> Self {
        Self::gauge().increment(1.0);
        Self(())
    }

    /// One for all, so that an idle connection does not hold a handle of its own.
    fn gauge() -> &'static Gauge {
        static OPEN: OnceLock<Gauge> = OnceLock::new();
        OPEN.get_or_init(|| gauge!("seaway_websockets_open"))
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        Self::gauge().decrement(1.0);
    }
}

/// An open stream of server-sent events.
pub(crate) struct OpenEventStream(
    #[expect(dead_code, reason = "it counts until it is dropped")] OpenUnit,
);

impl OpenEventStream {
    pub(crate) fn new() -> Self {
        Self(OpenUnit::new(gauge!("seaway_event_streams_open")))
    }
}

/// Counts a rejected client, or one that could not be served (the rule `failure`).
pub(crate) fn rejection(rule: &'static str) {
    counter!("seaway_rejections_total", "rule" => rule).increment(1);
}

/// Counters of the bytes between the server and its clients.
pub(crate) struct ByteCounters {
    received: Counter,
    sent: Counter,
}

impl ByteCounters {
    fn of(protocol: &'static str) -> Self {
        Self {
            received: counter!("seaway_received_bytes_total", "protocol" => protocol),
            sent: counter!("seaway_sent_bytes_total", "protocol" => protocol),
        }
    }

    /// Returns the counters of WebSockets, after their handshake.
    pub(crate) fn websocket() -> &'static Self {
        static WEBSOCKET: OnceLock<ByteCounters> = OnceLock::new();
        WEBSOCKET.get_or_init(|| Self::of("websocket"))
    }

    /// Returns the counters of HTTP.
    #[cfg(feature = "server")]
    pub(crate) fn http() -> &'static Self {
        static HTTP: OnceLock<ByteCounters> = OnceLock::new();
        HTTP.get_or_init(|| Self::of("http"))
    }

    pub(crate) fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }
}

/// Counts a failed check of the session or user of an open connection, which is kept or closed.
#[cfg(feature = "sessions")]
pub(crate) fn failed_recheck(outcome: &'static str) {
    counter!("seaway_failed_rechecks_total", "outcome" => outcome).increment(1);
}

/// Counts the response to a WebSocket handshake.
pub(crate) fn handshake(status: http::StatusCode) {
    counter!("seaway_websocket_handshakes_total", "status" => status.as_str().to_owned())
        .increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_values_leaves_few_samples_of_the_highest() {
        let mut peak = SampledPeak::new();
        // As if the next sample were due in an hour.
        *peak.due.get_mut() = 3_600_000;
        let samples = (0..1000).filter_map(|value| peak.add(value % 700));
        assert_eq!(samples.count(), 0);

        *peak.due.get_mut() = 0;

        assert_eq!([peak.add(1), peak.add(1)], [Some(699.0), None]);
    }
}
