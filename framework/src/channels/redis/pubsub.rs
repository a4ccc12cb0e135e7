//! The Redis channel layer over the pub/sub wire format of channels_redis.

use super::{
    deliverer::Deliverer,
    publisher::{Publisher, deadline_after},
    received::Received,
    subscriptions::{Subscriptions, Wiring},
};
use crate::{
    channels::{
        ChannelLayer, Channels, Envelope, LocalChannels, MAILBOX_CAPACITY, Mailbox, Membership,
    },
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName},
    redis_link::{Address, Link, LinkSettings, NoInbox},
};
use async_trait::async_trait;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{task::AbortHandle, time::timeout};

/// The configuration of the Redis channel layer.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{Channels, channels::redis::RedisConfig};
///
/// let config = RedisConfig::new("redis://127.0.0.1:6379").prefix("shop").mailbox_capacity(1000);
/// let channels = Channels::redis(config).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisConfig {
    url: String,
    prefix: String,
    mailbox_capacity: usize,
    send_timeout: Duration,
}

impl RedisConfig {
    /// Creates the default configuration for the Redis at
    /// `redis://[user:password@]host[:port][/database]`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "asgi".to_owned(),
            mailbox_capacity: MAILBOX_CAPACITY,
            send_timeout: Duration::from_secs(10),
        }
    }

    /// Sets how long a send or a join may wait for Redis (default: 10 s).
    ///
    /// A shorter outage delays events instead of losing them. At the limit the send fails, with
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the event was certainly not sent and
    /// [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed) if it may have been.
    #[must_use]
    pub fn send_timeout(mut self, limit: Duration) -> Self {
        self.send_timeout = limit;
        self
    }

    /// Sets the prefix of every name on the wire (default: `asgi`, as in channels_redis).
    ///
    /// 1 to 30 ASCII letters, digits, hyphens, underscores or periods.
    ///
    /// Programs with the same prefix on one Redis receive each other's events, whichever database
    /// number they use. A Django process needs the same prefix:
    /// `"CONFIG": {"hosts": […], "prefix": "shop"}`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how many envelopes may wait for one consumer (default: [`MAILBOX_CAPACITY`]).
    ///
    /// Past it, envelopes are dropped and counted, and the consumer is notified.
    #[must_use]
    pub fn mailbox_capacity(mut self, envelopes: usize) -> Self {
        self.mailbox_capacity = envelopes;
        self
    }
}

impl<T: Into<String>> From<T> for RedisConfig {
    fn from(url: T) -> Self {
        Self::new(url)
    }
}

/// The URL is omitted, because it may hold a password.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("mailbox_capacity", &self.mailbox_capacity)
            .field("send_timeout", &self.send_timeout)
            .finish_non_exhaustive()
    }
}

/// A channel layer over Redis pub/sub.
///
/// [`Channels::redis`](crate::Channels::redis) creates one. Commands and subscriptions have a
/// connection each, so that a flood of messages does not delay publishing.
pub struct RedisChannelLayer {
    local: LocalChannels,
    publisher: Publisher,
    subscriptions: Arc<Subscriptions>,
    names: Names,
    send_timeout: Duration,
    maintenance: AbortHandle,
}

impl Channels {
    /// Connects to Redis and returns channels shared with every process on the same Redis, Django
    /// included.
    ///
    /// Takes the URL, `redis://[user:password@]host[:port][/database]`, or a
    /// [`RedisConfig`](RedisConfig). See [`redis`](super) for the wire format
    /// and for the behavior while Redis is unavailable.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// let channels = seaway::Channels::redis("redis://127.0.0.1:6379").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the URL is invalid, if Redis refuses, or if
    /// it does not respond in time: 2 s for each connection, 5 s for each first response. The
    /// message names the address and the remedy. [`ErrorKind::Name`](crate::ErrorKind::Name) if the
    /// prefix of the configuration is not valid.
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
    /// respond or refuses; [`ErrorKind::Name`](crate::ErrorKind::Name) if the prefix is invalid.
    pub async fn connect(config: impl Into<RedisConfig>) -> Result<Self> {
        let config = config.into();
        let address = Address::parse(&config.url)?;
        let names = Names::fresh(&config.prefix)?;
        let subscriptions = Arc::new(Subscriptions::new());
        let told = subscriptions.clone();
        let local = LocalChannels::new(config.mailbox_capacity, move |group| told.emptied(group));
        let received = Arc::new(Received::default());
        // Longer than any operation waits: a stall that ends in time costs a delay, not the
        // connection.
        let silence = config
            .send_timeout
            .max(SHORTEST_SILENCE)
            .saturating_add(SILENCE_MARGIN);
        let publishing = LinkSettings {
            purpose: "publishing",
            silence,
            inbox: Arc::new(NoInbox),
        };
        let publishing = Link::open(&address, publishing).await?;
        let deliverer = Arc::new(Deliverer::new(
            local.clone(),
            names.group_prefix.clone(),
            received.clone(),
        ));
        let subscribing = LinkSettings {
            purpose: "subscriptions",
            silence,
            inbox: deliverer.clone(),
        };
        let subscribing = Arc::new(Link::open(&address, subscribing).await?);
        let wiring = Wiring {
            link: subscribing.clone(),
            local: local.clone(),
            deliverer,
            own_channels: names.own_channels(),
            group_prefix: names.group_prefix.clone(),
        };
        let maintained = subscriptions.clone();
        let maintenance = tokio::spawn(async move { maintained.maintain(&wiring).await });
        let layer = Self {
            local,
            publisher: Publisher {
                link: publishing,
                subscriber: subscribing,
                subscriptions: subscriptions.clone(),
                received,
                timeout: config.send_timeout,
            },
            subscriptions,
            names,
            send_timeout: config.send_timeout,
            maintenance: maintenance.abort_handle(),
        };
        match timeout(SUBSCRIBE_TIMEOUT, layer.subscriptions.restored()).await {
            Ok(Ok(())) => Ok(layer),
            Ok(Err(why)) => Err(Error::new(ErrorKind::Layer, why)),
            Err(_) => Err(Error::new(
                ErrorKind::Layer,
                format!(
                    "Redis at {} accepted the connection but did not confirm a subscription within 5 s",
                    address.shown()
                ),
            )),
        }
    }
}

