//! The last events of one topic in the memory of this process.

use super::history::{HistoryLimits, TopicHistory};
use crate::{
    channels::{Envelope, Position, positioned},
    name::GroupName,
};
use std::collections::VecDeque;
use tokio::time::Instant;

/// The last events of a topic, as consumers that resume it receive them, without a gap up to the
/// position.
pub(in crate::channels) struct TopicWindow {
    position: Position,
    events: VecDeque<(Instant, Envelope)>,
    bytes: usize,
    limits: HistoryLimits,
    /// Whether the topic stores nothing older.
    is_whole: bool,
    /// When the query for it began, or the last one that confirmed it.
    asked: Instant,
    /// When the last query began that has found the same epoch.
    epoch_asked: Instant,
}

/// What a consumer that resumes a topic receives.
#[derive(Debug)]
pub(in crate::channels) struct Recovery {
    /// The position from which live events follow.
    pub(in crate::channels) position: Position,
    /// What was missed, oldest first; nothing if some of it is missing.
    pub(in crate::channels) events: Vec<Envelope>,
    /// Whether nothing is missing.
    pub(in crate::channels) all: bool,
}

/// Why a window does not show what was missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The topic may store more than the window has.
    TooShort,
    /// The position is ahead of the window: the window may be outdated, or the topic has lost
    /// events.
    Ahead,
    /// The position is of another epoch: the window may be outdated.
    Foreign,
}

impl TopicWindow {
    pub(in crate::channels) fn new(
        topic: &GroupName,
        history: TopicHistory,
        limits: HistoryLimits,
        is_whole: bool,
        asked: Instant,
    ) -> Self {
        let TopicHistory { position, events } = history;
        let now = Instant::now();
        let mut window = Self {
            position: position.clone(),
            events: VecDeque::with_capacity(events.len()),
            bytes: 0,
            limits,
            is_whole,
            asked,
            epoch_asked: asked,
        };
        let count = events.len();
        for (number, (age, envelope)) in events.into_iter().enumerate() {
            // Numbered from the last one back; the first one of an epoch is 1.
            let later = (count - 1 - number) as u64;
            let offset = position.offset().checked_sub(later);
            let Some(offset) = offset.filter(|offset| *offset > 0) else {
                continue;
            };
            let position = position.with_offset(offset);
            let at = now.checked_sub(age).unwrap_or(now);
            window.add(at, in_topic(topic, &position, &envelope));
        }
        window
    }

    /// Adds the next live event; returns false if it is not the next one, and not an earlier one
    /// either: then the window is outdated.
    pub(super) fn push(&mut self, position: &Position, envelope: Envelope) -> bool {
        if position.until(&self.position).is_some() {
            return true;
        }
        if self.position.until(position) != Some(1) {
            return false;
        }
        self.position = position.clone();
        self.add(Instant::now(), envelope);
        true
    }

    fn add(&mut self, at: Instant, envelope: Envelope) {
        self.bytes = self.bytes.saturating_add(size(&envelope));
        self.events.push_back((at, envelope));
        // What exceeds the limits of the topic is missed anyway, so the window remains whole.
        while self.events.len() > self.limits.events {
            self.pop();
        }
    }

    /// Drops the oldest event to save memory.
    pub(super) fn shorten(&mut self) {
        self.pop();
        self.is_whole = false;
    }

