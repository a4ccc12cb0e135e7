//! Sending to queues: those of processes, and those of named channels.

use super::{
    coding::{Coding, Recipients, since_epoch},
    heartbeat::{heartbeat_key, heartbeat_ttl},
    names::{HostNames, is_of_seaway, is_proxy},
    publisher::{Command, Fate, Publisher},
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
use redis::{RedisError, RedisResult};
use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Adds entries to queues that are not full, and to a full one a note if its entry is dropped then.
/// Its result has, for each queue, the number of entries that waited in it before, or -1 if the key
/// is not that of a queue; the other queues are not affected. As in channels_redis, expired entries
/// are removed first, and the queue expires with its last entry.
///
/// Scores and expiry are those of the clock of Redis, so that a sender whose own clock is wrong
/// does not remove what others have sent. A new entry follows those that wait already, whatever the
/// clocks of their senders are, unless theirs are later than the expiry.
///
/// At `maxmemory`, Redis refuses ZADD, but not after an earlier write of the same script.
static ADD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
local n, waiting = #KEYS, {}
local expiry, note = tonumber(ARGV[3 * n + 1]), ARGV[3 * n + 2]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
for i, queue in ipairs(KEYS) do
  local removed = redis.pcall('ZREMRANGEBYSCORE', queue, 0, math.floor(now - expiry))
  if type(removed) == 'table' then
    if not removed.err:find('WRONGTYPE', 1, true) then return removed end
    waiting[i] = -1
  else
    waiting[i] = redis.call('ZCOUNT', queue, '-inf', '+inf')
    local score, last = now, redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
    last = last and tonumber(last)
    if last and last >= now and last < now + expiry then score = last + 0.000001 end
    score = string.format('%.6f', score)
    if waiting[i] < tonumber(ARGV[n + i]) then
      redis.call('ZADD', queue, score, ARGV[i])
      redis.call('EXPIRE', queue, ARGV[3 * n + 1])
    elseif ARGV[2 * n + i] == '1' then
      redis.call('ZADD', queue, 'NX', score, note)
      redis.call('EXPIRE', queue, ARGV[3 * n + 1])
    end
  end
end
return waiting",
    )
});

/// Removes the proxy of a process that no longer lives from a group.
static REAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])",
    )
});

/// The note for a Seaway process that events for it were dropped because its queue was full.
/// It has no random prefix, so that it is in a queue once at most; it stays where the first drop
/// was.
pub(super) const DROPPED: &[u8] = b"seaway:events-dropped";

/// How long a send waits for a Seaway process whose queue is full. It empties its queue at once,
/// unless it waits for its consumers, 2 s at most, or has ended or is stuck.
const FULL_QUEUE_TIMEOUT: Duration = Duration::from_secs(3);
/// How old the heartbeat key of a process may be that is waited for.
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// How long it is recorded that a process has not emptied its queue in time. It is not waited for
/// again before its queue has room.
const REMEMBERED: Duration = Duration::from_secs(120);

/// A process with this many entries in its queue may have ended.
const SUSPICIOUS: usize = 4;

/// How often a process is checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The sender of entries to queues.
pub(super) struct QueueSender {
    publisher: Arc<Publisher>,
    coding: Arc<Coding>,
    names: HostNames,
    own_queue: String,
    group_expiry: Duration,
    dropped: AtomicU64,
    processes: Mutex<HashMap<String, Process>>,
}

/// What is known of the process that reads a queue.
#[derive(Default)]
struct Process {
    stalled_at: Option<Instant>,
    checked_at: Option<Instant>,
}

/// An entry for one queue.
struct Bucket {
    queue: String,
    entry: Vec<u8>,
    /// How many entries may wait.
    limit: usize,
    /// Whether a Seaway process reads the queue.
    is_of_seaway: bool,
    /// Whether the sender waits if the queue is full, because its process is believed to read it.
    is_waited_for: bool,
    /// Whether the reader is notified if the entry is dropped: the sender gets no error.
    is_noted: bool,
    /// Whether the key of the queue belongs to something else.
    is_refused: bool,
    /// The proxy that the entry is for, if it is for one.
    proxy: Option<GroupProxy>,
}

