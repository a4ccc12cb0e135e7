//! The trait that a backend implements, and the handle that everyone holds.

use super::{
    Envelope, Event, Group, InMemoryChannelLayer, Mailbox, Missed, Shared, undecodable::Undecodable,
};
use crate::{
    error::{Error, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName},
};
use async_trait::async_trait;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::{Instrument, debug_span};

/// What carries envelopes between consumers, in one process or many.
///
/// The hard half, delivery inside a process, is written once: a layer holds a [`LocalChannels`](super::LocalChannels)
/// and adds a wire. [`testing::channel_layer`](crate::testing::channel_layer) holds the rules that each must keep.
///
/// ```
/// use async_trait::async_trait;
/// use seaway::{ChannelName, GroupName, Result, channels::{ChannelLayer, Envelope, LocalChannels, Mailbox}};
///
/// /// No wire at all.
/// struct Here(LocalChannels);
///
/// #[async_trait]
/// impl ChannelLayer for Here {
///     async fn open(&self) -> Result<Mailbox> { self.0.open("here") }
///     async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()> {
///         self.0.deliver(channel, envelope);
///         Ok(())
///     }
///     async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
///         self.0.join(group, channel).map(drop)
///     }
///     async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
///         self.0.leave(group, channel);
///         Ok(())
///     }
///     async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()> {
///         self.0.deliver_group(group, &envelope);
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait ChannelLayer: Send + Sync + 'static {
    /// Opens a fresh channel. Dropping the mailbox leaves its groups.
    async fn open(&self) -> Result<Mailbox>;

    /// Sends to one channel, wherever it is. A channel that is gone loses the envelope; that is no error.
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()>;

    /// Makes a channel of this process a member. Once it returns, what anyone sends to the group is heard.
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()>;

    /// Ends a membership; one that never was is no error.
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()>;

    /// Sends to every member in every process.
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()>;

    /// Returns how many envelopes this process has dropped because a mailbox was full.
    fn dropped(&self) -> u64 {
        0
    }

    /// Returns whether the layer can carry events just now, for a readiness probe. It does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) with the reason if it cannot.
    fn health(&self) -> Result<()> {
        Ok(())
    }
}

/// The handle to the channel layer that everyone holds. Cloning it is cheap.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    layer: Box<dyn ChannelLayer>,
    undecodable: Undecodable,
    unsent: AtomicU64,
    missed: AtomicU64,
    sending: metric::Sending,
}

impl Channels {
    /// Channels over a layer of your own.
    pub fn new(layer: impl ChannelLayer) -> Self {
        Self(Arc::new(Inner {
            layer: Box::new(layer),
            undecodable: Undecodable::default(),
            unsent: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            sending: metric::Sending::new(),
        }))
    }

    /// Channels inside this process alone.
    pub fn in_memory() -> Self {
        Self::new(InMemoryChannelLayer::default())
    }

    /// Channels over Redis, shared with every process that connects to the same one, Django's included.
    ///
    /// Give it the URL, `redis://[user:password@]host[:port][/database]`, or a [`RedisConfig`](super::redis::RedisConfig).
    /// See [`redis`](super::redis) for the wire and for
    /// what happens while Redis is away.
    ///
    /// ```no_run
    /// # async fn example() -> seaway::Result<()> {
    /// let channels = seaway::Channels::redis("redis://127.0.0.1:6379").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the URL is invalid, if Redis refuses, or if it
    /// does not answer within the 2 s of each connection and the 5 s of each first answer; the
    /// message names the address and the remedy.
    #[cfg(feature = "redis")]
    pub async fn redis(config: impl Into<super::redis::RedisConfig>) -> Result<Self> {
        let layer = super::redis::RedisChannelLayer::connect(config).await?;
        Ok(Self::new(layer))
    }

