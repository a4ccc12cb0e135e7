//! The processes that read queues, as a sender knows them: those that have stalled, or have ended.

use super::{
    heartbeat::{heartbeat_key, heartbeat_ttl},
    publisher::{Command, Fate, Publisher, Purpose},
    received::ReceivedLog,
    script::Script,
};
use crate::{
    error::Result,
    name::ChannelName,
    redis_link::{Link, Up},
};
use redis::RedisResult;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// Removes the proxy of a process that no longer lives from a group.
static REAP: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "\
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
return redis.call('ZREM', KEYS[2], ARGV[1])",
    )
});

/// How old the heartbeat key of a process may be that is waited for.
const LONGEST_SILENCE: Duration = Duration::from_millis(2500);

/// How long it is recorded that a process has not emptied its queue in time. It is not waited for
/// again before its queue has room.
const REMEMBERED: Duration = Duration::from_secs(120);

/// How often a process is checked.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// The processes that read the queues of one host.
pub(super) struct QueueOwners {
    publisher: Arc<Publisher>,
    /// How long events are kept.
    expiry: Duration,
    /// By the names of their queues.
    owners: Mutex<HashMap<String, Owner>>,
}

/// What is known of the process that reads a queue.
#[derive(Default)]
struct Owner {
    stalled_at: Option<Instant>,
    checked_at: Option<Instant>,
}

/// The proxy of a process in a group.
#[derive(Clone)]
pub(super) struct GroupProxy {
    pub(super) name: ChannelName,
    pub(super) group: String,
    /// The heartbeat key of the process, on the host of the group.
    pub(super) heartbeat: String,
    /// The link to that host.
    pub(super) link: Arc<Link>,
}

impl QueueOwners {
    pub(super) fn new(publisher: Arc<Publisher>, expiry: Duration) -> Self {
        Self {
            publisher,
            expiry,
            owners: Mutex::default(),
        }
    }

    /// Returns whether the process that reads a queue has not emptied it in time.
    pub(super) fn is_stalled(&self, queue: &str) -> bool {
        let owners = self.owners();
        let known = owners.get(queue);
        known.is_some_and(|owner| owner.stalled_at.is_some())
    }

    /// Records that the process that reads a queue has not emptied it in time.
    pub(super) fn record_stalled(&self, queue: &str) {
        let mut owners = self.owners();
        let owner = owners.entry(queue.to_owned()).or_default();
        owner.stalled_at = Some(Instant::now());
    }

    /// Records that the queue of a process has room.
    pub(super) fn record_room(&self, queue: &str) {
        if let Some(owner) = self.owners().get_mut(queue) {
            owner.stalled_at = None;
        }
    }

    /// Returns whether the processes that read these queues have not renewed their heartbeat keys
    /// recently.
    pub(super) async fn are_silent(
        &self,
        queues: impl Iterator<Item = &str>,
        deadline: Instant,
    ) -> Result<bool> {
        let heartbeats = HeartbeatKeys(queues.map(heartbeat_key).collect());
        let left = self.publisher.send(&heartbeats, deadline).await?;
        let length = i64::try_from(heartbeat_ttl(self.expiry).as_millis()).unwrap_or(i64::MAX);
        let longest = i64::try_from(LONGEST_SILENCE.as_millis()).unwrap_or(i64::MAX);
        Ok(left
            .into_iter()
            .all(|left| length.saturating_sub(left) > longest))
    }

    /// Removes the proxy of a process that may have ended from the group, if it has.
    pub(super) fn check(&self, queue: &str, proxy: &GroupProxy) {
        let GroupProxy {
            name,
            group,
            heartbeat,
            link,
        } = proxy.clone();
        let now = Instant::now();
        {
            let mut owners = self.owners();
            // Processes come and go.
            owners.retain(|_, owner| owner.is_recent(now));
            let owner = owners.entry(queue.to_owned()).or_default();
            let is_recent = |at: Instant| now - at < CHECK_EVERY;
            if owner.checked_at.is_some_and(is_recent) {
                return;
            }
            owner.checked_at = Some(now);
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

    fn owners(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        self.owners
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl Owner {
    fn is_recent(&self, now: Instant) -> bool {
        let last = self.stalled_at.max(self.checked_at);
        last.is_some_and(|last| now - last < REMEMBERED)
    }
}

/// The query for how long the heartbeat keys of processes last, in milliseconds; negative if they
/// are gone.
struct HeartbeatKeys(Vec<String>);

impl Command for HeartbeatKeys {
    const PURPOSE: Purpose = Purpose::read("the heartbeat of another process");
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