/// The proxy of a process in a group.
#[derive(Clone)]
struct GroupProxy {
    name: ChannelName,
    group: String,
    /// The heartbeat key of the process, on the host of the group.
    heartbeat: String,
    /// The link to that host.
    link: Arc<Link>,
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
            publisher,
            coding,
            names: names.clone(),
            own_queue: names.own_queue(),
            group_expiry,
            dropped: AtomicU64::new(0),
            processes: Mutex::default(),
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
        let names = self.publisher.send(&members, deadline).await?;
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
        let mut dropped = Vec::new();
        let mut waiting = match self.add_once(buckets, &mut dropped, deadline).await {
            Ok(waiting) => waiting,
            Err(error) => return (dropped, Err(error)),
        };
        let now = Instant::now();
        // The last attempt needs time as well.
        let give_up_at = now + FULL_QUEUE_TIMEOUT.min(deadline.saturating_duration_since(now) / 2);
        let mut pause = FIRST_PAUSE;
        while !waiting.is_empty() {
            let are_all_silent = self.are_silent(&waiting, deadline).await.unwrap_or(true);
            let is_last = are_all_silent || Instant::now() >= give_up_at;
            if !is_last {
                sleep(pause).await;
                pause = LONGEST_PAUSE.min(pause * 2);
            }
            for bucket in &mut waiting {
                if is_last {
                    self.has_stalled(bucket);
                }
                bucket.is_waited_for = !is_last && self.waits_for(bucket);
            }
            waiting = match self.add_once(waiting, &mut dropped, deadline).await {
                Ok(waiting) => waiting,
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

    /// Returns whether the processes that read these queues have not renewed their heartbeat keys
    /// recently.
    async fn are_silent(&self, buckets: &[Bucket], deadline: Instant) -> Result<bool> {
        let keys = buckets.iter().map(|bucket| heartbeat_key(&bucket.queue));
        let heartbeats = HeartbeatKeys(keys.collect());
        let left = self.publisher.send(&heartbeats, deadline).await?;
        let length =
            i64::try_from(heartbeat_ttl(self.coding.expiry).as_millis()).unwrap_or(i64::MAX);
        let longest = i64::try_from(LONGEST_SILENCE.as_millis()).unwrap_or(i64::MAX);
        Ok(left
            .into_iter()
            .all(|left| length.saturating_sub(left) > longest))
    }

    fn waits_for(&self, bucket: &Bucket) -> bool {
        if !bucket.is_of_seaway {
            return false;
        }
        let processes = self.processes();
        let known = processes.get(&bucket.queue);
        known.is_none_or(|process| process.stalled_at.is_none())
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
            sender: self,
            buckets: &buckets,
            own,
        };
        let counts = self.publisher.send(&addition, deadline).await?;
        let mut again = Vec::new();
        for (mut bucket, count) in buckets.into_iter().zip(counts) {
            let Ok(count) = usize::try_from(count) else {
                bucket.is_refused = true;
                dropped.push(bucket);
                continue;
            };
            if count >= SUSPICIOUS {
                self.check(&bucket);
            }
            if count < bucket.limit {
                self.has_room(&bucket);
            } else if bucket.is_waited_for {
                again.push(bucket);
            } else {
                dropped.push(bucket);
            }
        }
        Ok(again)
    }

    /// Records that the process that reads a queue has not emptied it in time.
    fn has_stalled(&self, bucket: &Bucket) {
        let mut processes = self.processes();
        let process = processes.entry(bucket.queue.clone()).or_default();
        process.stalled_at = Some(Instant::now());
    }

    /// Records that the queue of a process has room.
    fn has_room(&self, bucket: &Bucket) {
        if let Some(process) = self.processes().get_mut(&bucket.queue) {
            process.stalled_at = None;
        }
    }

    /// Removes the proxy of a process that may have ended from the group, if it has.
    fn check(&self, bucket: &Bucket) {
        let Some(GroupProxy {
            name,
            group,
            heartbeat,
            link,
        }) = bucket.proxy.clone()
        else {
            return;
        };
        let now = Instant::now();
        {
            let mut processes = self.processes();
            // Processes come and go.
            processes.retain(|_, process| process.is_recent(now));
            let process = processes.entry(bucket.queue.clone()).or_default();
            let is_recent = |at: Instant| now - at < CHECK_EVERY;
            if process.checked_at.is_some_and(is_recent) {
                return;
            }
            process.checked_at = Some(now);
        }
        let Ok(up) = link.current() else {
            return;
        };
        let mut connection = up.connection;
        tokio::spawn(async move {
            let mut reap = REAP.call(2);
            reap.arg(&heartbeat).arg(&group);
            reap.arg(name.as_str());
            // It is checked again with a later event.
            if reap.query_async::<i64>(&mut connection).await == Ok(1) {
                tracing::info!(proxy = %name, group, "removed a member whose process has ended from a group");
            }
        });
    }

    fn processes(&self) -> MutexGuard<'_, HashMap<String, Process>> {
        self.processes
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl Process {
    fn is_recent(&self, now: Instant) -> bool {
        let last = self.stalled_at.max(self.checked_at);
        last.is_some_and(|last| now - last < REMEMBERED)
    }
}

/// Returns how many entries Seaway processes put into the queue of another one, given its capacity:
/// the last quarter is left to Python. So a process whose queue is full knows that Python may have
/// dropped events; Python reports none.
fn seaway_limit(capacity: usize) -> usize {
    (capacity - capacity / 4).max(1)
}

/// The query for the members of a group, which removes expired memberships first.
struct MembersQuery {
    key: String,
    expiry: Duration,
}

impl Command for MembersQuery {
    type Reply = Vec<Vec<u8>>;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
        let expired = since_epoch().saturating_sub(self.expiry).as_secs();
        let mut pipe = redis::pipe();
        pipe.cmd("ZREMRANGEBYSCORE")
            .arg(&self.key)
            .arg(0)
            .arg(expired)
            .ignore();
        pipe.cmd("ZRANGE").arg(&self.key).arg(0).arg(-1);
        let (names,) = pipe.query_async(&mut up.connection).await?;
        Ok(names)
    }

    fn fate(&self, _: &ReceivedLog, _: u64) -> Fate {
        Fate::NotSent
    }
}

/// The query for how long the heartbeat keys of processes last, in milliseconds; negative if they
/// are gone.
struct HeartbeatKeys(Vec<String>);

impl Command for HeartbeatKeys {
    type Reply = Vec<i64>;

