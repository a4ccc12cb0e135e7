//! The layer itself: channels_redis' pub/sub wire.

use super::subscriptions::Subscriptions;
use crate::{
    channels::{ChannelLayer, Envelope, LocalChannels, MAILBOX_CAPACITY, Mailbox, Membership},
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName},
    redis_link::{Address, Link, OnPush},
};
use async_trait::async_trait;
use redis::{PushKind, Value};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{task::AbortHandle, time::timeout};

/// Where Redis is, and how the layer uses it.
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
}

impl RedisConfig {
    /// The defaults, for the Redis at `redis://[user:password@]host[:port][/database]`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "asgi".to_owned(),
            mailbox_capacity: MAILBOX_CAPACITY,
        }
    }

    /// What stands before every name on the wire. Default `asgi`, as in channels_redis; 1 to 30 letters, digits,
    /// hyphens, underscores or periods.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How many envelopes may wait for one consumer. Default [`MAILBOX_CAPACITY`]; past it they are lost and counted.
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

/// The URL may hold a password: it is not shown.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("prefix", &self.prefix)
            .field("mailbox_capacity", &self.mailbox_capacity)
            .finish_non_exhaustive()
    }
}

/// What to do where no Redis answers.
const REMEDY: &str = "start it, or use Channels::in_memory() for one process";

/// How long the first subscription may take.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Channels over Redis' publish and subscribe.
///
/// [`Channels::redis`](crate::Channels::redis) makes one.
/// Commands and subscriptions have a connection each: a flood of messages delays no publish.
pub struct RedisChannelLayer {
    local: LocalChannels,
    publisher: Link,
    subscriptions: Arc<Subscriptions>,
    names: Names,
    maintenance: AbortHandle,
}

impl RedisChannelLayer {
    /// Connects to Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the URL is none or Redis does not answer,
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the prefix makes no channel names.
    pub async fn connect(config: impl Into<RedisConfig>) -> Result<Self> {
        let config = config.into();
        let address = Address::parse(&config.url, REMEDY)?;
        let names = Names::fresh(&config.prefix)?;
        let subscriptions = Arc::new(Subscriptions::default());
        let told = subscriptions.clone();
        let local = LocalChannels::new(config.mailbox_capacity, move |group| told.emptied(group));
        let publisher = Link::open(&address, Arc::new(|_, _| {})).await?;
        let subscriber = Link::open(&address, deliverer(names.clone(), local.clone())).await?;
        let maintenance = tokio::spawn({
            let (subscriptions, local, names) =
                (subscriptions.clone(), local.clone(), names.clone());
            async move {
                let pattern = names.own_channels();
                let channel_of = |group: &GroupName| names.of_group(group);
                subscriptions
                    .maintain(&subscriber, &local, &pattern, channel_of)
                    .await;
            }
        })
        .abort_handle();
        let layer = Self {
            local,
            publisher,
            subscriptions,
            names,
            maintenance,
        };
        match timeout(SUBSCRIBE_TIMEOUT, layer.subscriptions.restored()).await {
            Ok(()) => Ok(layer),
            Err(_) => Err(layer.publisher.unreachable(
                "it takes connections but no subscriptions (may its user subscribe to all channels?)",
            )),
        }
    }

    async fn publish(&self, channel: &str, envelope: &Envelope) -> Result<()> {
        let mut connection = self.publisher.connection()?;
        if !self.subscriptions.is_restored() {
            // Members of this process would not hear it, and nobody would know.
            let why = "its connection for subscriptions is being restored";
            return Err(self.publisher.unreachable(why));
        }
        redis::cmd("PUBLISH")
            .arg(channel)
            .arg(&envelope.as_bytes()[..])
            .exec_async(&mut connection)
            .await
            .map_err(|error| self.publisher.failed("Redis did not take a message", error))
    }
}

#[async_trait]
impl ChannelLayer for RedisChannelLayer {
    async fn open(&self) -> Result<Mailbox> {
        self.local.open(&self.names.process)
    }

    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
        self.publish(channel.as_str(), &envelope).await
    }

    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        let membership = self.local.join(group, channel)?;
        // Undone if Redis does not confirm it, or nobody waits for that any more; but only what this call has done.
        let mut undo = Undo {
            local: &self.local,
            group,
            channel,
            is_due: membership != Membership::Already,
        };
        self.subscriptions.confirm(group).await?;
        undo.is_due = false;
        Ok(())
    }

    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.local.leave(group, channel);
        Ok(())
    }

    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
        self.publish(&self.names.of_group(group), &envelope).await
    }

    fn dropped(&self) -> u64 {
        self.local.dropped()
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

/// How names look on the wire.
#[derive(Clone)]
struct Names {
    /// What all channels of this process begin with, up to the `!`.
    process: Arc<str>,
    group_prefix: Arc<str>,
}

impl Names {
    fn fresh(prefix: &str) -> Result<Self> {
        /// Leaves room for what follows it in a channel's name of at most 99 bytes.
        const LONGEST_PREFIX: usize = 30;
        let fits = (1..=LONGEST_PREFIX).contains(&prefix.len());
        if !fits || GroupName::new(prefix).is_err() {
            return Err(Error::new(
                ErrorKind::Name,
                format!(
                    "{prefix:?} is no prefix for names in Redis: use 1 to {LONGEST_PREFIX} ASCII letters, digits, hyphens, underscores or periods"
                ),
            ));
        }
        let process = fastrand::u128(..);
        Ok(Self {
            process: format!("{prefix}specific.{process:032x}").into(),
            group_prefix: format!("{prefix}__group__").into(),
        })
    }

    fn of_group(&self, group: &GroupName) -> String {
        format!("{}{group}", self.group_prefix)
    }

    /// The pattern that covers every channel of this process. It holds no character that a pattern reads differently.
    fn own_channels(&self) -> String {
        format!("{}!*", self.process)
    }
}

/// Takes what Redis sends to where it belongs. It runs inside the connection's driver, and never waits.
fn deliverer(names: Names, local: LocalChannels) -> OnPush {
    Arc::new(
        move |kind, data| match (kind, <[Value; 2]>::try_from(data)) {
            (PushKind::Message, Ok([Value::BulkString(channel), Value::BulkString(payload)])) => {
                let Some(name) = str::from_utf8(&channel)
                    .ok()
                    .and_then(|channel| channel.strip_prefix(&*names.group_prefix))
                else {
                    return;
                };
                if let Ok(group) = GroupName::new(name) {
                    local.deliver_group(&group, &Envelope::from_bytes(payload));
                }
            }
            (PushKind::PMessage, Err(data)) => {
                // Pattern, channel, payload.
                if let Ok([_, Value::BulkString(channel), Value::BulkString(payload)]) =
                    <[Value; 3]>::try_from(data)
                    && let Ok(channel) = String::from_utf8(channel)
                    && let Ok(channel) = ChannelName::new(channel)
                {
                    local.deliver(&channel, Envelope::from_bytes(payload));
                }
            }
            _ => {}
        },
    )
}
