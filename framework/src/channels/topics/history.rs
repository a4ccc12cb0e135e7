//! What a channel layer stores and reads of a topic.

use crate::channels::{Envelope, Position};
use std::time::Duration;

/// The number of events that a topic stores, unless set otherwise.
pub const TOPIC_EVENTS: usize = 1000;

/// How long a topic stores an event, unless set otherwise.
pub const TOPIC_AGE: Duration = Duration::from_secs(3600);

/// How much a topic stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HistoryLimits {
    pub(crate) events: usize,
    pub(crate) age: Duration,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            events: TOPIC_EVENTS,
            age: TOPIC_AGE,
        }
    }
}

/// An event for a channel layer to store in a topic and to send to its members.
///
/// A layer of your own passes it to its [`LocalTopics`](crate::channels::LocalTopics), or stores it
/// elsewhere: see [`ChannelLayer::topic_send`](crate::channels::ChannelLayer::topic_send).
///
/// ```
/// use seaway::{Result, channels::{Envelope, Position, TopicPost}};
///
/// /// Numbers an event and stores it; returns what to send to the members.
/// fn append(stored: &mut Vec<Envelope>, epoch: &str, post: &TopicPost) -> Result<Envelope> {
///     stored.push(post.envelope().clone());
///     let position = Position::new(stored.len() as u64, epoch)?;
///     Ok(post.envelope().clone().at(&position))
/// }
/// # _ = append;
/// ```
#[derive(Clone, Debug)]
pub struct TopicPost {
    pub(in crate::channels) envelope: Envelope,
    pub(in crate::channels) key: Option<String>,
    pub(in crate::channels) limits: HistoryLimits,
}

impl TopicPost {
    /// Returns the event, which has no position yet.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Returns the idempotency key: an event with the same key is stored once.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns how many events the topic stores.
    pub fn events(&self) -> usize {
        self.limits.events
    }

    /// Returns how long the topic stores an event.
    pub fn age(&self) -> Duration {
        self.limits.age
    }
}

/// A query for the last events of a topic.
///
/// ```
/// use seaway::channels::{Envelope, Position, TopicHistory, TopicQuery};
/// use std::time::Instant;
///
/// /// Returns the events that a query wants.
/// fn read(stored: &[(Instant, Envelope)], position: Position, query: &TopicQuery) -> TopicHistory {
///     let start = stored.len().saturating_sub(query.wanted(&position));
///     let events = stored[start..].iter().map(|(at, event)| (at.elapsed(), event.clone()));
///     let events = events.skip_while(|(age, _)| *age > query.age());
///     TopicHistory::new(position, events.collect())
/// }
/// # _ = read;
/// ```
#[derive(Clone, Debug)]
pub struct TopicQuery {
    pub(in crate::channels) since: Option<Position>,
    pub(in crate::channels) limits: HistoryLimits,
    /// Whether to read all that the topic stores, for further consumers that resume it.
    pub(in crate::channels) is_whole: bool,
    /// Whether this process has received the event at `since` itself: if the topic is not as far,
    /// the store has lost events.
    pub(in crate::channels) is_received: bool,
}

impl TopicQuery {
    /// Returns how many of the last events are wanted, if the topic is at this position: those
    /// after the position of the client, or all that the topic stores; none if it stores
    /// less.
    pub fn wanted(&self, position: &Position) -> usize {
        if self.is_whole {
            return self.limits.events;
        }
        let missed = self.since.as_ref().and_then(|since| since.until(position));
        let missed = missed.and_then(|missed| usize::try_from(missed).ok());
        missed
            .filter(|missed| *missed <= self.limits.events)
            .unwrap_or(0)
    }

    /// Returns how old an event may be.
    pub fn age(&self) -> Duration {
        self.limits.age
    }
}

/// The position of a topic, and its last events.
///
/// ```
/// use seaway::channels::{Envelope, Position, TopicHistory};
/// use std::time::Duration;
///
/// let event = Envelope::from_bytes("an encoded event");
/// let position = Position::new(12, "k3x9")?;
/// let history = TopicHistory::new(position, vec![(Duration::from_secs(3), event)]);
/// assert_eq!((history.position().offset(), history.events().len()), (12, 1));
/// # Ok::<(), seaway::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TopicHistory {
    pub(in crate::channels) position: Position,
    /// The last events with their age, the oldest first: the last one is that of the position.
    pub(in crate::channels) events: Vec<(Duration, Envelope)>,
}

impl TopicHistory {
    /// Creates the history of a topic that is at this position.
    ///
    /// `events` are its last ones with their ages, oldest first and without a gap; the last one is
    /// the event of the position.
    pub fn new(position: Position, events: Vec<(Duration, Envelope)>) -> Self {
        Self { position, events }
    }

    /// Returns the position of the last event.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// Returns the events with their ages, oldest first.
    pub fn events(&self) -> &[(Duration, Envelope)] {
        &self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_after_a_position_are_wanted_if_the_topic_stores_them_all() {
        for (since, is_whole, expected) in [
            (None, false, 0),
            (Some("10:a"), false, 0),
            (Some("7:a"), false, 3),
            (Some("6:a"), false, 4),
            (Some("5:a"), false, 0),
            (Some("11:a"), false, 0),
            (Some("7:b"), false, 0),
            (Some("7:b"), true, 4),
        ] {
            let query = TopicQuery {
                since: since.map(|since| since.parse().unwrap()),
                limits: HistoryLimits {
                    events: 4,
                    age: TOPIC_AGE,
                },
                is_whole,
                is_received: false,
            };

            let wanted = query.wanted(&"10:a".parse().unwrap());

            assert_eq!(wanted, expected, "{since:?}");
        }
    }
}
