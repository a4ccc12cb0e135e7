//! The memberships of this process in groups, with the format of queues.

use super::{
    coding::{redis_time, score},
    heartbeat::HeartbeatKey,
    host_part::HostPart,
    names::{HostNames, Proxies},
    pending_gap::{Notice, PendingGap},
    restart::WireCommands,
    subscriptions::{Added, CommandFuture, Registrar},
};
use crate::{
    channels::LocalChannels,
    name::{ChannelName, GroupName},
    redis_link::{Up, are_two_runs, refusal_code},
};
use redis::{RedisResult, aio::MultiplexedConnection};
use std::{future::ready, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Registers this process and its groups in Redis.
pub(super) struct Memberships {
    local: LocalChannels,
    names: HostNames,
    part: HostPart,
    proxies: Arc<Proxies>,
    heartbeat: HeartbeatKey,
    group_expiry: Duration,
    /// The run of Redis that this process was registered with; `None` before the first.
    run: Option<Option<Arc<str>>>,
    /// When the last registration began, and whether Redis has this process' heartbeat key for it.
    began: Instant,
    is_alive: RedisResult<()>,
    lost: Option<Notice>,
    /// The gap after a restart or failover, on a host where this process has no queue, and so no
    /// reader of it that detects gaps.
    gap: Option<PendingGap>,
}

impl Memberships {
    pub(super) fn new(
        local: LocalChannels,
        names: &HostNames,
        part: HostPart,
        proxies: Arc<Proxies>,
        life: HeartbeatKey,
        group_expiry: Duration,
    ) -> Self {
        Self {
            local,
            names: names.clone(),
            part,
            proxies,
            heartbeat: life,
            group_expiry,
            run: None,
            began: Instant::now(),
            is_alive: Ok(()),
            lost: None,
            gap: None,
        }
    }

    /// Detects gaps too: this process has no queue on the host.
    pub(super) fn alone(mut self) -> Self {
        self.gap = Some(PendingGap::new(WireCommands::Queueing));
        self
    }

    /// Notes the gap before this connection to another run of Redis.
    async fn find_gap(&mut self, up: &Up) {
        if let Some(gap) = &mut self.gap {
            gap.connected(up, self.local.opened()).await;
        }
    }

    /// Returns the gap before the memberships were registered again.
    async fn gap(&mut self, up: &Up) -> Option<Notice> {
        self.gap.as_mut()?.settled(up).await
    }
}

impl Registrar for Memberships {
    fn part(&self) -> &HostPart {
        &self.part
    }

    fn lost(&mut self) {
        if let Some(gap) = &mut self.gap {
            gap.lost(self.local.opened());
        }
    }

    fn lost_by_redis(&mut self) {
        let (since, opened) = (*self.heartbeat.confirmed(), self.local.opened());
        let reason = "Redis has lost the heartbeat key of this process";
        let notice = self.lost.get_or_insert(Notice {
            since,
            opened,
            reason,
        });
        notice.opened = notice.opened.max(opened);
    }

    /// If the same run of Redis has lost the heartbeat key, then other processes may have
    /// removed the members of this one, or the data of Redis was deleted. What was sent meanwhile
    /// is lost. Another run is a matter of the connection that receives, if there is one.
    async fn connected(&mut self, up: &Up) {
        loaded(up).await;
        self.began = Instant::now();
        let run = self.run.as_ref();
        match run.map(|run| are_two_runs(run.as_deref(), up.run_id.as_deref())) {
            Some(true) => self.find_gap(up).await,
            // The memberships were there all the time.
            Some(false) => {
                let none = PendingGap::new(WireCommands::Queueing);
                self.gap = self.gap.take().map(|_| none);
            }
            None => {}
        }
        let mut connection = up.connection.clone();
        self.is_alive = match self.heartbeat.renew(&mut connection).await {
            Ok(true) => Ok(()),
            Ok(false) => {
                let run = self.run.as_ref();
                let is_other =
                    |run: &Option<Arc<str>>| are_two_runs(run.as_deref(), up.run_id.as_deref());
                if run.is_some_and(|run| !is_other(run)) {
                    self.lost_by_redis();
                }
                // A process without a heartbeat key has no members.
                self.heartbeat.create(&mut connection).await
            }
            // A connection that broke is replaced by one that asks again.
            Err(error) => Err(error),
        };
    }

    async fn confirmed(&mut self, up: &Up) {
        *self.heartbeat.confirmed() = self.began;
        let gap = self.gap(up).await;
        self.run = Some(up.run_id.clone());
        if let Some(notice) = self.lost.take().or(gap) {
            notice.notify(&self.local, &self.part);
        }
    }

    fn register(&self, _: &MultiplexedConnection) -> CommandFuture {
        Box::pin(ready(self.is_alive.clone()))
    }

    /// Redis at its `maxmemory` refuses even to add a member that it has, whose events arrive.
    fn add(
        &self,
        connection: &MultiplexedConnection,
        groups: &[GroupName],
    ) -> CommandFuture<Added> {
        let groups = groups.iter();
        let members: Vec<_> = groups
            .map(|group| (self.names.of_group(group), self.proxies.of(group)))
            .collect();
        let seconds = self.group_expiry.as_secs();
        let mut connection = connection.clone();
        // A script would do it at once, but its errors do not name the command that is not permitted.
        Box::pin(async move {
            let time = redis::cmd("TIME").query_async(&mut connection).await?;
            let now = score(redis_time(time));
            let mut pipe = redis::pipe();
            for (key, proxy) in &members {
                let (join, member) = (pipe.cmd("ZADD"), proxy.as_str());
                join.arg(key).arg(&now).arg(member).ignore();
                pipe.cmd("EXPIRE").arg(key).arg(seconds).ignore();
            }
            match pipe.exec_async(&mut connection).await {
                Ok(()) => Ok(Added::Confirmed),
                Err(error)
                    if refusal_code(&error).as_deref() == Some("OOM")
                        && are_members(&members, &mut connection).await? =>
                {
                    Ok(Added::Kept(error))
                }
                Err(error) => Err(error),
            }
        })
    }

    fn remove(&self, connection: &MultiplexedConnection, groups: &[GroupName]) -> CommandFuture {
        let mut pipe = redis::pipe();
        for group in groups {
            let (key, proxy) = (self.names.of_group(group), self.proxies.of(group));
            pipe.cmd("ZREM").arg(&key).arg(proxy.as_str()).ignore();
            self.proxies.remove(group);
        }
        run(connection, pipe)
    }
}

/// Returns whether all these proxies are members of the groups with these keys.
async fn are_members(
    members: &[(String, ChannelName)],
    connection: &mut MultiplexedConnection,
) -> RedisResult<bool> {
    let mut pipe = redis::pipe();
    for (key, proxy) in members {
        pipe.cmd("ZSCORE").arg(key).arg(proxy.as_str());
    }
    let scores: Vec<Option<f64>> = pipe.query_async(connection).await?;
    Ok(scores.iter().all(Option::is_some))
}

/// The pause between two questions whether Redis has loaded its data.
const LOADING_PAUSE: Duration = Duration::from_millis(25);

/// Waits while Redis loads its data after a restart: meanwhile it refuses commands.
async fn loaded(up: &Up) {
    let mut connection = up.connection.clone();
    while let Err(error) = redis::cmd("PING").exec_async(&mut connection).await
        && error.code() == Some("LOADING")
    {
        sleep(LOADING_PAUSE).await;
    }
}

fn run(connection: &MultiplexedConnection, pipe: redis::Pipeline) -> CommandFuture {
    let mut connection = connection.clone();
    Box::pin(async move { pipe.exec_async(&mut connection).await })
}
