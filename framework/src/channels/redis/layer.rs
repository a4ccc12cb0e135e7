//! The Redis channel layer: what both wire formats have in common.

use super::{
    coding::Coding,
    config::{RedisConfig, Wire},
    connecting::LayerParts,
    group_send::group_send,
    host::Host,
    member_counts::MemberCounts,
    named::LATE,
    names::{LayerNames, Proxies},
    presence::{RedisPresence, Times},
    publish,
    subscriptions::Subscriptions,
    topics,
};
use crate::{
    channels::{
        ChannelLayer, Channels, Envelope, LocalChannels, LocalPresence, Mailbox, Position,
        TopicHistory, TopicPost, TopicQuery,
    },
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    name::{ChannelName, GroupName},
    redis_link::endpoints,
};
use async_trait::async_trait;
use futures_util::{
    TryStreamExt,
    future::{join_all, try_join_all},
    stream::FuturesUnordered,
};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A channel layer over Redis.
///
/// [`Channels::redis`](crate::Channels::redis) creates one. Sending and receiving have a connection
/// each, so that a flood of messages does not delay sending.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{Channels, channels::redis::RedisChannelLayer};
///
/// // As `Channels::redis` does; or pass the layer to your own, which wraps it.
/// let layer = RedisChannelLayer::connect("redis://127.0.0.1:6379").await?;
/// let channels = Channels::new(layer);
/// # Ok(()) }
/// ```
pub struct RedisChannelLayer {
    wire: Wire,
    local: LocalChannels,
    names: LayerNames,
    coding: Arc<Coding>,
    /// One for each independent Redis, or for each shard of a Cluster.
    hosts: Vec<Host>,
    /// The number of jobs sent so far, which selects the host of the next one.
    jobs: AtomicUsize,
    presence: LocalPresence,
    /// The numbers of members, if they are to be counted.
    member_counts: Option<MemberCounts>,
}

impl Channels {
    /// Connects to Redis and returns channels shared with every process on the same Redis, Django
    /// included.
    ///
    /// Takes a URL, as `redis://[user:password@]host[:port][/database]`, or a
    /// [`RedisConfig`]. See [`redis`](super) for the forms of URLs, the wire
    /// formats, and the behavior while Redis is unavailable.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// let channels = seaway::Channels::redis("redis://127.0.0.1:6379").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the URL is invalid, if a key of the
    /// encryption is empty, if Redis refuses, or if it does not respond in time: 2 s for each
    /// connection, 5 s for each first response. The message names the address and the remedy.
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the prefix of the configuration is not valid.
    pub async fn redis(config: impl Into<RedisConfig>) -> Result<Self> {
        let layer = RedisChannelLayer::connect(config).await?;
        Ok(Self::new(layer))
    }
}

