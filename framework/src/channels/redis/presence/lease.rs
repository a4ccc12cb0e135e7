//! The lease of this process, and the removal of people of processes whose lease has ended.

use super::{
    host::{PresenceHost, Times, millis},
    scripts,
};
use crate::{error::Result, log_limit::log_limited, name::GroupName};
use futures_util::future::try_join_all;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// The part of a lease after which it is renewed: two renewals may fail.
const RENEWALS: u32 = 3;

/// How long another process has to remove the people of a process.
const CLAIM: Duration = Duration::from_secs(3);

/// How long after a refused renewal the next one begins, at most: others may remove the people of
/// this process as soon as Redis accepts writes again.
const RETRY: Duration = Duration::from_secs(1);

/// The number of people that one script removes.
const MOST_REMOVED: usize = 1000;

/// The number of the pass over a group that is the last one if it finds no one: after the first,
/// there is another one only if Redis was restarted meanwhile, or has a wrong number of people.
const MOST_PASSES: u8 = 3;

/// The number of processes whose people one process removes at a time.
const MOST_PROCESSES: usize = 100;

/// The number of groups from which people are removed at once.
const MOST_GROUPS: usize = 16;

/// How much later than the end of a lease it is checked, at most: at random, so that one of many
/// processes is first.
const SPREAD: Duration = Duration::from_millis(100);

/// The result of renewing a lease.
struct LeaseState {
    was_held: bool,
    /// When the lease of another process ends.
    next: Duration,
    ended: Vec<String>,
    /// The number of the connection to Redis.
    connection: u64,
}

impl PresenceHost {
    /// Takes a lease, which is renewed for as long as this process has people on the host, unless it
    /// was taken since `refused_since`: when a declaration was sent that needs one.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if Redis refuses.
    pub(super) async fn take_lease(self: &Arc<Self>, refused_since: Instant) -> Result<()> {
        let mut held = self.lease.lock().await;
        if held.taken_at.is_some_and(|at| at >= refused_since) {
            return Ok(());
        }
        let began = Instant::now();
        let renewals = held.renewals.as_ref();
        let is_renewed = renewals.is_some_and(|task| !task.is_finished());
        let most = if is_renewed { 0 } else { MOST_PROCESSES };
        let renewal = self.renew(most).await?;
        if !renewal.was_held {
            // Others may have removed them.
            self.sink.lost_by_store(|group| self.has(group));
        }
        if !is_renewed {
            let renewals = renew_until_released(Arc::downgrade(self), renewal, began);
            held.renewals = Some(tokio::spawn(renewals).abort_handle());
        }
        held.taken_at = Some(began);
        Ok(())
    }

    /// Renews the lease, and claims at most `most` processes that have ended.
    async fn renew(&self, most: usize) -> Result<LeaseState> {
        let Times { lease, kept, .. } = self.times;
        let process = &self.process;
        let mut call = scripts::RENEW.call(2);
        call.arg(self.keys.processes())
            .arg(self.keys.groups(process))
            .arg(process)
            .arg(millis(lease))
            // Longer than a list lasts of which an ended process has a part.
            .arg(2 * millis(kept))
            .arg(millis(CLAIM))
            .arg(most);
        let ((was_held, next, ended), up) = self.run_on::<(i64, i64, Vec<String>)>(&call).await?;
        Ok(LeaseState {
            was_held: was_held == 1,
            next: Duration::from_millis(u64::try_from(next).unwrap_or(0)),
            ended,
            connection: up.generation,
        })
    }

    /// Has this process compare the groups in which Redis has people of it: after a failover or a
    /// restart, Redis may have lost that some of them have left.
    async fn compare(&self) -> Result<()> {
        let (groups, _) = self.groups_of(&self.process).await?;
        groups.iter().for_each(|group| self.sink.stored(group));
        Ok(())
    }

    /// Returns the groups in which a process has people, and names of other programs among them.
    async fn groups_of(&self, process: &str) -> Result<(Vec<GroupName>, Vec<Vec<u8>>)> {
        let mut members = redis::pipe();
        members.cmd("SMEMBERS").arg(self.keys.groups(process));
        let (members,) = self.run::<(Vec<Vec<u8>>,)>(&members).await?;
        let (mut groups, mut unknown) = (Vec::new(), Vec::new());
        for member in members {
            let name = str::from_utf8(&member).ok();
            match name.and_then(|name| GroupName::new(name).ok()) {
                Some(group) => groups.push(group),
                None => unknown.push(member),
            }
        }
        Ok((groups, unknown))
    }

