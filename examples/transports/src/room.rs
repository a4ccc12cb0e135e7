//! The room: the last messages, by id.

use seaway::{Channels, Event, Group, Result};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

/// How many messages are kept; the oldest goes first, and whoever was away for longer is told of a gap.
const KEPT: usize = 100;

/// The group of all who listen without asking again and again.
pub const GROUP: &str = "room";

/// Something said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    pub id: u64,
    pub text: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// What listeners are told: only that something was said. What it was they ask the room, so they hear it in order, each
/// message once, however many people speak at the same time, and they learn of a gap if they were too slow.
#[derive(Event)]
#[event(prefix = "room")]
pub enum RoomEvent {
    Said,
}

/// What somebody has missed.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Missed {
    pub messages: Vec<Message>,
    /// Whether more was missed than is kept.
    pub gap: bool,
    /// The newest id: whoever has these messages has all up to it.
    #[serde(skip)]
    pub last_id: u64,
}

impl Missed {
    /// Whether there is anything to tell.
    pub fn is_nothing(&self) -> bool {
        self.messages.is_empty() && !self.gap
    }
}

/// A message has 1 to 500 characters.
pub fn is_fit(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 500
}

/// The last messages, by id, and those who listen.
pub struct Room {
    ring: Mutex<Ring>,
    listeners: Group<RoomEvent>,
}

#[derive(Default)]
struct Ring {
    messages: VecDeque<Message>,
    last_id: u64,
}

impl Room {
    /// A silent room.
    pub fn new(channels: &Channels) -> Result<Self> {
        Ok(Self {
            ring: Mutex::default(),
            listeners: channels.group(GROUP)?,
        })
    }

    /// Keeps a message, and tells everyone.
    pub async fn say(&self, text: String) -> Result<Message> {
        let message = self.ring().push(text, now());
        self.listeners.send(&RoomEvent::Said).await?;
        Ok(message)
    }

    /// The newest id; 0 if nothing was said.
    pub fn last_id(&self) -> u64 {
        self.ring().last_id
    }

    /// What came after this id.
    pub fn since(&self, id: u64) -> Missed {
        self.ring().since(id)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        let ring = self.ring.lock();
        ring.expect("no code panics while it holds this lock")
    }
}

impl Ring {
    fn push(&mut self, text: String, at: u64) -> Message {
        if self.messages.len() == KEPT {
            self.messages.pop_front();
        }
        self.last_id += 1;
        let id = self.last_id;
        let message = Message { id, text, at };
        self.messages.push_back(message.clone());
        message
    }

    /// An id from before this server started is higher than any of its own: then all is new, and something may be gone.
    fn since(&self, id: u64) -> Missed {
        let known = if id > self.last_id { 0 } else { id };
        let oldest = self.messages.front().map_or(1, |message| message.id);
        let messages = self.messages.iter().filter(|message| message.id > known);
        Missed {
            messages: messages.cloned().collect(),
            gap: known + 1 < oldest || id > self.last_id,
            last_id: self.last_id,
        }
    }
}

/// Somebody who listens for longer, and how far she has heard.
pub struct Listener {
    room: Arc<Room>,
    since: u64,
}

impl Listener {
    /// One who has all up to this id.
    pub fn new(room: Arc<Room>, since: u64) -> Self {
        Self { room, since }
    }

    /// The newest id of the room.
    pub fn last_id(&self) -> u64 {
        self.room.last_id()
    }

    /// What was said since this was asked before.
    pub fn news(&mut self) -> Missed {
        let missed = self.room.since(self.since);
        self.since = missed.last_id;
        missed
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_served_from_the_ring_and_a_gap_is_said() {
        let mut ring = Ring::default();
        assert!(ring.since(0).is_nothing());
        for number in 1..=150 {
            ring.push(format!("{number}"), 0);
        }

        for (since, first, gap) in [
            (0, Some(51), true),
            (49, Some(51), true),
            (50, Some(51), false),
            (149, Some(150), false),
            (150, None, false),
            (1_000, Some(51), true),
        ] {
            let missed = ring.since(since);
            let ids = missed.messages.iter().map(|message| message.id);
            assert_eq!(ids.clone().next(), first, "since {since}");
            assert_eq!(missed.gap, gap, "since {since}");
            assert_eq!(ids.count() as u64, first.map_or(0, |first| 151 - first));
        }
    }
}
