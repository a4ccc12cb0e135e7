//! Receiving from named channels: queues that several processes take jobs from.

use super::{
    coding::{Coding, redis_time, since_epoch},
    names::HostNames,
    pops::popped_entry,
};
use crate::{
    channels::{Envelope, queues::deadline_after},
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::ChannelName,
    redis_link::{CommandFault, Endpoint, LazyLink, LinkNeeds, LinkSettings, NOT_YET, NoInbox, Up},
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, MaybeDone, maybe_done},
};
use redis::{RedisResult, Value};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How much longer than its timeout the reply to BZPOPMIN is waited for, if there is no other host.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// How long a host is waited for that is asked for its oldest job. One that does not respond in
/// time costs this once: until it does, its jobs and the command under way are left alone.
const RESPONSE_LIMIT: Duration = Duration::from_millis(100);

/// The shortest timeout of BZPOPMIN.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The longest timeout of BZPOPMIN: until Redis has replied to it, it replies to no ping, and a
/// silent connection is replaced.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

const UNPOISONED: &str = "no code panics while it holds this lock";

/// A job that was taken.
struct TakenJob {
    entry: Vec<u8>,
    /// How long it has waited, in seconds, by the clock of Redis; by that of this process if Redis
    /// refuses to tell the time.
    age: f64,
}

/// The named channels that this process takes jobs from. Each has a connection of its own, because
/// BZPOPMIN blocks it.
pub(super) struct NamedChannels {
    endpoint: Endpoint,
    silence: Duration,
    names: HostNames,
    coding: Arc<Coding>,
    receivers: Mutex<HashMap<ChannelName, Arc<AsyncMutex<JobReader>>>>,
}

/// A BZPOPMIN and its result.
type Popping = MaybeDone<BoxFuture<'static, RedisResult<Option<TakenJob>>>>;

struct JobReader {
    link: LazyLink,
    /// The BZPOPMIN under way, and the number of its connection: that of a call that was dropped is
    /// finished by the next one.
    popping: Option<(u64, Popping)>,
    /// The question under way for the time of the oldest job.
    looking: Option<BoxFuture<'static, Option<f64>>>,
}

impl NamedChannels {
    pub(super) fn new(
        endpoint: Endpoint,
        silence: Duration,
        names: &HostNames,
        coding: Arc<Coding>,
    ) -> Self {
        Self {
            endpoint,
            silence,
            names: names.clone(),
            coding,
            receivers: Mutex::default(),
        }
    }

    /// Takes the oldest job of a named channel; waits for one about as long as `wait`, for a reply
    /// that is late as much longer as `late`, and returns `None` if none came.
    ///
    /// A job is taken by one process. Jobs that have waited longer than their expiry are counted,
    /// logged and skipped, and so are those that cannot be decoded. `$inflight` of channels_redis
    /// is not used: with it, a second Python worker takes a job again that another one is just
    /// taking.
    ///
    /// # Cancel safety
    /// Safe: a job that a dropped call has taken is returned by the next one.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis is unavailable or refuses; nothing was taken then.
    /// [`ErrorKind::Unconfirmed`] if the connection broke: one job may be lost.
    pub(super) async fn receive(
        &self,
        channel: &ChannelName,
        wait: Duration,
        late: Duration,
    ) -> Result<Option<Envelope>> {
        if !channel.is_worker_queue() {
            let message =
                format!("{channel} is not the name of a worker queue, because it has a `!`");
            return Err(Error::new(ErrorKind::Name, message));
        }
        let receiver = self.receiver(channel);
        let mut receiver = receiver.lock().await;
        let queue = self.names.queue_of(channel);
        let start = Instant::now();
        loop {
            let left = wait.saturating_sub(start.elapsed());
            let taken = receiver.pop(&queue, left, late).await?;
            if let Some(job) = taken.and_then(|taken| self.open(channel, taken)) {
                return Ok(Some(job));
            }
            if start.elapsed() >= wait {
                return Ok(None);
            }
        }
    }

    /// Returns the job that a call of [`receive`](Self::receive) was still taking when it returned;
    /// waits until Redis has replied, or the connection is lost.
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    pub(super) async fn finish_receiving(&self, channel: &ChannelName) -> Result<Option<Envelope>> {
        let receiver = self.receiver(channel);
        let mut receiver = receiver.lock().await;
        if receiver.popping.is_none() {
            return Ok(None);
        }
        let queue = self.names.queue_of(channel);
        let taken = receiver.pop(&queue, Duration::ZERO, Duration::MAX).await?;
        Ok(taken.and_then(|taken| self.open(channel, taken)))
    }

    /// Returns the time of the oldest job of a named channel as a score, if Redis responds and
    /// there is one. The job of a call that was dropped comes first.
    pub(super) async fn oldest(&self, channel: &ChannelName) -> Option<f64> {
        let receiver = self.receiver(channel);
        // Another call is taking a job there.
        let mut receiver = receiver.try_lock().ok()?;
        receiver.oldest(self.names.queue_of(channel)).await
    }

