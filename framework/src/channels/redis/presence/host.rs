//! One host of the store: commands and subscriptions.

use super::inbox::PresenceInbox;
use crate::{
    channels::{
        LocalChannels,
        local_presence::store::Sink,
        redis::{
            coding::Coding,
            names::{LayerNames, PresenceKeys},
            restart,
            script::{Script, ScriptCall},
        },
    },
    error::{Error, ErrorKind, Result},
    name::GroupName,
    redis_link::{
        CommandFault, Endpoint, Link, LinkNeeds, LinkSettings, NOT_YET, Up, is_malformed_reply,
        remedy,
    },
};
use redis::{FromRedisValue, Pipeline, RedisError, RedisResult, aio::MultiplexedConnection};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OnceCell},
    task::AbortHandle,
    time::{Instant, sleep},
};

/// How much longer a list lasts than it has to: its people have to be removed first.
const MARGIN: Duration = Duration::from_secs(5);

/// One host of the store.
pub(super) struct PresenceHost {
    pub(super) number: usize,
    pub(super) names: LayerNames,
    /// The keys on this host.
    pub(super) keys: PresenceKeys,
    /// The link for commands.
    pub(super) link: Arc<Link>,
    pub(super) endpoint: Endpoint,
    pub(super) silence: Duration,
    pub(super) times: Times,
    /// The id of this process, with its lease.
    pub(super) process: String,
    pub(super) local: LocalChannels,
    pub(super) coding: Arc<Coding>,
    pub(super) sink: Sink,
    /// The link for subscriptions, opened with the first one.
    pub(super) subscriber: OnceCell<PresenceSubscriber>,
    pub(super) lease: Mutex<Lease>,
}

/// The link for subscriptions, and what it receives.
pub(super) struct PresenceSubscriber {
    link: Link,
    inbox: Arc<PresenceInbox>,
}

/// The lease of this process, if it has people on the host.
#[derive(Default)]
pub(super) struct Lease {
    /// The task that renews it.
    pub(super) renewals: Option<AbortHandle>,
    /// When it was taken last; renewals do not count.
    pub(super) taken_at: Option<Instant>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(task) = &self.renewals {
            task.abort();
        }
    }
}

impl PresenceHost {
    /// Returns whether a group is on this host.
    pub(super) fn has(&self, group: &GroupName) -> bool {
        self.names.host_of_presence(group) == self.number
    }

    /// Adds the keys of a script on a group, and its first arguments, for the people of a process.
    pub(super) fn add_keys(&self, call: &mut ScriptCall, group: &GroupName, process: &str) {
        let Times { grace, kept, .. } = self.times;
        let channel = self.keys.people(group.as_str());
        call.arg(&channel)
            .arg(self.keys.connections(group))
            .arg(self.keys.groups(process))
            .arg(self.keys.processes())
            .arg(process)
            .arg(group.as_str())
            .arg(self.command("PUBLISH"))
            .arg(&channel)
            .arg(millis(grace))
            .arg(millis(kept))
            .arg(fresh_epoch());
    }

    /// Returns a call of a script on a group as a whole.
    pub(super) fn call(&self, script: &'static Script, group: &GroupName) -> ScriptCall {
        let Times { grace, kept, .. } = self.times;
        let channel = self.keys.people(group.as_str());
        let mut call = script.call(2);
        call.arg(&channel)
            .arg(self.keys.connections(group))
            .arg(self.command("PUBLISH"))
            .arg(&channel)
            .arg(millis(grace))
            .arg(millis(kept))
            .arg(&self.process)
            .arg(fresh_epoch());
        call
    }

    /// Runs commands that may run twice, once Redis is available.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis refuses one.
    pub(super) async fn run<T: FromRedisValue + Send>(
        &self,
        query: &impl PresenceQuery,
    ) -> Result<T> {
        let (answer, _) = self.run_on(query).await?;
        Ok(answer)
    }

    /// Runs commands as [`run`](Self::run) does; returns the connection too.
    pub(super) async fn run_on<T: FromRedisValue + Send>(
        &self,
        query: &impl PresenceQuery,
    ) -> Result<(T, Up)> {
        repeated(&self.link, query).await
    }

    /// Subscribes to the changes of a group; returns the number of the connection.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis refuses.
    pub(super) async fn subscribe(&self, group: &GroupName) -> Result<u64> {
        let opening = self.subscriber.get_or_try_init(|| async {
            let inbox = Arc::new(PresenceInbox::new(
                self.sink.clone(),
                self.local.clone(),
                self.coding.clone(),
                self.keys.people(""),
            ));
            let settings = LinkSettings {
                purpose: "presence",
                silence: self.silence,
                inbox: inbox.clone(),
                needs: LinkNeeds::Primary,
            };
            let link = Link::open(&self.endpoint, settings).await?;
            Ok::<_, Error>(PresenceSubscriber { link, inbox })
        });
        let link = &opening.await?.link;
        let mut pipe = redis::pipe();
        pipe.cmd(self.command("SUBSCRIBE"))
            .arg(self.keys.people(group.as_str()))
            .ignore();
        let ((), up) = repeated(link, &pipe).await?;
        Ok(up.generation)
    }

