//! The typed handle of a topic: a group that stores its last events.

use super::{
    Channels, Envelope, Event, Group, GroupEvents, LocalChannels, Position, TopicEvent, TopicPost,
    topics::{HistoryLimits, RecoverySource},
};
use crate::{
    error::{Error, ErrorKind, Result},
    name::{ChannelName, GroupName, IntoGroupName, NamesGroup},
};
use std::{fmt, time::Duration};

/// The largest history size: what every Redis accepts as a length.
const MOST_EVENTS: usize = i32::MAX as usize;

/// The longest age, so that the times of Redis do not overflow.
const LONGEST_AGE: Duration = Duration::from_secs(365 * 24 * 3600);

/// The maximum length of an idempotency key, in bytes.
const LONGEST_KEY: usize = 200;

/// A topic: a group that stores its last events, so that a client that reconnects receives what
/// it has missed.
///
/// Events are numbered in one order for all processes. A consumer that
/// [resumes](crate::Handshake::resume) the topic receives them as [`TopicEvent`]s; other members of
/// the group of that name receive them as plain events.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// use seaway::{Channels, Event, TopicEvent};
/// use std::time::Duration;
///
/// #[derive(Event)]
/// enum LotEvent {
///     Placed { cents: u64 },
/// }
///
/// let channels = Channels::in_memory();
/// let lot = channels
///     .topic::<LotEvent>("lot.7")?
///     .history_size(100)
///     .history_age(Duration::from_secs(600));
/// let first = lot.send(&LotEvent::Placed { cents: 100 }).await?;
/// lot.send(&LotEvent::Placed { cents: 150 }).await?;
///
/// let mut missed = lot.listen(Some(first)).await?;
/// let event = missed.next().await?;
/// let TopicEvent::Event { event: LotEvent::Placed { cents }, .. } = &*event else { panic!() };
/// assert_eq!(*cents, 150);
/// assert!(matches!(&*missed.next().await?, TopicEvent::Recovered { all: true, .. }));
/// # seaway::Result::<()>::Ok(()) }).unwrap();
/// ```
///
/// All programs set the same size and age for a topic. The value is a handle, cheap to clone. The
/// guide is `docs/topics.md`.
pub struct Topic<E> {
    group: Group<E>,
    limits: HistoryLimits,
}

impl Channels {
    /// Returns the topic with this name, which stores 1,000 events
    /// ([`TOPIC_EVENTS`](super::TOPIC_EVENTS)) for an hour ([`TOPIC_AGE`](super::TOPIC_AGE)) unless
    /// set otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the name is not a valid [group
    /// name](GroupName).
    pub fn topic<E: Event>(&self, name: impl IntoGroupName) -> Result<Topic<E>> {
        Ok(Topic {
            group: self.group(name)?,
            limits: HistoryLimits::default(),
        })
    }
}

impl<E: Event> Topic<E> {
    /// Sets how many events the topic stores (default: 1,000; 1 to 2^31 - 1).
    #[must_use]
    pub fn history_size(mut self, events: usize) -> Self {
        self.limits.events = events.clamp(1, MOST_EVENTS);
        self
    }

    /// Sets how long the topic stores an event (default: 1 hour; 1 s to 365 days).
    #[must_use]
    pub fn history_age(mut self, age: Duration) -> Self {
        self.limits.age = age.clamp(Duration::from_secs(1), LONGEST_AGE);
        self
    }

    /// Returns the topic's name.
    pub fn name(&self) -> &GroupName {
        self.group.name()
    }

    /// Returns the group of the same name: its members receive the events without their positions,
    /// and what is sent to it is not stored.
    pub fn group(&self) -> &Group<E> {
        &self.group
    }

    /// Stores an event and sends it to every member in every process; returns its position.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the event has no `type`, [`ErrorKind::Layer`] if the layer did not
    /// accept it, or stores no topics; [`ErrorKind::Unconfirmed`] if it is not known whether it
    /// did: sending again may send it twice, unless it is sent with a key.
    pub async fn send(&self, event: &E) -> Result<Position> {
        self.post(event, None).await
    }

