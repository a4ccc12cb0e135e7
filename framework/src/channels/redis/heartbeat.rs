//! The heartbeat key of a process with queues: a key that it renews, and that expires when it ends.

use super::{
    membership_check::{CheckedMemberships, MembershipCheck},
    names::HostNames,
    readiness::Status,
    subscriptions::Subscriptions,
};
use crate::redis_link::Link;
use redis::{RedisResult, aio::MultiplexedConnection};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long the heartbeat key lasts if it is not renewed. Then other processes remove the members of
/// this one.
const HEARTBEAT_TTL: Duration = Duration::from_secs(30);

/// The same if events expire earlier.
const SHORTEST_TTL: Duration = Duration::from_secs(5);

/// How often the heartbeat key is renewed. As often, a process detects that Redis has lost it.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(1);

/// The heartbeat key of this process, which expires.
#[derive(Clone)]
pub(super) struct HeartbeatKey {
    key: Arc<str>,
    ttl: Duration,
    /// The last time from which Redis is known to have had the key and all memberships.
    confirmed: Arc<Mutex<Instant>>,
}

impl HeartbeatKey {
    /// `expiry` is that of events: when the key is gone, events may be as well.
    pub(super) fn new(names: &HostNames, expiry: Duration) -> Self {
        Self {
            key: heartbeat_key(&names.own_queue()).into(),
            ttl: heartbeat_ttl(expiry),
            confirmed: Arc::new(Mutex::new(Instant::now())),
        }
    }

    /// Returns whether Redis still has the key, and renews it.
    pub(super) async fn renew(&self, connection: &mut MultiplexedConnection) -> RedisResult<bool> {
        let mut expire = redis::cmd("EXPIRE");
        expire.arg(&*self.key).arg(self.ttl.as_secs());
        expire.query_async(connection).await
    }

    /// Creates the key, before the memberships of this process are registered. Nothing else creates
    /// it: its absence shows that Redis may have lost the memberships too.
    pub(super) async fn create(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut set = redis::cmd("SET");
        set.arg(&*self.key).arg(1);
        set.arg("EX").arg(self.ttl.as_secs());
        set.exec_async(connection).await
    }

    pub(super) fn confirmed(&self) -> MutexGuard<'_, Instant> {
        self.confirmed
            .lock()
            .expect("no code panics while it holds this lock")
    }

    /// Renews the key, and the memberships before they expire, for as long as it runs. If Redis has
    /// lost the key or a membership, it may have lost others: all are registered again, and
    /// consumers are notified.
    pub(super) async fn renew_forever(
        &self,
        link: &Link,
        subscriptions: &Subscriptions,
        mut check: MembershipCheck,
        group_expiry: Duration,
    ) {
        let mut refreshed = Instant::now();
        loop {
            sleep(HEARTBEAT).await;
            let mut up = link.up().await;
            // Otherwise it is about to be registered.
            if !matches!(
                subscriptions.readiness().status(),
                Status::Restored { generation, .. } if generation == up.generation
            ) {
                continue;
            }
            let checked = match self.renew(&mut up.connection).await {
                Ok(true) => check.next(&mut up.connection, subscriptions).await,
                Ok(false) => Ok(CheckedMemberships::Missing),
                Err(error) => Err(error),
            };
            match checked {
                Ok(CheckedMemberships::Missing) => subscriptions.renew(),
                Ok(CheckedMemberships::All { since }) => *self.confirmed() = since,
                // A connection that broke is replaced, and this process registered on the next one.
                Ok(CheckedMemberships::Part) | Err(_) => {}
            }
            // Redis may refuse for hours, as at its `maxmemory`.
            let pause = match subscriptions.is_refresh_refused() {
                true => group_expiry / 30,
                false => group_expiry / 3,
            };
            if refreshed.elapsed() >= pause {
                refreshed = Instant::now();
                subscriptions.refresh();
            }
        }
    }
}

/// Returns how long the heartbeat key of a process lasts, given how long events may wait.
pub(super) fn heartbeat_ttl(expiry: Duration) -> Duration {
    HEARTBEAT_TTL.min(expiry).max(SHORTEST_TTL)
}

/// Returns the key that exists while the Seaway process with this queue lives.
pub(super) fn heartbeat_key(queue: &str) -> String {
    // A `$` is not valid in the name of a channel.
    format!("{queue}$alive")
}
