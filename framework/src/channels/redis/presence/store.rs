//! The store of presence, on all hosts.

use super::{
    host::{PresenceHost, Times, millis},
    scripts,
};
use crate::{
    channels::{
        LocalChannels,
        local_presence::store::{
            Declaration, Declared, PersonKey, PresenceStore, Sink, Snapshot, Totals, Version,
        },
        redis::{
            coding::Coding,
            names::{LayerNames, PresenceKeys},
        },
    },
    error::Result,
    name::GroupName,
    redis_link::{Endpoint, Link},
};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, OnceCell},
    time::Instant,
};

/// The store of presence, on all hosts.
pub(in crate::channels::redis) struct RedisPresence {
    names: LayerNames,
    hosts: Vec<Arc<PresenceHost>>,
}

/// What a host of the layer gives to presence.
pub(in crate::channels::redis) struct Hosted {
    pub(in crate::channels::redis) keys: PresenceKeys,
    pub(in crate::channels::redis) link: Arc<Link>,
    pub(in crate::channels::redis) endpoint: Endpoint,
    pub(in crate::channels::redis) silence: Duration,
}

impl RedisPresence {
    pub(in crate::channels::redis) fn new(
        hosts: impl IntoIterator<Item = Hosted>,
        names: &LayerNames,
        times: Times,
        local: &LocalChannels,
        coding: &Arc<Coding>,
        sink: &Sink,
    ) -> Self {
        let hosts = hosts.into_iter().enumerate().map(|(number, hosted)| {
            Arc::new(PresenceHost {
                number,
                process: names.presence_process(millis(times.lease)),
                names: names.clone(),
                keys: hosted.keys,
                link: hosted.link,
                endpoint: hosted.endpoint,
                silence: hosted.silence,
                times,
                local: local.clone(),
                coding: coding.clone(),
                sink: sink.clone(),
                subscriber: OnceCell::new(),
                lease: Mutex::default(),
            })
        });
        Self {
            names: names.clone(),
            hosts: hosts.collect(),
        }
    }

    fn host(&self, group: &GroupName) -> &Arc<PresenceHost> {
        &self.hosts[self.names.host_of_presence(group)]
    }
}

/// Returns the version that a script has returned, or that a list has.
fn version((epoch, number): (String, u64)) -> Option<Version> {
    let epoch = epoch.parse().ok()?;
    Some(Version { epoch, number })
}

#[async_trait]
impl PresenceStore for RedisPresence {
    async fn subscribe(&self, group: &GroupName) -> Result<u64> {
        self.host(group).subscribe(group).await
    }

    async fn lost(&self, group: &GroupName, subscription: u64) {
        self.host(group).lost(subscription).await;
    }

    async fn unsubscribe(&self, group: &GroupName) {
        self.host(group).unsubscribe(group).await;
    }

    async fn own(&self, group: &GroupName) -> Result<Vec<PersonKey>> {
        self.host(group).own(group).await
    }

    async fn read(&self, group: &GroupName) -> Result<Snapshot> {
        self.host(group).read(group).await
    }

    async fn totals(&self, group: &GroupName) -> Result<Totals> {
        let host = self.host(group);
        let key = host.keys.people(group.as_str());
        let mut pipe = redis::pipe();
        pipe.cmd("HLEN").arg(&key);
        pipe.cmd("HGET").arg(&key).arg("c");
        let (fields, connections) = host.run::<(u64, Option<u64>)>(&pipe).await?;
        Ok(Totals {
            // Without epoch, number and connections.
            people: fields.saturating_sub(3),
            connections: connections.unwrap_or(0),
        })
    }

    async fn declare(&self, group: &GroupName, people: &[Declaration]) -> Result<Declared> {
        let host = self.host(group);
        let mut call = scripts::DECLARE.call(4);
        host.add_keys(&mut call, group, &host.process);
        for person in people {
            call.arg(&*person.key)
                .arg(person.count)
                .arg(person.stamp)
                .arg(&host.coding.seal_meta(&person.meta)?[..]);
        }
        let sent = Instant::now();
        let stored = host.run::<Vec<redis::Value>>(&call).await?;
        if stored.is_empty() {
            host.take_lease(sent).await?;
            return Ok(Declared::ProcessUnknown);
        }
        let stored = redis::from_redis_value(redis::Value::Array(stored));
        Ok(Declared::Stored(stored.ok().and_then(version)))
    }

    async fn expire(&self, group: &GroupName, keys: &[PersonKey]) -> Result<Option<Version>> {
        let host = self.host(group);
        let mut call = host.call(&scripts::EXPIRE, group);
        keys.iter().for_each(|key| _ = call.arg(&**key));
        let reached = host.run::<(String, u64)>(&call).await?;
        Ok(version(reached))
    }

    async fn refresh(&self, group: &GroupName) -> Result<Option<Version>> {
        let host = self.host(group);
        let call = host.call(&scripts::REFRESH, group);
        let reached = host.run::<(String, u64)>(&call).await?;
        Ok(version(reached))
    }

    fn refresh_every(&self) -> Option<Duration> {
        Some(self.hosts[0].times.lease)
    }

    fn missing_grace(&self) -> Duration {
        let Times { lease, grace, .. } = self.hosts[0].times;
        lease.saturating_add(grace)
    }
}