impl RedisChannelLayer {
    /// Connects to Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the URL is invalid, or Redis does not
    /// respond or refuses, or a key of the encryption is empty;
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the prefix is invalid.
    pub async fn connect(config: impl Into<RedisConfig>) -> Result<Self> {
        let config = config.into();
        config.coding.keys.check()?;
        let (hosts, endpoints) = endpoints(&config.urls, config.coding.max_value)?;
        let names = LayerNames::fresh(config.wire, hosts, &config.prefix)?;
        let subscriptions: Vec<_> = endpoints
            .iter()
            .map(|_| Arc::new(Subscriptions::new()))
            .collect();
        let emptied = {
            let (subscriptions, names) = (subscriptions.clone(), names.clone());
            move |group: &GroupName| subscriptions[names.host_of_group(group)].emptied(group)
        };
        let local = LocalChannels::new(config.mailbox_capacity, emptied);
        let shared = LayerParts {
            wire: config.wire,
            timeout: config.send_timeout,
            local: local.clone(),
            proxies: Arc::new(Proxies::new(&names)),
            names: names.clone(),
            coding: Arc::new(config.coding),
            group_expiry: config.group_expiry,
            subscriptions,
        };
        let endpoints = endpoints.into_iter().enumerate();
        let connecting =
            endpoints.map(|(number, endpoint)| Host::connect(number, endpoint, &shared));
        let hosts = try_join_all(connecting).await?;
        if !shared.names.are_sharded() {
            check_servers_differ(config.wire, &hosts)?;
        }
        let times = Times::new(config.presence_lease, config.presence_grace);
        let presence = LocalPresence::with_store(&local, config.send_timeout, |sink| {
            let hosts = hosts.iter().map(|host| host.hosted(host.names.presence()));
            Arc::new(RedisPresence::new(
                hosts,
                &names,
                times,
                &local,
                &shared.coding,
                &sink,
            ))
        });
        let member_counts = config.counts_members.then(|| {
            let hosts = hosts.iter().map(|host| host.hosted(host.names.members()));
            let (lease, limit) = (config.presence_lease, config.send_timeout);
            MemberCounts::new(hosts, &names, lease, limit, &local, &shared.coding)
        });
        Ok(Self {
            presence,
            member_counts,
            wire: config.wire,
            local,
            names,
            coding: shared.coding,
            hosts,
            jobs: AtomicUsize::new(0),
        })
    }

    /// Returns the hosts that have a job, that of the oldest first; all hosts if none has one. With
    /// them, how long each may take.
    async fn turns(&self, channel: &ChannelName) -> Vec<(&Host, Duration)> {
        let hosts = self.hosts_of_jobs(channel);
        let scores = hosts.iter().map(|host| host.named.oldest(channel));
        let scores = join_all(scores).await.into_iter().zip(hosts);
        let mut with_job: Vec<_> = scores
            .filter_map(|(score, host)| Some((score?, host)))
            .collect();
        if with_job.is_empty() {
            return hosts.iter().map(|host| (host, TURN)).collect();
        }
        with_job.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let with_job = with_job.into_iter();
        with_job.map(|(_, host)| (host, Duration::ZERO)).collect()
    }

    /// Returns the hosts that have a queue of a named channel: all, or one shard of a Cluster.
    fn hosts_of_jobs(&self, channel: &ChannelName) -> &[Host] {
        match self.names.host_of_jobs(channel) {
            Some(host) => &self.hosts[host..=host],
            None => &self.hosts,
        }
    }

    /// Adds a job to the queue of a named channel, on each of its hosts in turn.
    async fn send_job(&self, channel: &ChannelName, job: &Envelope) -> Result<()> {
        let sent = self.jobs.fetch_add(1, Ordering::Relaxed);
        let hosts = self.hosts_of_jobs(channel);
        hosts[sent % hosts.len()].queues.send(channel, job).await
    }
}

/// Checks that no two hosts are one server: direct events would arrive twice over pub/sub, and a
/// process would read each queue on two connections, and so out of order.
fn check_servers_differ(wire: Wire, hosts: &[Host]) -> Result<()> {
    for (number, host) in hosts.iter().enumerate() {
        for (earlier, other) in hosts[..number].iter().enumerate() {
            if host.is_one_with(other, wire) {
                let message = format!(
                    "Redis {} and {} of the configuration, {} and {}, are the same server; name each server once",
                    earlier + 1,
                    number + 1,
                    other.endpoint.shown(),
                    host.endpoint.shown()
                );
                return Err(Error::new(ErrorKind::Layer, message));
            }
        }
    }
    Ok(())
}

/// How long one of several hosts is queried for a job before the next one is.
const TURN: Duration = Duration::from_millis(100);

#[async_trait]
impl ChannelLayer for RedisChannelLayer {
    fn local(&self) -> &LocalChannels {
        &self.local
    }

    fn presence(&self) -> Option<&LocalPresence> {
        Some(&self.presence)
    }