    /// Stores and sends an event, unless one with the same key was stored; returns the position of
    /// that event.
    ///
    /// So a publisher that does not know whether its event was accepted sends it again with the
    /// same key. A key is stored for 10 minutes, in memory the last 10,000 of a topic; it has 1
    /// to 200 bytes. Over Redis, an event with a key is sent again by itself after its connection
    /// broke, until [`send_timeout`](crate::channels::redis::RedisConfig::send_timeout).
    ///
    /// A later call with the key of an event that is stored never sends it again: if the first one
    /// could not send it to the members, they receive it with the next event, and members of the
    /// [`group`](Topic::group) do not.
    ///
    /// ```
    /// # use seaway::{Channels, Event};
    /// # #[derive(Event)] enum LotEvent { Placed { cents: u64 } }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let lot = Channels::in_memory().topic::<LotEvent>("lot.7")?;
    ///
    /// let first = lot.send_once("bid 8127", &LotEvent::Placed { cents: 100 }).await?;
    /// let again = lot.send_once("bid 8127", &LotEvent::Placed { cents: 100 }).await?;
    ///
    /// assert_eq!(first, again);
    /// # seaway::Result::<()>::Ok(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`send`](Topic::send), and [`ErrorKind::TooLarge`] if the key is too long or empty.
    pub async fn send_once(&self, key: &str, event: &E) -> Result<Position> {
        if !(1..=LONGEST_KEY).contains(&key.len()) {
            let message = format!(
                "an idempotency key must have 1 to {LONGEST_KEY} bytes, got {}; use a hash of it",
                key.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.post(event, Some(key.to_owned())).await
    }

    async fn post(&self, event: &E, key: Option<String>) -> Result<Position> {
        let post = TopicPost {
            envelope: Envelope::encode(event)?,
            key,
            limits: self.limits,
        };
        self.channels().topic_send(self.name(), post).await
    }

    /// Resumes the topic for a channel of this process: its mailbox receives what was missed since
    /// a position, the end of the resume, and then live events, as [`TopicEvent`]s.
    ///
    /// A consumer resumes through its [handshake](crate::Handshake::resume) or
    /// [context](crate::Context::resume) instead, other code [listens](Topic::listen).
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the layer did not accept the membership or cannot read the history,
    /// or if the channel is not of this process. The channel is then a member only if it was
    /// before.
    ///
    /// # Cancel safety
    /// Safe: as after an error.
    pub async fn resume(&self, channel: &ChannelName, since: Option<Position>) -> Result<()> {
        let channels = self.channels();
        let local = channels.layer().local();
        let mut undo = UnconfirmedResume {
            local,
            topic: self.name(),
            channel,
            is_due: !local.is_member(self.name(), channel),
        };
        self.group.add(channel).await?;
        let recovery =
            channels.catch_up(self.name(), since, self.limits, false, RecoverySource::Any);
        let recovery = recovery.await?;
        let read = channels.reader::<E>(self.name(), self.limits);
        local.resume(self.name(), channel, recovery, read)?;
        undo.is_due = false;
        Ok(())
    }

    /// Resumes the topic for code that is not a consumer, and returns its events.
    ///
    /// # Errors
    /// As [`resume`](Topic::resume).
    pub async fn listen(&self, since: Option<Position>) -> Result<GroupEvents<TopicEvent<E>>> {
        let mailbox = self.channels().open().await?;
        self.resume(mailbox.name(), since).await?;
        let channels = self.channels().clone();
        Ok(GroupEvents::new(mailbox, channels, self.name().clone()))
    }

    fn channels(&self) -> &Channels {
        self.group.channels()
    }
}

/// Ends a membership without which a resume has failed.
struct UnconfirmedResume<'a> {
    local: &'a LocalChannels,
    topic: &'a GroupName,
    channel: &'a ChannelName,
    is_due: bool,
}

impl Drop for UnconfirmedResume<'_> {
    fn drop(&mut self) {
        if self.is_due {
            self.local.leave(self.topic, self.channel);
        }
    }
}

impl<E> IntoGroupName for &Topic<E> {}
impl<E> NamesGroup for &Topic<E> {
    fn into_group_name(self) -> Result<GroupName> {
        Ok(self.group.name.clone())
    }
}

impl<E> Clone for Topic<E> {
    fn clone(&self) -> Self {
        Self {
            group: self.group.clone(),
            limits: self.limits,
        }
    }
}

impl<E> fmt::Debug for Topic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("group", &self.group)
            .field("limits", &self.limits)
            .finish()
    }
}
