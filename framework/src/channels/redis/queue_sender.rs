//! Sending to queues: those of processes, and those of named channels.

use super::{
    addition::{Addition, Bucket, seaway_limit},
    coding::{Coding, Recipients},
    heartbeat::heartbeat_key,
    names::{HostNames, is_of_seaway, is_proxy},
    publisher::{Command, Fate, Publisher, Purpose},
    queue_owners::{GroupProxy, QueueOwners},
    received::ReceivedLog,
    script::Script,
};
use crate::{
    channels::Envelope,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName},
    redis_link::{Link, Up},
};
use redis::RedisResult;
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long a send waits for a Seaway process whose queue is full. It empties its queue at once,
/// unless it waits for its consumers, 2 s at most, or has ended or is stuck.
const FULL_QUEUE_TIMEOUT: Duration = Duration::from_secs(3);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// A process with this many entries in its queue may have ended.
const SUSPICIOUS: usize = 4;

/// The sender of entries to queues.
pub(super) struct QueueSender {
    publisher: Arc<Publisher>,
    coding: Arc<Coding>,
    names: HostNames,
    own_queue: String,
    group_expiry: Duration,
    dropped: AtomicU64,
    owners: QueueOwners,
}

/// The host of a group, which may be another one than that of its members' queues.
pub(super) struct GroupHost<'a> {
    pub(super) names: &'a HostNames,
    pub(super) link: &'a Arc<Link>,
}

impl QueueSender {
    pub(super) fn new(
        publisher: Arc<Publisher>,
        coding: Arc<Coding>,
        names: &HostNames,
        group_expiry: Duration,
    ) -> Self {
        Self {
            owners: QueueOwners::new(publisher.clone(), coding.expiry),
            publisher,
            coding,
            names: names.clone(),
            own_queue: names.own_queue(),
            group_expiry,
            dropped: AtomicU64::new(0),
        }
    }

    /// Returns how many entries were dropped because a queue was full.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Sends an event to a named channel or to a consumer's channel.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelFull`] if its queue is full, and those of [`Publisher::send`].
    pub(super) async fn send(&self, channel: &ChannelName, envelope: &Envelope) -> Result<()> {
        let recipients = match channel.is_worker_queue() {
            true => Recipients::Queue,
            false => Recipients::Channel(channel),
        };
        let bucket = self.bucket(channel, envelope, recipients)?;
        let (full, added) = self.add(vec![bucket], self.publisher.deadline()).await;
        added?;
        match full.first() {
            None => Ok(()),
            Some(full) if full.is_refused => {
                let message = format!(
                    "Redis refused to send an event: its key {} is not a sorted set, as that of a queue; delete it",
                    full.queue
                );
                Err(Error::new(ErrorKind::Layer, message))
            }
            Some(full) if channel.is_worker_queue() => {
                Err(Error::channel_full(channel, full.limit))
            }
            Some(full) => {
                let message = format!(
                    "the queue of the channel {channel} is full ({} events): its process receives too slowly, or has ended",
                    full.limit
                );
                Err(Error::new(ErrorKind::ChannelFull, message))
            }
        }
    }

    /// Returns the members of a group in all processes.
    pub(super) async fn members(
        &self,
        group: &GroupName,
        deadline: Instant,
    ) -> Result<Vec<ChannelName>> {
        let members = MembersQuery {
            key: self.names.of_group(group),
            expiry: self.group_expiry,
        };
        let names = match self.publisher.send(&members, deadline).await {
            Ok(names) => names,
            Err(error) if error.kind() == ErrorKind::Layer => {
                let message = format!(
                    "cannot read the members of {group}, the key {}",
                    members.key
                );
                return Err(Error::new(ErrorKind::Layer, message).with_source(error));
            }
            Err(error) => return Err(error),
        };
        // Anything else that another program has put there is no name.
        let names = names
            .into_iter()
            .filter_map(|name| String::from_utf8(name).ok());
        Ok(names
            .filter_map(|name| ChannelName::new(name).ok())
            .collect())
    }

    /// Sends an event to these members of a group, whose queues are on this host: one entry for
    /// each queue. Full queues are counted and logged. `groups` is the host of the group.
    ///
    /// # Errors
    /// Those of [`Publisher::send`].
    pub(super) async fn send_to(
        &self,
        group: &GroupName,
        members: Vec<ChannelName>,
        groups: GroupHost<'_>,
        envelope: &Envelope,
        deadline: Instant,
    ) -> Result<()> {
        let mut by_queue: Vec<(String, Vec<ChannelName>)> = Vec::new();
        let mut indexes = HashMap::new();
        for member in members {
            let queue = self.names.queue_of(&member);
            let index = *indexes.entry(queue.clone()).or_insert_with(|| {
                by_queue.push((queue, Vec::new()));
                by_queue.len() - 1
            });
            by_queue[index].1.push(member);
        }
        let group_key = groups.names.of_group(group);
        let buckets: Result<Vec<_>> = by_queue
            .into_iter()
            .map(|(_, members)| {
                let mut bucket =
                    self.bucket(&members[0], envelope, Recipients::Members(&members))?;
                bucket.is_noted = bucket.is_of_seaway;
                let proxy = members.into_iter().find(is_proxy);
                bucket.proxy = proxy.map(|name| GroupProxy {
                    heartbeat: heartbeat_key(&groups.names.queue_of(&name)),
                    name,
                    group: group_key.clone(),
                    link: groups.link.clone(),
                });
                Ok(bucket)
            })
            .collect();
        let (full, added) = self.add(buckets?, deadline).await;
        self.count_dropped(group, &full);
        added
    }

