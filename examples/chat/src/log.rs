//! Past messages, of this process' life: Redis' pub/sub stores nothing.

use crate::room::Message;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard},
};

/// How many messages a room keeps; the oldest goes first.
const MESSAGES: usize = 100;
/// How many rooms are kept; the one that was silent longest goes first.
const ROOMS: usize = 1_000;

/// Past messages by room.
#[derive(Default)]
pub struct Log(Mutex<HashMap<String, VecDeque<Message>>>);

impl Log {
    /// Notes a message. Every member of the room in this process does; only the first counts.
    pub fn note(&self, room: &str, message: &Message) {
        let mut rooms = self.rooms();
        if !rooms.contains_key(room) && rooms.len() >= ROOMS {
            let silent = rooms
                .iter()
                .min_by_key(|(_, past)| past.back().map(|message| message.at))
                .map(|(room, _)| room.clone());
            silent.and_then(|room| rooms.remove(&room));
        }
        let past = rooms.entry(room.to_owned()).or_default();
        if past.iter().rev().any(|known| known.id == message.id) {
            return;
        }
        if past.len() == MESSAGES {
            past.pop_front();
        }
        past.push_back(message.clone());
    }

    /// What was said in the room, the oldest first.
    pub fn past(&self, room: &str) -> Vec<Message> {
        let rooms = self.rooms();
        rooms.get(room).into_iter().flatten().cloned().collect()
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, VecDeque<Message>>> {
        self.0
            .lock()
            .expect("no code panics while it holds this lock")
    }
}