    async fn open(&self) -> Result<Mailbox> {
        self.local.open(&self.names.process)
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        match self.wire {
            Wire::PubSub
                if !channel.is_worker_queue() || self.names.is_python_consumer(channel) =>
            {
                let host = &self.hosts[self.names.host_of(channel)];
                let (names, coding) = (&self.names, &self.coding);
                let deadline = host.publisher.deadline();
                publish::send(host, names, coding, channel, &envelope, deadline).await
            }
            Wire::Queue if !channel.is_worker_queue() => {
                let queues = &self.hosts[self.names.host_of(channel)].queues;
                queues.send(channel, &envelope).await
            }
            Wire::PubSub | Wire::Queue => self.send_job(channel, &envelope).await,
        }
    }

    /// With several hosts, the one with the oldest job is queried first, and each in turn if none has
    /// one. A host that is unavailable, or does not respond, does not keep jobs of the others
    /// waiting: its error is logged, and returned if all hosts fail.
    async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>> {
        if let [host] = self.hosts_of_jobs(channel) {
            return host.named.receive(channel, wait, LATE).await;
        }
        let start = Instant::now();
        loop {
            let mut failed = None;
            let mut is_one_available = false;
            for (host, wait) in self.turns(channel).await {
                match host.named.receive(channel, wait, TURN).await {
                    Ok(Some(job)) => return Ok(Some(job)),
                    Ok(None) => is_one_available = true,
                    Err(error) if error.kind() == ErrorKind::Layer => {
                        log_limited!(
                            warn,
                            %channel,
                            redis = %host.endpoint.shown(),
                            error = %format_args!("{error:#}"),
                            "cannot receive jobs from one of the Redis servers; trying again"
                        );
                        failed = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = failed
                && !is_one_available
            {
                return Err(error);
            }
            if start.elapsed() >= wait {
                return Ok(None);
            }
        }
    }

    async fn finish_receiving(&self, channel: &ChannelName) -> Result<Option<Envelope>> {
        let hosts = self.hosts_of_jobs(channel).iter();
        let mut finishing: FuturesUnordered<_> = hosts
            .map(|host| host.named.finish_receiving(channel))
            .collect();
        while let Some(finished) = finishing.try_next().await? {
            if finished.is_some() {
                return Ok(finished);
            }
        }
        Ok(None)
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        let host = &self.hosts[self.names.host_of_group(group)];
        let deadline = host.publisher.deadline();
        host.subscriptions
            .join(&self.local, group, channel, deadline)
            .await
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
        let host = &self.hosts[self.names.host_of_group(group)];
        let deadline = host.publisher.deadline();
        match self.wire {
            Wire::PubSub => {
                publish::group_send(host, &self.coding, group, &envelope, deadline).await
            }
            Wire::Queue => group_send(&self.hosts, &self.names, group, &envelope, deadline).await,
        }
    }

    async fn members(&self, group: &GroupName) -> Result<u64> {
        match &self.member_counts {
            Some(counts) => counts.of(group).await,
            None => {
                let message = "the members of groups are not counted; call `RedisConfig::count_members` in all programs";
                Err(Error::new(ErrorKind::Layer, message))
            }
        }
    }

    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position> {
        let (hosts, names) = (&self.hosts, &self.names);
        topics::send(self.wire, hosts, names, &self.coding, topic, &post).await
    }

    async fn topic_read(&self, topic: &GroupName, query: TopicQuery) -> Result<TopicHistory> {
        let host = &self.hosts[self.names.host_of_group(topic)];
        topics::read(host, &self.coding, topic, &query).await
    }

    fn dropped(&self) -> u64 {
        let queues = self.hosts.iter().map(|host| host.queues.dropped());
        queues.fold(self.local.dropped(), u64::saturating_add)
    }

    fn health(&self) -> Result<()> {
        self.hosts.iter().try_for_each(Host::health)
    }
}

impl fmt::Debug for RedisChannelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisChannelLayer")
            .field("wire", &self.wire)
            .field("hosts", &self.hosts.len())
            .field("process", &self.names.process)
            .finish_non_exhaustive()
    }
}
