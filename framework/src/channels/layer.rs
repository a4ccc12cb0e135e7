//! The trait that a channel layer implements, and the handle to it.

use super::{
    Envelope, Event, LocalChannels, LocalPresence, Mailbox, Missed, Position, Shared, TopicHistory,
    TopicPost, TopicQuery, local_presence::DecodablePart, messagepack, undecodable::Undecodable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName, IntoGroupName},
};
use async_trait::async_trait;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{Instrument, debug_span};

/// A transport for envelopes between consumers, in one process or many.
///
/// Delivery inside a process is implemented once: a layer holds a [`LocalChannels`] and adds a
/// transport. Worker queues inside a process are a [`LocalQueues`](super::LocalQueues).
/// [`testing::channel_layer`](crate::testing::channel_layer) is the conformance suite that every
/// layer must pass.
///
/// ```
/// use async_trait::async_trait;
/// use seaway::{
///     ChannelName, Error, GroupName, Result,
///     channels::{
///         ChannelLayer, Envelope, LocalChannels, LocalQueues, LocalTopics, Mailbox, Position,
///         TopicHistory, TopicPost, TopicQuery,
///     },
/// };
/// use std::time::Duration;
///
/// /// Delivers inside this process only.
/// struct Here {
///     local: LocalChannels,
///     queues: LocalQueues,
///     topics: LocalTopics,
/// }
///
/// #[async_trait]
/// impl ChannelLayer for Here {
///     fn local(&self) -> &LocalChannels { &self.local }
///     async fn open(&self) -> Result<Mailbox, Error> { self.local.open("here") }
///     async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<(), Error> {
///         if channel.is_worker_queue() {
///             return self.queues.send(channel, envelope);
///         }
///         self.local.deliver(channel, envelope);
///         Ok(())
///     }
///     async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>, Error> {
///         self.queues.receive(channel, wait).await
///     }
///     async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
///         self.local.join(group, channel).map(drop)
///     }
///     async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
///         self.local.leave(group, channel);
///         Ok(())
///     }
///     async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
///         self.local.deliver_group(group, &envelope);
///         Ok(())
///     }
///     async fn members(&self, group: &GroupName) -> Result<u64, Error> {
///         Ok(self.local.members(group) as u64)
///     }
///     async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position, Error> {
///         Ok(self.topics.send(&self.local, topic, post))
///     }
///     async fn topic_read(&self, topic: &GroupName, query: TopicQuery) -> Result<TopicHistory, Error> {
///         Ok(self.topics.read(topic, &query))
///     }
/// }
/// ```
#[async_trait]
pub trait ChannelLayer: Send + Sync + 'static {
    /// Returns the mailboxes and memberships of this process.
    fn local(&self) -> &LocalChannels;

    /// Returns the layer that this one is around, if it is around one: the methods below that have a
    /// default then call those of that layer.
    ///
    /// Default: `None`.
    fn inner(&self) -> Option<&dyn ChannelLayer> {
        None
    }

    /// Opens a new channel, whose group memberships end when the mailbox is dropped.
    async fn open(&self) -> Result<Mailbox>;

    /// Sends an envelope to one consumer, in this process or another, or to a
    /// [worker queue](ChannelName::is_worker_queue).
    ///
    /// If the consumer no longer exists, the envelope is dropped without an error. A queue keeps it
    /// until a worker takes it or it expires.
    ///
    /// # Errors
    /// [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull) if the queue has as many jobs as
    /// it may hold.
    async fn send(&self, channel: &ChannelName, envelope: Envelope) -> Result<()>;

    /// Takes the oldest envelope of a worker queue, or waits at most `wait` for one.
    ///
    /// Each envelope is taken by exactly one caller, in any process. Expired ones are dropped and
    /// counted, not returned.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the channel is not a worker queue,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if none could be taken,
    /// [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed) if one may have been taken and
    /// lost.
    ///
    /// # Cancel safety
    /// Need not be cancel safe: a worker stops between two calls and never drops one.
    async fn receive(&self, channel: &ChannelName, wait: Duration) -> Result<Option<Envelope>>;

    /// Returns an envelope that [`receive`](Self::receive) was still taking when it returned `None`;
    /// waits until the transport has replied.
    ///
    /// A worker that stops calls it until it returns `None`, for the drain timeout at most, so that a
    /// late reply loses no job. It must not take further ones.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::{ChannelName, Channels};
    ///
    /// let channels = Channels::in_memory();
    /// let late = channels.layer().finish_receiving(&ChannelName::new("thumbnails")?).await?;
    /// assert!(late.is_none());
    /// # seaway::Result::<()>::Ok(()) }).unwrap();
    /// ```
    ///
    /// Default: `None`, since `receive` leaves nothing under way, or that of the layer
    /// [inside](Self::inner).
    ///
    /// # Errors
    /// Those of [`receive`](Self::receive).
    async fn finish_receiving(&self, channel: &ChannelName) -> Result<Option<Envelope>> {
        match self.inner() {
            Some(inner) => inner.finish_receiving(channel).await,
            None => Ok(None),
        }
    }

    /// Adds a channel of this process to a group.
    ///
    /// After it returns, the channel receives what any process sends to the group.
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()>;

    /// Removes a channel from a group; not an error if the channel is not a member.
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()>;

    /// Sends an envelope to every member of a group, in every process.
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<()>;

    /// Stores an event in a topic, and sends it [with its position](Envelope::at) to every member
    /// of the group of that name, in every process; returns the position.
    ///
    /// Positions follow each other without a gap, in one order for all processes. A layer whose
    /// store may have lost events continues in another epoch. If it sends in a second step, it may
    /// send events in another order: members read what is missing.
    ///
    /// Default: an error, since the layer stores no topics. A layer inside one process uses
    /// [`LocalTopics`](super::LocalTopics).
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if it was not stored, [`ErrorKind::Unconfirmed`] if it may have been.
    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position> {
        match self.inner() {
            Some(inner) => inner.topic_send(topic, post).await,
            None => Err(no_topics(topic)),
        }
    }

    /// Returns the position of a topic, and its last events as far as the query wants them.
    ///
    /// A topic that was never used has a position too, before its first event. It must end by itself,
    /// with an error if the store does not respond: all who resume the topic wait for it.
    ///
    /// Default: an error, as for [`topic_send`](ChannelLayer::topic_send).
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if it cannot be read.
    async fn topic_read(&self, topic: &GroupName, query: TopicQuery) -> Result<TopicHistory> {
        match self.inner() {
            Some(inner) => inner.topic_read(topic, query).await,
            None => Err(no_topics(topic)),
        }
    }

    /// Returns how many members a group has, in all processes.
    ///
    /// Default: an error, since the layer does not know those of other processes. A layer inside
    /// one process returns [`LocalChannels::members`].
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if they cannot be counted.
    async fn members(&self, group: &GroupName) -> Result<u64> {
        if let Some(inner) = self.inner() {
            return inner.members(group).await;
        }
        let message = format!(
            "this channel layer does not count the members of {group} in other processes; implement its `members`"
        );
        Err(Error::new(ErrorKind::Layer, message))
    }

    /// Returns the presence of this process (default: `None`, so that no one can be
    /// [present](crate::Presence)).
    fn presence(&self) -> Option<&LocalPresence> {
        self.inner()?.presence()
    }

    /// Returns how many envelopes this process has dropped because a mailbox was full.
    fn dropped(&self) -> u64 {
        match self.inner() {
            Some(inner) => inner.dropped(),
            None => self.local().dropped(),
        }
    }

    /// Returns `Ok` if the layer can currently transport events, for a readiness probe.
    ///
    /// Does not wait.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) with the reason if it cannot.
    fn health(&self) -> Result<()> {
        self.inner().map_or(Ok(()), ChannelLayer::health)
    }
}

