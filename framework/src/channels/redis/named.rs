//! Receiving from named channels: queues that several processes take jobs from.

use super::{
    coding::{Coding, since_epoch},
    inbox::popped_entry,
    names::Names,
    publisher::NOT_YET,
};
use crate::{
    channels::Envelope,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::ChannelName,
    redis_link::{Fault, Link, LinkSettings, NoInbox, Place, Up},
};
use futures_util::future::BoxFuture;
use redis::{RedisResult, Value};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout_at},
};

/// How much longer than its timeout the reply to BZPOPMIN is waited for.
const LATE: Duration = Duration::from_secs(2);

/// The shortest timeout of BZPOPMIN.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// The named channels that this process takes jobs from. Each has a connection of its own, because
/// BZPOPMIN blocks it.
pub(super) struct NamedChannels {
    place: Place,
    silence: Duration,
    names: Names,
    coding: Arc<Coding>,
    receivers: Mutex<HashMap<ChannelName, Arc<Mutex<Receiver>>>>,
}

struct Receiver {
    link: Link,
    /// The command under way, and the number of its connection: that of a call that was dropped is
    /// finished by the next one.
    under_way: Option<(u64, BoxFuture<'static, RedisResult<Value>>)>,
}

impl NamedChannels {
    pub(super) fn new(place: Place, silence: Duration, names: &Names, coding: Arc<Coding>) -> Self {
        Self {
            place,
            silence,
            names: names.clone(),
            coding,
            receivers: Mutex::default(),
        }
    }

    /// Takes the oldest job of a named channel; waits for one about as long as `wait`, and returns
    /// `None` if none came.
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
    ) -> Result<Option<Envelope>> {
        if !channel.is_worker_queue() {
            let message =
                format!("{channel} is not the name of a worker queue, because it has a `!`");
            return Err(Error::new(ErrorKind::Name, message));
        }
        let receiver = self.receiver(channel).await?;
        let mut receiver = receiver.lock().await;
        let queue = self.names.queue_of(channel);
        let start = Instant::now();
        loop {
            let left = wait.saturating_sub(start.elapsed());
            let Some((entry, score)) = receiver.pop(&queue, left).await? else {
                return Ok(None);
            };
            if let Some(job) = self.open(channel, &entry, score) {
                return Ok(Some(job));
            }
            if start.elapsed() >= wait {
                return Ok(None);
            }
        }
    }

    /// Returns the time of the oldest job of a named channel as a score, if Redis is available and
    /// there is one. The command under way comes first, if there is one.
    pub(super) async fn oldest(&self, channel: &ChannelName) -> Option<f64> {
        let receiver = self.receiver(channel).await.ok()?;
        let receiver = receiver.lock().await;
        if receiver.under_way.is_some() {
            return Some(0.0);
        }
        let mut connection = receiver.link.current().ok()?.connection;
        let mut oldest = redis::cmd("ZRANGE");
        oldest
            .arg(self.names.queue_of(channel))
            .arg(0)
            .arg(0)
            .arg("WITHSCORES");
        let asking = oldest.query_async::<Vec<(Vec<u8>, f64)>>(&mut connection);
        let answer = timeout_at(Instant::now() + LATE, asking).await.ok()?.ok()?;
        answer.first().map(|(_, score)| *score)
    }

    fn open(&self, channel: &ChannelName, entry: &[u8], score: f64) -> Option<Envelope> {
        let age = since_epoch().as_secs_f64() - score;
        if age > self.coding.expiry.as_secs_f64() {
            metric::jobs_expired(1);
            log_limited!(warn, %channel, seconds = age, "dropped a job that has waited longer than its expiry");
            return None;
        }
        let job = self.coding.decode_entry(entry)?;
        Some(Envelope::from_bytes(job.event))
    }

    async fn receiver(&self, channel: &ChannelName) -> Result<Arc<Mutex<Receiver>>> {
        let mut receivers = self.receivers.lock().await;
        if let Some(receiver) = receivers.get(channel) {
            return Ok(receiver.clone());
        }
        let settings = LinkSettings {
            purpose: "jobs",
            silence: self.silence,
            inbox: Arc::new(NoInbox),
        };
        let receiver = Arc::new(Mutex::new(Receiver {
            link: Link::open(&self.place, settings).await?,
            under_way: None,
        }));
        receivers.insert(channel.clone(), receiver.clone());
        Ok(receiver)
    }
}

impl Receiver {
    async fn pop(&mut self, queue: &str, wait: Duration) -> Result<Option<(Vec<u8>, f64)>> {
        let (generation, under_way) = match &mut self.under_way {
            Some(under_way) => under_way,
            None => {
                let Up {
                    mut connection,
                    generation,
                    ..
                } = self.link.current()?;
                let mut pop = redis::cmd("BZPOPMIN");
                // 0 would wait without a limit.
                pop.arg(queue).arg(wait.max(SHORTEST_WAIT).as_secs_f64());
                let popping = async move { pop.query_async(&mut connection).await };
                self.under_way.insert((generation, Box::pin(popping)))
            }
        };
        let late = Instant::now() + wait + LATE;
        let Ok(popped) = timeout_at(late, under_way).await else {
            return Ok(None);
        };
        let generation = *generation;
        self.under_way = None;
        let error = match popped.and_then(popped_entry) {
            Ok(popped) => return Ok(popped),
            Err(error) => error,
        };
        let fault = match self.link.replace_if_shifted(generation, &error) {
            true => Some(Fault::Broken),
            false => self.link.fault(generation, &error),
        };
        match fault {
            Some(Fault::Broken) => {
                let message = "the connection to Redis broke while it was waiting for a job; one job may be lost";
                Err(Error::new(ErrorKind::Unconfirmed, message).with_source(error))
            }
            Some(Fault::Moved | Fault::NotYet) => {
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