    fn pop(&mut self) {
        if let Some((_, envelope)) = self.events.pop_front() {
            self.bytes = self.bytes.saturating_sub(size(&envelope));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns the memory that it uses, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Notes that a later query has returned nothing that this window lacks, if that is so.
    ///
    /// Its epoch is that of the later one in any case.
    pub(super) fn confirm(&mut self, later: &Self) {
        self.epoch_asked = later.asked;
        if later.position.until(&self.position).is_some() {
            self.asked = later.asked;
        }
    }

    /// Returns whether the query for it, or the last one that confirmed it, began at this time or
    /// later.
    pub(super) fn is_asked_since(&self, time: Instant) -> bool {
        self.asked >= time
    }

    /// Returns the same for a query that has confirmed the epoch at least.
    pub(super) fn is_epoch_asked_since(&self, time: Instant) -> bool {
        self.epoch_asked >= time
    }

    /// Returns what a consumer has missed since a position; one without a position has missed
    /// nothing.
    pub(super) fn since(
        &self,
        since: Option<&Position>,
        limits: HistoryLimits,
    ) -> Result<Recovery, Unknown> {
        let recovery = |events, all| Recovery {
            position: self.position.clone(),
            events,
            all,
        };
        let Some(since) = since else {
            return Ok(recovery(Vec::new(), true));
        };
        let missed = since.until(&self.position).ok_or_else(|| {
            let is_ahead = self.position.until(since).is_some();
            if is_ahead {
                Unknown::Ahead
            } else {
                Unknown::Foreign
            }
        })?;
        if missed > limits.events as u64 {
            return Ok(recovery(Vec::new(), false));
        }
        let missed = usize::try_from(missed).unwrap_or(usize::MAX);
        let Some(start) = self.events.len().checked_sub(missed) else {
            return match self.is_whole && limits.events <= self.limits.events {
                true => Ok(recovery(Vec::new(), false)),
                false => Err(Unknown::TooShort),
            };
        };
        let is_too_old = |(at, _): &(Instant, Envelope)| at.elapsed() > limits.age;
        if self.events.get(start).is_some_and(is_too_old) {
            return Ok(recovery(Vec::new(), false));
        }
        let events = self.events.range(start..).map(|(_, event)| event.clone());
        Ok(recovery(events.collect(), true))
    }

    /// Returns the same from the only source there is: what it does not have is lost.
    pub(in crate::channels) fn finally_since(
        &self,
        since: Option<&Position>,
        limits: HistoryLimits,
    ) -> Recovery {
        self.since(since, limits).unwrap_or_else(|_| Recovery {
            position: self.position.clone(),
            events: Vec::new(),
            all: false,
        })
    }
}

/// Returns an event as consumers that resume the topic receive it.
pub(super) fn in_topic(topic: &GroupName, position: &Position, envelope: &Envelope) -> Envelope {
    if envelope.position() == Some(position) {
        return envelope.in_topic(topic);
    }
    let made = Envelope::from_bytes(positioned::topic_event(
        topic,
        position,
        envelope.event_bytes(),
    ));
    made.record_group(topic);
    made
}

/// What an event uses besides its bytes, about.
const OVERHEAD: usize = 250;

/// How often an event is kept: encoded, and, once a client has received it, as the value and as the
/// message. The three are about as large.
const COPIES: usize = 3;

/// Returns the memory that an event may use, about, in bytes.
fn size(envelope: &Envelope) -> usize {
    COPIES * envelope.as_bytes().len() + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const LIMITS: HistoryLimits = HistoryLimits {
        events: 4,
        age: Duration::from_secs(60),
    };

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    /// Returns a window with the events up to 10, of these ages.
    fn window(ages: &[u64], is_whole: bool) -> TopicWindow {
        let event = |age: &u64| (Duration::from_secs(*age), Envelope::from_bytes("event"));
        let history = TopicHistory::new(position("10:a"), ages.iter().map(event).collect());
        let topic = GroupName::new("lot.7").unwrap();
        TopicWindow::new(&topic, history, LIMITS, is_whole, Instant::now())
    }

    fn outcome(window: &TopicWindow, since: &str) -> Result<Option<usize>, Unknown> {
        let recovery = window.since(Some(&position(since)), LIMITS)?;
        Ok(recovery.all.then_some(recovery.events.len()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_tells_what_was_missed_and_what_it_does_not_know() {
        let is_lost = Ok(None);
        for (ages, is_whole, since, expected) in [
            (&[9, 8, 7, 6][..], true, "10:a", Ok(Some(0))),
            (&[9, 8, 7, 6], true, "8:a", Ok(Some(2))),
            (&[9, 8, 7, 6], true, "6:a", Ok(Some(4))),
            (&[9, 8, 7, 6], true, "5:a", is_lost),
            (&[9, 8, 7, 6], false, "5:a", is_lost),
            (&[9, 8], true, "7:a", is_lost),
            (&[9, 8], false, "7:a", Err(Unknown::TooShort)),
            (&[60, 8], true, "8:a", Ok(Some(2))),
            (&[61, 8], true, "8:a", is_lost),
            (&[61, 8], true, "9:a", Ok(Some(1))),
            (&[], false, "10:a", Ok(Some(0))),
            (&[9], true, "11:a", Err(Unknown::Ahead)),
            (&[9], true, "10:b", Err(Unknown::Foreign)),
        ] {
            let window = window(ages, is_whole);

            assert_eq!(outcome(&window, since), expected, "{ages:?} since {since}");
        }
        assert!(window(&[], false).since(None, LIMITS).unwrap().all);
    }

    #[tokio::test(start_paused = true)]
    async fn live_events_extend_a_window_in_order() {
        let mut window = window(&[9, 8, 7, 6], true);
        let event = |text: &str| (position(text), Envelope::from_bytes("event"));
        for (next, is_taken) in [
            ("11:a", true),
            ("11:a", true),
            ("9:a", true),
            ("13:a", false),
            ("12:b", false),
        ] {
            let (position, envelope) = event(next);

            assert_eq!(window.push(&position, envelope), is_taken, "{next}");
        }

        assert_eq!(outcome(&window, "7:a"), Ok(Some(4)));
        assert_eq!(outcome(&window, "6:a"), Ok(None));
        window.shorten();
        assert_eq!(outcome(&window, "8:a"), Ok(Some(3)));
        assert_eq!(outcome(&window, "7:a"), Err(Unknown::TooShort));
    }
}
