//! The room: a ring of the last messages, by id.

use seaway::{Channels, Event, Group, Result};
use serde::Serialize;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

/// The number of messages that are kept; the oldest is dropped first. A client that was away for
/// longer is notified of a gap.
const KEPT: usize = 100;

/// The group of all clients but those that poll.
pub const GROUP: &str = "room";

/// A message in the room.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    pub id: u64,
    pub text: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// The event of the room: only that there is a new message. Listeners then read the messages from
/// the room, so they get them in order, each once, with any number of concurrent senders, and they
/// notice a gap if they were too slow.
#[derive(Event)]
#[event(prefix = "room")]
pub enum RoomEvent {
    Said,
}

/// The messages after an id.
#[derive(Debug, Serialize)]
pub struct Missed {
    pub messages: Vec<Message>,
    /// Whether more was missed than is kept; never set for `since` 0, a client without messages.
    pub gap: bool,
    /// The id before the first one of this process: if it changes, the server has restarted.
    pub start: u64,
    /// The newest id: a client with these messages has all up to it.
    #[serde(skip)]
    pub last_id: u64,
}

impl Missed {
    /// Returns whether there are neither messages nor a gap.
    pub fn is_nothing(&self) -> bool {
        self.messages.is_empty() && !self.gap
    }
}

/// The error for a text that is no valid message.
pub const UNFIT: &str = "a message has 1 to 500 characters";

/// Returns whether a text is a valid message.
pub fn is_fit(text: &str) -> bool {
    !text.trim().is_empty() && text.chars().count() <= 500
}

/// The last messages, by id, and the group that is notified of new ones.
pub struct Room {
    ring: Mutex<Ring>,
    listeners: Group<RoomEvent>,
}

struct Ring {
    messages: VecDeque<Message>,
    /// The start time of this process, so that ids are never reused: those of an earlier process
    /// are lower, unless the clock was set back or it had more than one message per millisecond.
    start: u64,
    last_id: u64,
}

impl Room {
    /// Returns a room without messages.
    pub fn new(channels: &Channels) -> Result<Self> {
        Ok(Self {
            ring: Mutex::new(Ring::new(now())),
            listeners: channels.group(GROUP)?,
        })
    }

    /// Stores a message, and notifies the group.
    pub async fn say(&self, text: String) -> Result<Message> {
        let message = self.ring().push(text, now());
        self.listeners.send(&RoomEvent::Said).await?;
        Ok(message)
    }

    /// Returns the messages after this id.
    pub fn since(&self, id: u64) -> Missed {
        self.ring().since(id)
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        let ring = self.ring.lock();
        ring.expect("no code panics while it holds this lock")
    }
}

impl Ring {
    fn new(start: u64) -> Self {
        Self {
            messages: VecDeque::new(),
            start,
            last_id: start,
        }
    }

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

    /// Returns the messages after this id. A client with an id of another process has missed all
    /// that is here, and perhaps more that was dropped.
    fn since(&self, id: u64) -> Missed {
        let is_ours = (self.start..=self.last_id).contains(&id);
        let known = if is_ours { id } else { self.start };
        let oldest = self.messages.front().map_or(0, |message| message.id);
        let messages = self.messages.iter().filter(|message| message.id > known);
        Missed {
            messages: messages.cloned().collect(),
            gap: id != 0 && (!is_ours || known + 1 < oldest),
            start: self.start,
            last_id: self.last_id,
        }
    }
}

/// A client with a long connection, and the last id that it has.
pub struct Listener {
    room: Arc<Room>,
    since: u64,
}

impl Listener {
    /// Returns a listener that has all messages up to this id.
    pub fn new(room: Arc<Room>, since: u64) -> Self {
        Self { room, since }
    }

    /// Returns the id before the first one of this process.
    pub fn start(&self) -> u64 {
        self.room.ring().start
    }

    /// Returns the last id that the listener has, as an id of this process: those of another one
    /// mean nothing here.
    pub fn since(&self) -> u64 {
        self.since.max(self.start())
    }

    /// Returns the messages since the last call.
    pub fn missed(&mut self) -> Missed {
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
    fn missed_messages_come_from_the_ring_and_a_gap_is_reported() {
        const START: u64 = 1_000_000;
        let mut ring = Ring::new(START);
        assert!(ring.since(0).is_nothing());
        assert!(ring.since(START).is_nothing());
        assert!(ring.since(START - 7).gap);
        for number in 1..=150 {
            ring.push(format!("{number}"), 0);
        }

        for (since, first, gap) in [
            (0, Some(51), false),
            (START - 7, Some(51), true),
            (START, Some(51), true),
            (START + 49, Some(51), true),
            (START + 50, Some(51), false),
            (START + 149, Some(150), false),
            (START + 150, None, false),
            (START + 1_000, Some(51), true),
        ] {
            let missed = ring.since(since);
            let ids = missed.messages.iter().map(|message| message.id - START);
            assert_eq!(ids.clone().next(), first, "since {since}");
            assert_eq!(missed.gap, gap, "since {since}");
            assert_eq!(ids.count() as u64, first.map_or(0, |first| 151 - first));
            assert_eq!(missed.last_id, START + 150);
        }
    }
}