fn no_topics(topic: &GroupName) -> Error {
    let message = format!(
        "this channel layer stores no topics, so {topic} cannot be one; implement its `topic_send` and `topic_read`, in one process with `LocalTopics`"
    );
    Error::new(ErrorKind::Layer, message)
}

/// The cloneable handle to the channel layer.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct Channels(Arc<ChannelsInner>);

struct ChannelsInner {
    layer: Box<dyn ChannelLayer>,
    undecodable: Undecodable,
    unsent: AtomicU64,
    missed: AtomicU64,
    sending: metric::SendCounters,
}

impl Channels {
    /// Creates the handle to this layer.
    pub fn new(layer: impl ChannelLayer) -> Self {
        Self(Arc::new(ChannelsInner {
            layer: Box::new(layer),
            undecodable: Undecodable::default(),
            unsent: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            sending: metric::SendCounters::new(),
        }))
    }

    /// Opens a new channel, to receive events outside a consumer.
    ///
    /// # Errors
    /// Any error of the layer.
    pub async fn open(&self) -> Result<Mailbox> {
        self.layer().open().await
    }

    /// Sends an event to one consumer, in this process or another, or a job to a
    /// [worker queue](ChannelName::is_worker_queue).
    ///
    /// If the consumer no longer exists, the event is dropped without an error. A job waits until a
    /// worker takes it, 60 s by default ([`JOB_EXPIRY`](super::JOB_EXPIRY)).
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the event has no `type`,
    /// [`ErrorKind::ChannelFull`](crate::ErrorKind::ChannelFull) if as many events wait already as
    /// the queue holds, 100 by default ([`QUEUE_CAPACITY`](super::QUEUE_CAPACITY)): a worker queue,
    /// and over Redis with `RedisConfig::queue` that of the consumer's process,
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if the layer did not accept it,
    /// [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed) if it is not known whether it did.
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

    pub(super) async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position> {
        let span = debug_span!("topic_send", %topic, bytes = post.envelope().as_bytes().len());
        let outcome = self.layer().topic_send(topic, post).instrument(span).await;
        self.0.sending.count(&outcome);
        outcome
    }

