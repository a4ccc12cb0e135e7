//! A measurement under load: warm-up, observation, drain.
//!
//! Clients and observer run in the same thread, so a count and a clock that are read one after the
//! other are consistent.

use std::{
    io::{Error, Result},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    figures::{Figure, Sample},
    gauge::Gauge,
    redis::Redis,
    server::Server,
};

/// How long after the end of the load a delivery may still arrive before it counts as lost.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// The durations of warm-up and observation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The duration of the load before the observation.
    pub(crate) warm_up: Duration,
    /// The duration of the observation.
    pub(crate) watch: Duration,
}

impl Pace {
    /// Returns these durations multiplied by `factor`.
    pub(crate) fn times(self, factor: u32) -> Self {
        Self {
            warm_up: self.warm_up * factor,
            watch: self.watch * factor,
        }
    }
}

/// The state that clients and observer share.
pub(crate) struct Course {
    began: Instant,
    is_open: AtomicBool,
    is_watched: AtomicBool,
    sent: AtomicU64,
    expected: AtomicU64,
    heard: AtomicU64,
    /// Notified when no delivery is missing any more.
    complete: Notify,
    latencies_ns: Mutex<Vec<u32>>,
}

impl Course {
    /// Returns an open course.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            is_open: AtomicBool::new(true),
            is_watched: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            expected: AtomicU64::new(0),
            heard: AtomicU64::new(0),
            complete: Notify::new(),
            latencies_ns: Mutex::default(),
        })
    }

    /// Returns the time since the start of this course.
    pub(crate) fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Returns whether clients may send more.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Relaxed)
    }

    /// Counts a message that this many clients must receive.
    pub(crate) fn expect(&self, count: u64) {
        self.sent.fetch_add(1, Relaxed);
        self.expected.fetch_add(count, Relaxed);
    }

    /// Counts a delivery of a message that was sent at `sent_ns`.
    pub(crate) fn hear(&self, sent_ns: u64, now_ns: u64) {
        self.heard.fetch_add(1, Relaxed);
        if self.missing() == 0 {
            self.complete.notify_waiters();
        }
        if self.is_watched.load(Relaxed) {
            let latency_ns = u32::try_from(now_ns.saturating_sub(sent_ns)).unwrap_or(u32::MAX);
            self.latencies_ns
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(latency_ns);
        }
    }

    /// Waits until everything that was sent has been delivered.
    pub(crate) async fn all_heard(&self) {
        loop {
            // Created before the check, so that a notification in between is not missed.
            let complete = self.complete.notified();
            if self.missing() == 0 {
                return;
            }
            complete.await;
        }
    }

    /// Observes the server while the clients run; they run until they are dropped.
    ///
    /// # Errors
    ///
    /// If a client fails, or if nothing was delivered.
    pub(crate) async fn run(
        &self,
        server: &Server,
        mut clients: JoinSet<Result<()>>,
        pace: Pace,
    ) -> Result<Sample> {
        tokio::select! {
            sample = self.watch(server, pace) => sample,
            Some(ended) = clients.join_next() => Err(match ended {
                Ok(Err(error)) => error,
                Ok(Ok(())) => Error::other("a client ended before its time"),
                Err(panic) => Error::other(panic),
            }),
        }
    }

    async fn watch(&self, server: &Server, pace: Pace) -> Result<Sample> {
        let commands = server.redis().map(Redis::commands).transpose()?;
        let sent = self.sent.load(Relaxed);

        sleep(pace.warm_up).await;
        let first = self.read(server)?;
        self.is_watched.store(true, Relaxed);

        sleep(pace.watch).await;
        self.is_watched.store(false, Relaxed);
        let last = self.read(server)?;

        self.is_open.store(false, Relaxed);
        // Deliveries that are still missing count as lost.
        let _ = timeout(DRAIN_LIMIT, self.all_heard()).await;
        let mut sample = self.sample(&first, &last)?;
        if let (Some(redis), Some(commands)) = (server.redis(), commands) {
            // From the first message to the last delivery, so that every command of a message is
            // counted.
            let commands = (redis.commands()? - commands) as f64;
            let sent = (self.sent.load(Relaxed) - sent) as f64;
            sample
                .figures
                .push((Figure::RedisCommands, commands / sent));
        }
        Ok(sample)
    }

    fn sample(&self, first: &Reading, last: &Reading) -> Result<Sample> {
        let mut latencies_ns = std::mem::take(
            &mut *self
                .latencies_ns
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let heard = (last.heard - first.heard) as f64;
        if heard == 0.0 || latencies_ns.is_empty() {
            return Err(Error::other("nothing was heard"));
        }
        let elapsed = last.at - first.at;
        let cpu = last.server_cpu - first.server_cpu;
        let own_cpu = last.own_cpu - first.own_cpu;
        let mut figures = vec![
            (Figure::PerSecond, heard / elapsed.as_secs_f64()),
            (Figure::MedianUs, percentile_us(&mut latencies_ns, 50)),
            (Figure::NinetyNinthUs, percentile_us(&mut latencies_ns, 99)),
            (Figure::CpuUs, cpu.as_secs_f64() * 1e6 / heard),
        ];
        if let (Some(first_cpu), Some(last_cpu)) = (first.redis_cpu, last.redis_cpu) {
            let cpu = last_cpu - first_cpu;
            let sent = (last.sent - first.sent) as f64;
            figures.push((Figure::RedisCpuUs, cpu.as_secs_f64() * 1e6 / sent));
        }
        Ok(Sample {
            figures,
            lost: self.missing(),
            client_share: own_cpu.as_secs_f64() / elapsed.as_secs_f64(),
        })
    }

    fn missing(&self) -> u64 {
        self.expected
            .load(Relaxed)
            .saturating_sub(self.heard.load(Relaxed))
    }

    fn read(&self, server: &Server) -> Result<Reading> {
        Ok(Reading {
            server_cpu: server.cpu()?,
            redis_cpu: server.redis().map(Redis::cpu).transpose()?,
            own_cpu: Gauge::of(std::process::id()).cpu()?,
            sent: self.sent.load(Relaxed),
            heard: self.heard.load(Relaxed),
            at: Instant::now(),
        })
    }
}

/// The clocks and the counts at one point in time.
struct Reading {
    server_cpu: Duration,
    redis_cpu: Option<Duration>,
    own_cpu: Duration,
    sent: u64,
    heard: u64,
    at: Instant,
}

fn percentile_us(values_ns: &mut [u32], percent: usize) -> f64 {
    let rank = (values_ns.len() - 1) * percent / 100;
    let (_, value_ns, _) = values_ns.select_nth_unstable(rank);
    f64::from(*value_ns) / 1e3
}