    /// Gives back the lease of a process that has no people; returns whether it is gone.
    /// `is_ended`: only if it has ended.
    async fn release(&self, process: &str, is_ended: bool) -> Result<bool> {
        let mut call = scripts::RELEASE.call(2);
        call.arg(self.keys.processes())
            .arg(self.keys.groups(process))
            .arg(process)
            .arg(u8::from(is_ended));
        Ok(self.run::<i64>(&call).await? == 1)
    }

    async fn remove(&self, process: &str) -> Result<usize> {
        let (groups, others) = self.groups_of(process).await?;
        let mut unknown = redis::pipe();
        for member in others {
            let key = self.keys.groups(process);
            unknown.cmd("SREM").arg(key).arg(member).ignore();
        }
        if !unknown.is_empty() {
            self.run::<()>(&unknown).await?;
        }
        for groups in groups.chunks(MOST_GROUPS) {
            let removing = groups.iter().map(|group| self.remove_from(process, group));
            try_join_all(removing).await?;
        }
        self.release(process, true).await?;
        Ok(groups.len())
    }

    /// Removes the people of a process from a group, some at a time.
    async fn remove_from(&self, process: &str, group: &GroupName) -> Result<()> {
        let (mut passes, mut from) = (1, "0".to_owned());
        while !from.is_empty() {
            let mut call = scripts::REAP.call(4);
            self.add_keys(&mut call, group, process);
            call.arg(MOST_REMOVED)
                .arg(&from)
                .arg(u8::from(passes >= MOST_PASSES));
            let (next, removed) = self.run::<(String, u64)>(&call).await?;
            passes += u8::from(next == "0" && removed == 0);
            from = next;
        }
        Ok(())
    }
}

/// Removes the people of processes whose lease has ended.
async fn remove_all(host: Weak<PresenceHost>, ended: Vec<String>) {
    for process in ended {
        let Some(host) = host.upgrade() else {
            return;
        };
        match host.remove(&process).await {
            Ok(groups) => {
                tracing::info!(
                    process,
                    groups,
                    "removed the people of a process that has ended from its presences"
                );
            }
            // Any process tries again later.
            Err(error) => log_limited!(
                warn,
                process,
                error = %format_args!("{error:#}"),
                "cannot remove the people of a process that has ended"
            ),
        }
    }
}

/// Renews the lease until this process has no people on the host, and removes those of processes
/// whose lease has ended.
async fn renew_until_released(host: Weak<PresenceHost>, first: LeaseState, began: Instant) {
    let (mut renewal, mut began) = (first, began);
    let mut compared = None;
    // Beside the renewals: it may take longer than the lease.
    let mut removing = JoinSet::new();
    loop {
        let Some(present) = host.upgrade() else {
            return;
        };
        if !renewal.ended.is_empty() {
            removing.spawn(remove_all(host.clone(), renewal.ended));
        }
        if compared != Some(renewal.connection) && present.compare().await.is_ok() {
            compared = Some(renewal.connection);
        }
        let pause = renewal.next.min(present.times.lease / RENEWALS);
        drop(present);
        sleep_until(began + pause + SPREAD.mul_f64(fastrand::f64())).await;
        let Some(host) = host.upgrade() else {
            return;
        };
        let mut held = host.lease.lock().await;
        // A removal that has begun is to end.
        if removing.is_empty() && !host.sink.is_connected(|group| host.has(group)) {
            let process = &host.process;
            if host.release(process, false).await.unwrap_or(false) {
                held.renewals = None;
                return;
            }
        }
        began = Instant::now();
        while removing.try_join_next().is_some() {}
        let most = if removing.is_empty() {
            MOST_PROCESSES
        } else {
            0
        };
        renewal = match host.renew(most).await {
            Ok(renewal) => renewal,
            Err(error) => {
                log_limited!(
                    warn,
                    error = %format_args!("{error:#}"),
                    "cannot renew the lease of this process' people; retrying"
                );
                LeaseState {
                    was_held: true,
                    next: RETRY,
                    ended: Vec::new(),
                    connection: renewal.connection,
                }
            }
        };
        if !renewal.was_held {
            host.sink.lost_by_store(|group| host.has(group));
        }
    }
}