    fn count_dropped(&self, group: &GroupName, full: &[Bucket]) {
        let queues = full.len();
        if queues == 0 {
            return;
        }
        let total = self.dropped.fetch_add(queues as u64, Ordering::Relaxed) + queues as u64;
        metric::queue_full(queues as u64);
        match full.iter().find(|bucket| bucket.is_refused) {
            Some(Bucket { queue, .. }) => log_limited!(
                warn,
                %group,
                key = %queue,
                total,
                "dropped an event for a process whose queue in Redis is another type of key; delete the key"
            ),
            None => log_limited!(
                warn,
                %group,
                queues,
                total,
                "dropped an event for processes whose queue in Redis is full: they receive more slowly than events arrive, or have ended"
            ),
        }
    }

    fn bucket(
        &self,
        channel: &ChannelName,
        envelope: &Envelope,
        recipients: Recipients<'_>,
    ) -> Result<Bucket> {
        let capacity = self.coding.capacities.of(channel);
        let is_of_seaway = is_of_seaway(channel);
        Ok(Bucket {
            queue: self.names.queue_of(channel),
            entry: self.coding.encode_entry(envelope, recipients)?,
            limit: if is_of_seaway {
                seaway_limit(capacity)
            } else {
                capacity
            },
            is_of_seaway,
            is_waited_for: false,
            is_noted: false,
            is_refused: false,
            proxy: None,
        })
    }

    /// Adds entries to their queues; returns those that were dropped, because their queue is full.
    async fn add(&self, mut buckets: Vec<Bucket>, deadline: Instant) -> (Vec<Bucket>, Result<()>) {
        for bucket in &mut buckets {
            bucket.is_waited_for = self.waits_for(bucket);
        }
        let (mut dropped, count) = (Vec::new(), buckets.len());
        let mut waiting = match self.add_once(buckets, &mut dropped, deadline).await {
            Ok(waiting) => waiting,
            Err(error) => return (dropped, Err(error)),
        };
        let now = Instant::now();
        // The last attempt needs time as well.
        let give_up_at = now + FULL_QUEUE_TIMEOUT.min(deadline.saturating_duration_since(now) / 2);
        let mut pause = FIRST_PAUSE;
        while !waiting.is_empty() {
            let queues = waiting.iter().map(|bucket| &*bucket.queue);
            let are_all_silent = self.owners.are_silent(queues, deadline).await;
            let are_all_silent = are_all_silent.unwrap_or(true);
            let is_last = are_all_silent || Instant::now() >= give_up_at;
            if !is_last {
                sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            for bucket in &mut waiting {
                if is_last {
                    self.owners.record_stalled(&bucket.queue);
                }
                bucket.is_waited_for = !is_last && self.waits_for(bucket);
            }
            let is_in_none = waiting.len() + dropped.len() == count;
            waiting = match self.add_once(waiting, &mut dropped, deadline).await {
                Ok(waiting) => waiting,
                Err(error) if is_in_none => return (dropped, Err(error)),
                // Other queues have it already.
                Err(error) => {
                    let message = "an event has reached some processes; it is not known whether it has reached the others";
                    let error = Error::new(ErrorKind::Unconfirmed, message).with_source(error);
                    return (dropped, Err(error));
                }
            };
        }
        (dropped, Ok(()))
    }

    fn waits_for(&self, bucket: &Bucket) -> bool {
        bucket.is_of_seaway && !self.owners.is_stalled(&bucket.queue)
    }

    /// Tries to add entries to their queues; returns those whose queue is full and that are to be
    /// tried again. The others that were not added are dropped.
    async fn add_once(
        &self,
        buckets: Vec<Bucket>,
        dropped: &mut Vec<Bucket>,
        deadline: Instant,
    ) -> Result<Vec<Bucket>> {
        if buckets.is_empty() {
            return Ok(buckets);
        }
        let own = buckets.iter().find(|bucket| bucket.queue == self.own_queue);
        let addition = Addition {
            buckets: &buckets,
            own,
            expiry: self.coding.expiry,
        };
        let counts = self.publisher.send(&addition, deadline).await?;
        let mut again = Vec::new();
        for (mut bucket, count) in buckets.into_iter().zip(counts) {
            let Ok(count) = usize::try_from(count) else {
                bucket.is_refused = true;
                dropped.push(bucket);
                continue;
            };
            if count >= SUSPICIOUS
                && let Some(proxy) = &bucket.proxy
            {
                self.owners.check(&bucket.queue, proxy);
            }
            if count < bucket.limit {
                self.owners.record_room(&bucket.queue);
            } else if bucket.is_waited_for {
                again.push(bucket);
            } else {
                dropped.push(bucket);
            }
        }
        Ok(again)
    }
}

/// Returns the members of a group. Removes those first that have expired, by the clock of Redis.
static MEMBERS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local expired = redis.call('TIME')[1] - ARGV[1]
local removed = redis.pcall('ZREMRANGEBYSCORE', KEYS[1], 0, expired)
if type(removed) == 'table' then return removed end
return redis.call('ZRANGE', KEYS[1], 0, -1)",
    )
});

/// The query for the members of a group, which removes expired memberships first.
struct MembersQuery {
    key: String,
    expiry: Duration,
}

impl Command for MembersQuery {
    const PURPOSE: Purpose = Purpose::read("the list of a group's members");
    type Reply = Vec<Vec<u8>>;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
        let mut members = MEMBERS.call(1);
        members.arg(&self.key).arg(self.expiry.as_secs());
        members.query_async(&mut up.connection).await
    }

    fn fate(&self, _: &ReceivedLog, _: u64) -> Fate {
        Fate::NotSent
    }
}
