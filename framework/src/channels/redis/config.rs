//! The configuration of the Redis layers.

use super::{
    capacity::Capacities,
    coding::{Coding, Serializer},
    fernet::FernetKeys,
};
use crate::channels::{MAILBOX_CAPACITY, PRESENCE_GRACE, local_presence::LONGEST_PRESENCE_TIME};
use std::{fmt, time::Duration};

/// The configuration of the Redis channel layers.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::{Channels, channels::redis::RedisConfig};
/// use std::time::Duration;
///
/// let config = RedisConfig::new("redis://127.0.0.1:6379")
///     .prefix("shop")
///     .mailbox_capacity(1000)
///     .send_timeout(Duration::from_secs(5))
///     .capacity(500)
///     .expiry(Duration::from_secs(30))
///     .group_expiry(Duration::from_secs(3600));
/// let channels = Channels::redis(config).await?;
/// # Ok(()) }
/// ```
///
/// Names and defaults of the settings that are part of the wire are those of channels_redis. All
/// programs that share a Redis need the same ones.
#[derive(Clone)]
pub struct RedisConfig {
    /// One for each independent host.
    pub(super) urls: Vec<String>,
    pub(super) wire: Wire,
    pub(super) prefix: String,
    pub(super) coding: Coding,
    pub(super) group_expiry: Duration,
    pub(super) mailbox_capacity: usize,
    pub(super) send_timeout: Duration,
    pub(super) presence_lease: Duration,
    pub(super) presence_grace: Duration,
    pub(super) counts_members: bool,
}

/// The wire format of consumers' channels and groups. Named channels are queues with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    PubSub,
    Queue,
}