/// The timeout of the first subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The least silence after which a connection counts as dead, however short the send timeout: a
/// busy machine is silent for seconds.
const SHORTEST_SILENCE: Duration = Duration::from_secs(10);

/// How much longer a connection may be silent than a send may take.
const SILENCE_MARGIN: Duration = Duration::from_secs(2);

#[async_trait]
impl ChannelLayer for RedisChannelLayer {
    async fn open(&self) -> Result<Mailbox> {
        self.local.open(&self.names.process)
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        let is_own = self.names.is_own(channel);
        self.publisher
            .publish(channel.as_str(), &envelope, is_own)
            .await
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        let membership = self.local.join(group, channel)?;
        // Undone if Redis does not confirm it or the caller stops waiting; but only what this call
        // has added.
        let mut undo = Undo {
            local: &self.local,
            group,
            channel,
            is_due: membership != Membership::Already,
        };
        let deadline = deadline_after(self.send_timeout);
        self.subscriptions.confirm(group, deadline).await?;
        undo.is_due = false;
        Ok(())
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
        let is_subscribed_here = self.subscriptions.is_active(group);
        let channel = self.names.of_group(group);
        self.publisher
            .publish(&channel, &envelope, is_subscribed_here)
            .await
    }

    async fn receive(&self, channel: &ChannelName, _: Duration) -> Result<Option<Envelope>> {
        let message =
            format!("cannot receive jobs of {channel}: the Redis layer has no worker queues");
        Err(Error::new(ErrorKind::Layer, message))
    }

    fn local(&self) -> &LocalChannels {
        &self.local
    }

    fn health(&self) -> Result<()> {
        self.publisher.health()
    }
}

impl Drop for RedisChannelLayer {
    fn drop(&mut self) {
        self.maintenance.abort();
    }
}

impl fmt::Debug for RedisChannelLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisChannelLayer")
            .field("process", &self.names.process)
            .finish_non_exhaustive()
    }
}

/// A membership that Redis has not confirmed yet.
struct Undo<'a> {
    local: &'a LocalChannels,
    group: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.local.leave(self.group, self.channel);
        }
    }
}

/// The names on the wire.
#[derive(Clone)]
struct Names {
    /// The prefix of all channels of this process, up to the `!`.
    process: Arc<str>,
    group_prefix: Arc<str>,
}

impl Names {
    fn fresh(prefix: &str) -> Result<Self> {
        /// Leaves room for what follows the prefix in a channel's name of at most 99 bytes.
        const LONGEST_PREFIX: usize = 30;
        let fits = (1..=LONGEST_PREFIX).contains(&prefix.len());
        if !fits || GroupName::new(prefix).is_err() {
            return Err(Error::new(
                ErrorKind::Name,
                format!(
                    "{prefix:?} is not a valid prefix for names in Redis: use 1 to {LONGEST_PREFIX} ASCII letters, digits, hyphens, underscores or periods"
                ),
            ));
        }
        let process = fastrand::u128(..);
        Ok(Self {
            process: format!("{prefix}specific.{process:032x}").into(),
            group_prefix: format!("{prefix}__group__").into(),
        })
    }

    /// Returns whether a channel is one of this process.
    fn is_own(&self, channel: &ChannelName) -> bool {
        let rest = channel.as_str().strip_prefix(&*self.process);
        rest.is_some_and(|rest| rest.starts_with('!'))
    }

    fn of_group(&self, group: &GroupName) -> String {
        format!("{}{group}", self.group_prefix)
    }

    /// Returns the pattern that matches every channel of this process. The names hold no character
    /// that is special in a pattern.
    fn own_channels(&self) -> String {
        format!("{}!*", self.process)
    }
}