    /// The group of this name.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if it is no [group name](GroupName).
    pub fn group<E: Event>(&self, name: &str) -> Result<Group<E>> {
        Ok(Group::new(GroupName::new(name)?, self.clone()))
    }

    /// Opens a fresh channel, to listen from outside a consumer.
    ///
    /// # Errors
    /// Whatever keeps the layer from it.
    pub async fn open(&self) -> Result<Mailbox> {
        self.layer().open().await
    }

    /// Tells one consumer, wherever it is; if it is gone, nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the event has no `type`,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not take it.
    pub async fn send<E: Event>(&self, channel: &ChannelName, event: &E) -> Result<()> {
        self.send_envelope(channel, Envelope::encode(event)?).await
    }

    pub(super) async fn send_envelope(
        &self,
        channel: &ChannelName,
        envelope: Envelope,
    ) -> Result<()> {
        let span = debug_span!("send", %channel, bytes = envelope.as_bytes().len());
        let outcome = self.layer().send(channel, envelope).instrument(span).await;
        self.0.sending.count(&outcome);
        outcome
    }

    pub(super) async fn group_send_envelope(
        &self,
        group: &GroupName,
        envelope: Envelope,
    ) -> Result<()> {
        let span = debug_span!("group_send", %group, bytes = envelope.as_bytes().len());
        let sending = self.layer().group_send(group, envelope);
        let outcome = sending.instrument(span).await;
        self.0.sending.count(&outcome);
        outcome
    }

    pub(crate) async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        let span = debug_span!("group_add", %group, %channel);
        let joining = self.layer().group_add(group, channel);
        joining.instrument(span).await
    }

    /// Returns how many envelopes this process has dropped because a mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.layer().dropped()
    }

    /// Returns how many events consumers of this process have skipped because they were not of their type.
    pub fn undecodable(&self) -> u64 {
        self.0.undecodable.total()
    }

    /// Returns how many times consumers of this process were told that they may have [missed](Missed) events.
    pub fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }

    /// Returns whether events can be sent and received just now: for a readiness probe. It does not wait.
    ///
    /// ```
    /// use seaway::Channels;
    ///
    /// /// What a load balancer asks for.
    /// fn readiness(channels: &Channels) -> http::StatusCode {
    ///     match channels.health() {
    ///         Ok(()) => http::StatusCode::OK,
    ///         Err(_) => http::StatusCode::SERVICE_UNAVAILABLE,
    ///     }
    /// }
    /// # assert_eq!(readiness(&Channels::in_memory()), 200);
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) with the reason if not.
    pub fn health(&self) -> Result<()> {
        self.layer().health()
    }

    /// Returns how many sends and joins of consumers of this process the layer did not take, and no hook handled.
    pub fn unsent(&self) -> u64 {
        self.0.unsent.load(Ordering::Relaxed)
    }

    /// The layer itself, for what has no handle: envelopes that are encoded already.
    pub fn layer(&self) -> &dyn ChannelLayer {
        &*self.0.layer
    }

    /// Decodes an event for a consumer. One that is not of its type is counted and logged, and skipped: it must not close
    /// every connection of the group.
    pub(crate) fn decode<E: Event>(&self, envelope: Envelope) -> Option<Shared<E>> {
        match envelope.try_decode() {
            Ok(event) => Some(event),
            Err((error, envelope)) => {
                self.0.undecodable.note(&error, &envelope);
                None
            }
        }
    }

    /// Counts what a consumer is told to have missed.
    pub(crate) fn note_missed(&self, missed: Missed) {
        metric::missed(match missed {
            Missed::Interrupted { .. } => "interrupted",
            Missed::Overflowed { .. } => "overflowed",
        });
        self.0.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a send or join that the layer did not take and no hook handled.
    pub(crate) fn note_unsent(&self, error: &Error) {
        let total = self.0.unsent.fetch_add(1, Ordering::Relaxed) + 1;
        log_limited!(warn, error = %error.chain(), total, "a consumer's event was not sent");
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}