impl RedisConfig {
    /// Creates the default configuration for the Redis at
    /// `redis://[user:password@]host[:port][/database]`, or another form of URL: TLS, Unix socket,
    /// Sentinels, and Cluster, as [`redis`](super#where-redis-is) lists them.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            urls: vec![url.into()],
            wire: Wire::PubSub,
            prefix: "asgi".to_owned(),
            coding: Coding::default(),
            group_expiry: Duration::from_secs(24 * 3600),
            mailbox_capacity: MAILBOX_CAPACITY,
            send_timeout: Duration::from_secs(10),
            presence_lease: Duration::from_secs(15),
            presence_grace: PRESENCE_GRACE,
            counts_members: false,
        }
    }

    /// Adds another, independent Redis server: names are shared among all of them, as
    /// channels_redis does with its list of `hosts`.
    ///
    /// All programs need the same servers in the same order, each once: one that is named twice is
    /// refused at startup. Use it if one server cannot carry the load; while one of them is down,
    /// its groups and channels are, and [with queues](Self::queue) also groups with a member in a
    /// process whose queue is there. A worker takes the jobs of all of them, the oldest first. Each
    /// may be a primary that Sentinels know, but none a Cluster.
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    ///
    /// let config = RedisConfig::new("redis://10.0.0.1:6379").host("redis://10.0.0.2:6379");
    /// ```
    #[must_use]
    pub fn host(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// Uses the wire format of `channels_redis.core.RedisChannelLayer` instead of that of
    /// `channels_redis.pubsub.RedisPubSubChannelLayer`.
    ///
    /// For a Redis that is shared with a Django project that uses this layer. Otherwise the default
    /// costs less. See [`redis`](super) for both.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// use seaway::{Channels, channels::redis::RedisConfig};
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379").queue();
    /// let channels = Channels::redis(config).await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn queue(mut self) -> Self {
        self.wire = Wire::Queue;
        self
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
    /// 1 to 30 printable ASCII characters, as in `shop` or `shop:`, other than spaces and
    /// `! * ? [ ] { } \`. Others are refused at startup, with
    /// [`ErrorKind::Name`](crate::ErrorKind::Name).
    ///
    /// Programs with the same prefix on one Redis receive each other's events, over pub/sub
    /// whichever database number they use. A Django process needs the same prefix:
    /// `"CONFIG": {"hosts": […], "prefix": "shop"}`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets how events are serialized (default: [`Serializer::MessagePack`]).
    ///
    /// It is `serializer_format` of channels_redis.
    #[must_use]
    pub fn serializer(mut self, serializer: Serializer) -> Self {
        self.coding.serializer = serializer;
        self
    }

    /// Encrypts all events with the first key, and decrypts them with any of these keys (default:
    /// no encryption).
    ///
    /// To change the key, first add the new one behind the old one in all programs, which can then
    /// decrypt with it; then put it in front of the old one in all programs; and later remove the old
    /// one. Names of channels and groups are not encrypted. Events that are not encrypted with one of
    /// the keys are counted, logged and skipped; a worker loses such a job.
    ///
    /// An empty list turns encryption off. An empty key, as of a variable that is not set, is refused
    /// at startup, with [`ErrorKind::Layer`](crate::ErrorKind::Layer).
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379")
    ///     .symmetric_encryption_keys(["new secret", "old secret"]);
    /// ```
    #[must_use]
    pub fn symmetric_encryption_keys<S: AsRef<[u8]>>(
        mut self,
        keys: impl IntoIterator<Item = S>,
    ) -> Self {
        self.coding.keys = FernetKeys::new(keys);
        self
    }

    /// Sets how long an event may wait in a queue (default: 60 s; whole seconds, 1 s to
    /// 365 days).
    ///
    /// It concerns named channels, and with [`queue`](Self::queue) all channels.
    #[must_use]
    pub fn expiry(mut self, expiry: Duration) -> Self {
        self.coding.expiry = whole_seconds(expiry);
        self
    }

    /// Sets how long a membership that is not renewed lasts (default: 24 h; whole seconds, 3 s to
    /// 365 days).
    ///
    /// It concerns [`queue`](Self::queue) only. The layer renews its memberships three times as
    /// often.
    #[must_use]
    pub fn group_expiry(mut self, expiry: Duration) -> Self {
        self.group_expiry = whole_seconds(expiry).max(Duration::from_secs(3));
        self
    }

    /// Sets how many events may wait in the queue of a channel (default: 100; 1 at least).
    ///
    /// It concerns named channels, and with [`queue`](Self::queue) all channels: all consumers of a
    /// process share one queue, which the layer empties at once. Sending to a full queue fails with
    /// [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull).
    #[must_use]
    pub fn capacity(mut self, events: usize) -> Self {
        self.coding.capacities.default = events.max(1);
        self
    }

    /// Sets the capacity of channels whose name matches a pattern, instead of
    /// [`capacity`](Self::capacity).
    ///
    /// `*` matches everything, `?` one character, `[abc]`, `[a-z]` and `[!abc]` one character of a
    /// set. The first matching pattern decides, in the order of the calls.
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379")
    ///     .channel_capacity("thumbnails", 1000)
    ///     .channel_capacity("mail.*", 20);
    /// ```
    #[must_use]
    pub fn channel_capacity(mut self, pattern: impl Into<String>, events: usize) -> Self {
        let Capacities { patterns, .. } = &mut self.coding.capacities;
        patterns.push((pattern.into(), events.max(1)));
        self
    }

    /// Sets how long people are kept [present](crate::Presence) after their process has been
    /// killed, or has lost its connection to Redis (default: 15 s; 1 s at least).
    ///
    /// Each process has one lease, and renews it three times as often. After it, the people of the
    /// process have no connection, and leave when their grace time is over. All programs need the
    /// same one.
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    /// use std::time::Duration;
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379")
    ///     .presence_lease(Duration::from_secs(5))
    ///     .presence_grace(Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn presence_lease(mut self, lease: Duration) -> Self {
        self.presence_lease = lease.clamp(Duration::from_secs(1), LONGEST_PRESENCE_TIME);
        self
    }

    /// Sets how long people are kept present after their last connection has closed (default: 3 s
    /// ([`PRESENCE_GRACE`]), at most 365 days).
    ///
    /// It hides the time in which a page reloads. All programs need the same one.
    #[must_use]
    pub fn presence_grace(mut self, grace: Duration) -> Self {
        self.presence_grace = grace.min(LONGEST_PRESENCE_TIME);
        self
    }

    /// Stores the member counts of this process in Redis, for
    /// [`Channels::members`](crate::Channels::members) (default: off).
    ///
    /// A change of a number is one script, at most ten a second for each group of the process;
    /// besides, each group costs four commands in each [lease](Self::presence_lease). All programs
    /// need the same setting: what a process does not store is not counted.
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379").count_members();
    /// ```
    #[must_use]
    pub fn count_members(mut self) -> Self {
        self.counts_members = true;
        self
    }

    /// Sets how large one value from Redis may be, in bytes (default: 64 MiB; 1 MiB at least).
    ///
    /// A value is an event, the history of a topic, the people of a presence, or the members of a
    /// group. A connection on which a larger one arrives is closed before it takes memory, and made
    /// again. Sending an event that is larger than half of it, as serialized and encrypted, fails
    /// with [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge), and no more than a quarter of it
    /// is read of the history of a topic: members that missed more receive a gap. All programs need
    /// the same one.
    ///
    /// ```
    /// use seaway::channels::redis::RedisConfig;
    ///
    /// let config = RedisConfig::new("redis://127.0.0.1:6379").max_value_size(8 * 1024 * 1024);
    /// ```
    #[must_use]
    pub fn max_value_size(mut self, bytes: usize) -> Self {
        self.coding.max_value = bytes.max(1024 * 1024);
        self
    }

    /// Sets how many envelopes may wait for one consumer in this process (default:
    /// [`MAILBOX_CAPACITY`]).
    ///
    /// Past it, envelopes are dropped and counted, and the consumer is notified.
    #[must_use]
    pub fn mailbox_capacity(mut self, envelopes: usize) -> Self {
        self.mailbox_capacity = envelopes;
        self
    }
}

/// The longest expiry. Redis refuses one that does not fit into its clock.
const LONGEST_EXPIRY: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Redis expires keys by whole seconds here, as channels_redis has it do.
fn whole_seconds(duration: Duration) -> Duration {
    Duration::from_secs(duration.min(LONGEST_EXPIRY).as_secs().max(1))
}

impl<T: Into<String>> From<T> for RedisConfig {
    fn from(url: T) -> Self {
        Self::new(url)
    }
}

/// The URLs and the keys are omitted, because they are secret.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("wire", &self.wire)
            .field("prefix", &self.prefix)
            .field("mailbox_capacity", &self.mailbox_capacity)
            .field("send_timeout", &self.send_timeout)
            .finish_non_exhaustive()
    }
}