    pub(crate) async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        let span = debug_span!("group_add", %group, %channel);
        let joining = self.layer().group_add(group, channel);
        joining.instrument(span).await
    }

    /// Returns how many members the group has in this process.
    ///
    /// Other processes are not asked; [`members`](Channels::members) adds up those of all.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::{Channels, Event};
    ///
    /// #[derive(Event)]
    /// enum Chat { Message { text: String } }
    ///
    /// let channels = Channels::in_memory();
    /// let lobby = channels.group::<Chat>("chat.lobby")?;
    /// let mailbox = channels.open().await?;
    /// lobby.add(mailbox.name()).await?;
    ///
    /// assert_eq!(channels.local_members(&lobby)?, 1);
    /// # seaway::Result::<()>::Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not a valid group name.
    pub fn local_members(&self, group: impl IntoGroupName) -> Result<usize> {
        Ok(self.layer().local().members(&group.into_group_name()?))
    }

    /// Returns how many members the group has in all processes, at a cost that does not depend on
    /// their number.
    ///
    /// Over Redis, each process stores its numbers if
    /// [`RedisConfig::count_members`](super::redis::RedisConfig::count_members) was called, within
    /// 100 ms after a change; those of a process that was killed are counted until its
    /// [lease](super::redis::RedisConfig::presence_lease) has ended (15 s), and those of the last
    /// process for 35 s. Consumers of Django Channels are not
    /// counted. To know who they are, and to receive the changes, use
    /// [`Presence`](super::Presence).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// use seaway::{Channels, NoEvent};
    ///
    /// let channels = Channels::in_memory();
    /// let (room, mailbox) = (channels.group::<NoEvent>("room")?, channels.open().await?);
    /// room.add(mailbox.name()).await?;
    /// assert_eq!(channels.members(&room).await?, 1);
    /// # Ok::<(), seaway::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if the name is not a valid group name, [`ErrorKind::Layer`] if the layer
    /// does not count them, or does not respond in time.
    pub async fn members(&self, group: impl IntoGroupName) -> Result<u64> {
        self.layer().members(&group.into_group_name()?).await
    }

    /// Returns how many envelopes this process has dropped because a mailbox was full.
    pub fn dropped(&self) -> u64 {
        self.layer().dropped()
    }

    /// Returns how many events consumers of this process have skipped because they could not be
    /// decoded as the consumer's event type, and how many people of presences because their meta
    /// could not be decoded, each time that a list or change with them was.
    ///
    /// What comes from Redis and is no event at all, as with another serializer or without the key
    /// that it is encrypted with, is counted by the metric `seaway_events_dropped_total` with the
    /// reason `undecodable`, which includes this number.
    pub fn undecodable(&self) -> u64 {
        self.0.undecodable.total()
    }

    /// Returns how many times consumers of this process were notified that they may have
    /// [missed](Missed) events.
    pub fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }

    /// Returns `Ok` if events can currently be sent and received, for a readiness probe.
    ///
    /// Does not wait.
    ///
    /// ```
    /// use seaway::Channels;
    ///
    /// /// Responds to the readiness probe of a load balancer.
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

    /// Returns how many sends and joins of consumers of this process the channel layer did not
    /// accept or confirm, without those whose error the consumer's own `failed` handled.
    pub fn unsent(&self) -> u64 {
        self.0.unsent.load(Ordering::Relaxed)
    }

    /// Returns the layer itself, to send envelopes that are already encoded.
    pub fn layer(&self) -> &dyn ChannelLayer {
        &*self.0.layer
    }

    /// Decodes an event for a consumer. An event of another type is counted, logged and skipped: an
    /// error would close every connection of the group. Of a presence, only the people are skipped
    /// who cannot be decoded: a consumer cannot do without the others.
    pub(crate) fn decode<E: Event>(&self, envelope: Envelope) -> Option<Shared<E>> {
        let (error, envelope) = match envelope.try_decode() {
            Ok(event) => return Some(event),
            Err(failed) => failed,
        };
        let is_decodable = |event: &[u8]| messagepack::decode::<E>(event).is_ok();
        if let Some(part) = DecodablePart::of(envelope.event_bytes(), is_decodable)
            && let Ok(event) = messagepack::decode(&part.event)
        {
            self.count_left_out(&part.group, part.left_out, &error);
            return Some(envelope.share(event));
        }
        self.0.undecodable.log(&error, &envelope);
        None
    }

    /// Counts and logs people of a presence whose meta could not be decoded.
    pub(super) fn count_left_out(&self, group: &GroupName, people: u64, error: &Error) {
        self.0.undecodable.log_people(group, people, error);
    }

    /// Counts a notice of missed events to a consumer.
    pub(crate) fn count_missed(&self, missed: Missed) {
        metric::missed(match missed {
            Missed::Interrupted { .. } => "interrupted",
            Missed::Overflowed { .. } => "overflowed",
        });
        self.0.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a send or join that the channel layer did not accept or confirm.
    pub(crate) fn count_unsent(&self, error: &Error) {
        let total = self.0.unsent.fetch_add(1, Ordering::Relaxed) + 1;
        log_limited!(warn, error = %format_args!("{error:#}"), total, "a send or join of a consumer failed");
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channels").finish_non_exhaustive()
    }
}