    fn open(&self, channel: &ChannelName, TakenJob { entry, age }: TakenJob) -> Option<Envelope> {
        if age > self.coding.expiry.as_secs_f64() {
            metric::jobs_expired(1);
            log_limited!(warn, %channel, seconds = age, "dropped a job that has waited longer than its expiry");
            return None;
        }
        let job = self.coding.decode_job(channel, &entry)?;
        Some(Envelope::from_bytes(job))
    }

    fn receiver(&self, channel: &ChannelName) -> Arc<AsyncMutex<JobReader>> {
        let mut receivers = self.receivers.lock().expect(UNPOISONED);
        let receiver = receivers.entry(channel.clone()).or_insert_with(|| {
            let settings = LinkSettings {
                purpose: "jobs",
                silence: self.silence,
                inbox: Arc::new(NoInbox),
                needs: LinkNeeds::Primary,
            };
            Arc::new(AsyncMutex::new(JobReader {
                link: LazyLink::new(&self.endpoint, settings),
                popping: None,
                looking: None,
            }))
        });
        receiver.clone()
    }
}

impl JobReader {
    /// Returns the time of the oldest job, if Redis has responded in time.
    async fn oldest(&mut self, queue: String) -> Option<f64> {
        if let Some((_, popping)) = &mut self.popping {
            return popping.now_or_never().map(|()| 0.0);
        }
        let (looking, wait) = match &mut self.looking {
            Some(looking) => (looking, Duration::ZERO),
            None => {
                let link = self.link.open_within(RESPONSE_LIMIT).await?;
                let mut connection = link.current().ok()?.connection;
                let looking = async move {
                    let mut oldest = redis::cmd("ZRANGE");
                    oldest.arg(queue).arg(0).arg(0).arg("WITHSCORES");
                    let oldest = oldest.query_async::<Vec<(Vec<u8>, f64)>>(&mut connection);
                    oldest.await.ok()?.first().map(|(_, score)| *score)
                };
                (self.looking.insert(Box::pin(looking)), RESPONSE_LIMIT)
            }
        };
        let oldest = timeout(wait, looking).await.ok()?;
        self.looking = None;
        oldest
    }

    /// Takes a job, if there is one within `wait` or [`LONGEST_WAIT`].
    async fn pop(
        &mut self,
        queue: &str,
        wait: Duration,
        late: Duration,
    ) -> Result<Option<TakenJob>> {
        let deadline = deadline_after(wait.saturating_add(late));
        let Some(link) = self.link.open_by(deadline).await? else {
            return Ok(None);
        };
        let (generation, popping) = match &mut self.popping {
            Some(popping) => popping,
            None => {
                let Up {
                    mut connection,
                    generation,
                    ..
                } = link.current()?;
                // No worker may be left for a job that a host takes from its queue later.
                if let Some(looking) = &mut self.looking {
                    if timeout_at(deadline, looking).await.is_ok() {
                        self.looking = None;
                    }
                    return Ok(None);
                }
                let mut pop = redis::pipe();
                // A job is not lost because the user may not ask for the time.
                pop.ignore_errors();
                // 0 would wait without a limit.
                let wait = wait.clamp(SHORTEST_WAIT, LONGEST_WAIT);
                pop.cmd("BZPOPMIN").arg(queue).arg(wait.as_secs_f64());
                // Redis replies to it when the other one has ended.
                pop.cmd("TIME");
                let popping = async move { taken(pop.query_async(&mut connection).await?) }.boxed();
                self.popping.insert((generation, maybe_done(popping)))
            }
        };
        if timeout_at(deadline, &mut *popping).await.is_err() {
            return Ok(None);
        }
        let popped = Pin::new(popping).take_output();
        let popped = popped.expect("its output is taken once");
        let generation = *generation;
        self.popping = None;
        let error = match popped {
            Ok(popped) => return Ok(popped),
            Err(error) => error,
        };
        let fault = match link.replace_if_shifted(generation, &error) {
            true => Some(CommandFault::Broken),
            false => link.fault(generation, &error),
        };
        match fault {
            Some(CommandFault::Broken) => {
                let message = "the connection to Redis broke while it was waiting for a job; one job may be lost";
                Err(Error::new(ErrorKind::Unconfirmed, message).with_source(error))
            }
            Some(CommandFault::Moved | CommandFault::NotYet) => {
                sleep(NOT_YET).await;
                Ok(None)
            }
            None => {
                let message = "Redis refused to return a job";
                Err(Error::new(ErrorKind::Layer, message).with_source(error))
            }
        }
    }
}

/// Returns the job that was taken, if there was one, from the replies to BZPOPMIN and TIME.
fn taken(
    (popped, time): (RedisResult<Value>, RedisResult<(u64, u32)>),
) -> RedisResult<Option<TakenJob>> {
    let Some((entry, score)) = popped_entry(popped?)? else {
        return Ok(None);
    };
    let now = time.map_or_else(|_| since_epoch(), redis_time);
    let age = now.as_secs_f64() - score;
    Ok(Some(TakenJob { entry, age }))
}