    async fn send(&self, up: &mut Up) -> RedisResult<Vec<i64>> {
        let mut pipe = redis::pipe();
        self.0.iter().for_each(|key| _ = pipe.cmd("PTTL").arg(key));
        pipe.query_async(&mut up.connection).await
    }

    fn fate(&self, _: &ReceivedLog, _: u64) -> Fate {
        Fate::NotSent
    }
}

/// The addition of entries to their queues.
struct Addition<'a> {
    sender: &'a QueueSender,
    buckets: &'a [Bucket],
    /// The one for this process.
    own: Option<&'a Bucket>,
}

impl Command for Addition<'_> {
    type Reply = Vec<i64>;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
        let expiry = self.sender.coding.expiry;
        let mut add = ADD.call(self.buckets.len());
        self.buckets
            .iter()
            .for_each(|bucket| _ = add.arg(&bucket.queue));
        self.buckets
            .iter()
            .for_each(|bucket| _ = add.arg(&bucket.entry));
        self.buckets
            .iter()
            .for_each(|bucket| _ = add.arg(bucket.limit));
        for bucket in self.buckets {
            let is_last = !bucket.is_waited_for;
            add.arg(u8::from(bucket.is_noted && is_last));
        }
        add.arg(expiry.as_secs()).arg(DROPPED);
        let counts: Self::Reply = add.query_async(&mut up.connection).await?;
        if counts.len() != self.buckets.len() {
            let message = "the reply has not one number for each queue";
            return Err(RedisError::from((
                redis::ErrorKind::UnexpectedReturnType,
                message,
            )));
        }
        Ok(counts)
    }

    /// Entries are unique, so one that was not received was not added, or was lost with its queue.
    fn fate(&self, received: &ReceivedLog, since: u64) -> Fate {
        let Some(own) = self.own else {
            return Fate::Unknown;
        };
        let evidence = received.find_after(since, own.queue.as_bytes(), &own.entry);
        Fate::after_the_end(evidence, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_queue_is_left_to_python() {
        for (capacity, limit) in [(100, 75), (4, 3), (3, 3), (1, 1)] {
            assert_eq!(seaway_limit(capacity), limit);
        }
    }
}