    /// Waits until this connection is lost.
    pub(super) async fn lost(&self, generation: u64) {
        if let Some(subscriber) = self.subscriber.get() {
            subscriber.link.left(generation).await;
        }
    }

    pub(super) async fn unsubscribe(&self, group: &GroupName) {
        let Some(subscriber) = self.subscriber.get() else {
            return;
        };
        let channel = self.keys.people(group.as_str());
        subscriber.inbox.ends(&channel);
        let Ok(up) = subscriber.link.current() else {
            return;
        };
        let mut connection = up.connection;
        let mut unsubscribe = redis::cmd(self.command("UNSUBSCRIBE"));
        unsubscribe.arg(channel);
        // A connection that is lost has no subscriptions.
        tokio::select! {
            _ = unsubscribe.exec_async(&mut connection) => {}
            () = self.lost(up.generation) => {}
        }
    }

    /// Returns a command for channels, or that for sharded ones in a Cluster.
    pub(super) fn command(&self, command: &'static str) -> &'static str {
        match (self.names.are_sharded(), command) {
            (true, "SUBSCRIBE") => "SSUBSCRIBE",
            (true, "UNSUBSCRIBE") => "SUNSUBSCRIBE",
            (true, "PUBLISH") => "SPUBLISH",
            (_, command) => command,
        }
    }
}

/// Returns the epoch of a list that begins: exact in Lua, and not that of no list, which is 0.
fn fresh_epoch() -> u64 {
    fastrand::u64(1..1 << 53)
}

/// Commands, or the call of a script.
pub(super) trait PresenceQuery: Sync {
    /// Whether it may publish, and so waits until other processes have subscribed.
    const MAY_PUBLISH: bool;

    fn send<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> impl Future<Output = RedisResult<T>> + Send;
}

impl PresenceQuery for Pipeline {
    const MAY_PUBLISH: bool = false;

    async fn send<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

impl PresenceQuery for ScriptCall {
    const MAY_PUBLISH: bool = true;

    async fn send<T: FromRedisValue + Send>(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<T> {
        self.query_async(connection).await
    }
}

/// Sends commands on the link's connection, and again after faults of it.
async fn repeated<T: FromRedisValue + Send, Q: PresenceQuery>(
    link: &Link,
    query: &Q,
) -> Result<(T, Up)> {
    loop {
        let up = link.up().await;
        let mut connection = up.connection.clone();
        let sending = async {
            if Q::MAY_PUBLISH {
                restart::settled(&up).await;
            }
            query.send::<T>(&mut connection).await
        };
        let sent = tokio::select! {
            sent = sending => sent,
            () = link.left(up.generation) => continue,
        };
        let error = match sent {
            Ok(answer) => return Ok((answer, up)),
            Err(error) => error,
        };
        match link.fault(up.generation, &error) {
            Some(CommandFault::Broken | CommandFault::Moved) => link.left(up.generation).await,
            Some(CommandFault::NotYet) => sleep(NOT_YET).await,
            None => {
                link.replace_if_shifted(up.generation, &error);
                return Err(Error::new(ErrorKind::Layer, refusal(&error)).with_source(error));
            }
        }
    }
}

/// Returns the message for a command that Redis refused.
fn refusal(error: &RedisError) -> String {
    const CHANGED: &str = "; if another program has changed its keys, delete them";
    if is_malformed_reply(error) {
        return format!(
            "Redis has returned a malformed reply to a command for presence; check the proxy \
             between this process and Redis{CHANGED}"
        );
    }
    let remedy = remedy(error).unwrap_or(CHANGED);
    format!("Redis refused a command for presence{remedy}")
}

/// The times of presence.
#[derive(Clone, Copy)]
pub(in crate::channels::redis) struct Times {
    /// How long a process may be silent before its people are removed.
    pub(super) lease: Duration,
    /// How long people are kept without a connection.
    pub(super) grace: Duration,
    /// How long a list lasts that no process refreshes.
    pub(super) kept: Duration,
}

impl Times {
    pub(in crate::channels::redis) fn new(lease: Duration, grace: Duration) -> Self {
        Self {
            lease,
            grace,
            kept: lease
                .saturating_mul(2)
                .saturating_add(grace)
                .saturating_add(MARGIN),
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    // Exact in Lua, and more than the clock of Redis can represent.
    const LONGEST: u64 = 1 << 50;
    u64::try_from(duration.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}
