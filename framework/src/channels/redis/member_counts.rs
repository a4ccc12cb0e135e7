//! How many members groups have in all processes: each process stores its own numbers, by the same
//! scripts and leases as presence, under names of its own.

use super::{
    names::LayerNames,
    presence::{Hosted, RedisPresence, Times},
};
use crate::{
    channels::{
        LocalChannels,
        local_presence::store::{
            Changes, Declaration, Declared, PresenceStore, Sink, StoreListener,
        },
        redis::coding::Coding,
    },
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    name::GroupName,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, Weak},
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};

/// How long changes of the numbers are collected before they are stored.
const WINDOW: Duration = Duration::from_millis(100);

/// The pause after Redis has refused a number.
const RETRY: Duration = Duration::from_secs(1);

/// The number of groups whose numbers are stored at once, on each host.
const AT_ONCE: usize = 32;

/// Under which all members of a group are counted.
const MEMBERS: &str = "members";

/// The numbers of members in all processes.
pub(super) struct MemberCounts {
    store: Arc<RedisPresence>,
    limit: Duration,
    /// One for each host. They end with the layer.
    _tasks: JoinSet<()>,
}

/// The numbers of this process that are still to be stored.
struct OwnCounts {
    local: LocalChannels,
    changed: Arc<Changed>,
}

/// The groups whose numbers have changed, by host: one that is unavailable does not delay those of
/// the others.
struct Changed {
    names: LayerNames,
    hosts: Vec<ChangedOnHost>,
}

#[derive(Default)]
struct ChangedOnHost {
    groups: Mutex<HashSet<GroupName>>,
    added: Notify,
}

impl MemberCounts {
    pub(super) fn new(
        hosts: impl IntoIterator<Item = Hosted>,
        names: &LayerNames,
        lease: Duration,
        limit: Duration,
        local: &LocalChannels,
        coding: &Arc<Coding>,
    ) -> Self {
        let hosts: Vec<_> = hosts.into_iter().collect();
        let changed = Arc::new(Changed {
            names: names.clone(),
            hosts: hosts.iter().map(|_| ChangedOnHost::default()).collect(),
        });
        let own = Arc::new(OwnCounts {
            local: local.clone(),
            changed: changed.clone(),
        });
        let sink: Weak<OwnCounts> = Arc::downgrade(&own);
        let times = Times::new(lease, Duration::ZERO);
        let store = RedisPresence::new(hosts, names, times, local, coding, &Sink::new(sink));
        let store = Arc::new(store);
        let mut tasks = JoinSet::new();
        for host in 0..changed.hosts.len() {
            tasks.spawn(own.clone().keep_stored(host, store.clone(), lease));
        }
        local.on_member_count(move |group| changed.add(group.clone()));
        Self {
            store,
            limit,
            _tasks: tasks,
        }
    }

    /// Returns how many members a group has, as the processes have stored it.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis refuses, or does not respond in time.
    pub(super) async fn of(&self, group: &GroupName) -> Result<u64> {
        match timeout(self.limit, self.store.totals(group)).await {
            Ok(totals) => Ok(totals?.connections),
            Err(_) => {
                let seconds = self.limit.as_secs_f32();
                let message = format!("the members of {group} were not counted within {seconds} s");
                Err(Error::new(ErrorKind::Layer, message))
            }
        }
    }
}

impl OwnCounts {
    /// Stores each number of a host that has changed, and all of them once in a lease: Redis may
    /// have lost some.
    async fn keep_stored(
        self: Arc<Self>,
        host: usize,
        store: Arc<RedisPresence>,
        period: Duration,
    ) {
        let changed = &self.changed.hosts[host];
        let mut refresh_at = Instant::now() + period;
        loop {
            let is_refresh = tokio::select! {
                biased;
                () = sleep_until(refresh_at) => true,
                () = changed.added.notified() => false,
            };
            if is_refresh {
                refresh_at = Instant::now() + period;
                self.lost_by_store(&|group| self.changed.host_of(group) == host);
            }
            sleep(WINDOW).await;
            let due = mem::take(&mut *changed.groups());
            let storing = stream::iter(due).map(|group| {
                let (own, store) = (self.clone(), store.clone());
                async move { own.store(&store, group, is_refresh).await }
            });
            let stored = storing.buffer_unordered(AT_ONCE);
            let are_all_stored = stored.fold(true, async |all, is_stored| all && is_stored);
            if !are_all_stored.await {
                sleep(RETRY).await;
            }
        }
    }

    /// Stores how many members a group has in this process; returns whether Redis has accepted it.
    /// If not, it is due again.
    async fn store(&self, store: &RedisPresence, group: GroupName, is_refresh: bool) -> bool {
        let count = u32::try_from(self.local.members(&group)).unwrap_or(u32::MAX);
        let own = [Declaration {
            key: MEMBERS.into(),
            count,
            meta: Bytes::new(),
            stamp: 0,
        }];
        let storing = async {
            if is_refresh {
                store.refresh(&group).await?;
            }
            store.declare(&group, &own).await
        };
        match storing.await {
            Ok(Declared::Stored(_)) => true,
            Ok(Declared::ProcessUnknown) => {
                // There is a lease now.
                self.changed.add(group);
                true
            }
            Err(error) => {
                self.changed.add(group);
                log_limited!(
                    warn,
                    error = %format_args!("{error:#}"),
                    "cannot store how many members a group has; retrying"
                );
                false
            }
        }
    }
}

impl StoreListener for OwnCounts {
    /// Only the totals are read.
    fn received(&self, _: &GroupName, _: Changes) {}

    fn lost_by_store(&self, concerns: &dyn Fn(&GroupName) -> bool) {
        let groups = self.local.groups().into_iter();
        groups
            .filter(|group| concerns(group))
            .for_each(|group| self.changed.add(group));
    }

    fn stored(self: Arc<Self>, group: &GroupName) {
        self.changed.add(group.clone());
    }

    fn is_connected(&self, concerns: &dyn Fn(&GroupName) -> bool) -> bool {
        self.local.groups().iter().any(concerns)
    }
}

impl Changed {
    fn host_of(&self, group: &GroupName) -> usize {
        self.names.host_of_presence(group)
    }

    fn add(&self, group: GroupName) {
        self.hosts[self.host_of(&group)].add(group);
    }
}

impl ChangedOnHost {
    fn add(&self, group: GroupName) {
        self.groups().insert(group);
        self.added.notify_one();
    }

    fn groups(&self) -> MutexGuard<'_, HashSet<GroupName>> {
        self.groups
            .lock()
            .expect("no code panics while it holds this lock")
    }
}
