//! The addition of entries to queues, which Redis does at once for several queues.

use super::{
    publisher::{Command, Fate, Purpose},
    queue_owners::GroupProxy,
    received::ReceivedLog,
    script::Script,
};
use crate::redis_link::Up;
use redis::{RedisError, RedisResult};
use std::{sync::LazyLock, time::Duration};

/// The addition of entries to their queues.
pub(super) struct Addition<'a> {
    pub(super) buckets: &'a [Bucket],
    /// The one for this process.
    pub(super) own: Option<&'a Bucket>,
    pub(super) expiry: Duration,
}

/// An entry for one queue.
pub(super) struct Bucket {
    pub(super) queue: String,
    pub(super) entry: Vec<u8>,
    /// How many entries may wait.
    pub(super) limit: usize,
    /// Whether a Seaway process reads the queue.
    pub(super) is_of_seaway: bool,
    /// Whether the sender waits if the queue is full, because its process is believed to read it.
    pub(super) is_waited_for: bool,
    /// Whether the reader is notified if the entry is dropped: the sender gets no error.
    pub(super) is_noted: bool,
    /// Whether the key of the queue belongs to something else.
    pub(super) is_refused: bool,
    /// The proxy that the entry is for, if it is for one.
    pub(super) proxy: Option<GroupProxy>,
}

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

/// The note for a Seaway process that events for it were dropped because its queue was full.
/// It has no random prefix, so that it is in a queue once at most; it stays where the first drop
/// was.
pub(super) const DROPPED: &[u8] = b"seaway:events-dropped";

/// Returns how many entries Seaway processes put into the queue of another one, given its capacity:
/// the last quarter is left to Python. So a process whose queue is full knows that Python may have
/// dropped events; Python reports none.
pub(super) fn seaway_limit(capacity: usize) -> usize {
    (capacity - capacity / 4).max(1)
}

impl Command for Addition<'_> {
    const PURPOSE: Purpose = Purpose::SEND_EVENT;
    type Reply = Vec<i64>;

    async fn send(&self, up: &mut Up) -> RedisResult<Self::Reply> {
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
        add.arg(self.expiry.as_secs()).arg(DROPPED);
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
