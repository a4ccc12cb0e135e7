//! What could not be told because the channel layer was away: rooms whose sockets have to look into the database.

use crate::rooms::Room;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

/// How many rooms wait. Further ones are not told; their sockets find out by themselves when they next look.
const ROOMS: usize = 1_000;

/// The rooms that wait to be told.
#[derive(Default)]
pub struct Outbox(Mutex<HashMap<i64, Due>>);

/// What one room waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    pub room: Room,
    /// Nobody who looks at the list knows the room yet.
    pub is_new: bool,
    /// The id before the first message that was not told.
    pub said_since: Option<i64>,
}

impl Due {
    /// The room's sockets shall look into the database.
    pub fn of(room: &Room) -> Self {
        Self {
            room: room.clone(),
            is_new: false,
            said_since: None,
        }
    }

    fn and(self, other: Self) -> Self {
        let since = self.said_since.into_iter().chain(other.said_since);
        Self {
            said_since: since.min(),
            is_new: self.is_new || other.is_new,
            room: self.room,
        }
    }
}

impl Outbox {
    /// Puts something in, with what waits for the same room.
    pub fn put(&self, due: Due) {
        let mut waiting = self.waiting();
        let id = due.room.id;
        let due = match waiting.remove(&id) {
            Some(earlier) => earlier.and(due),
            None if waiting.len() >= ROOMS => return,
            None => due,
        };
        waiting.insert(id, due);
    }

    /// Takes something out, whichever it is.
    pub fn take(&self) -> Option<Due> {
        let mut waiting = self.waiting();
        let id = *waiting.keys().next()?;
        waiting.remove(&id)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Due>> {
        self.0
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(id: i64, is_new: bool, said_since: Option<i64>) -> Due {
        let room = Room {
            id,
            slug: format!("room-{id}"),
            name: "Room".to_owned(),
        };
        Due {
            room,
            is_new,
            said_since,
        }
    }

    #[test]
    fn a_room_waits_once_for_all_that_it_was_not_told() {
        let outbox = Outbox::default();

        outbox.put(due(1, true, None));
        outbox.put(due(1, false, Some(7)));
        outbox.put(due(1, false, Some(9)));

        assert_eq!(outbox.take(), Some(due(1, true, Some(7))));
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn at_the_bound_those_who_wait_already_stay() {
        let outbox = Outbox::default();
        for id in 0..=ROOMS as i64 {
            outbox.put(due(id, false, None));
        }
        outbox.put(due(0, false, Some(1)));

        let taken: Vec<Due> = std::iter::from_fn(|| outbox.take()).collect();

        assert_eq!(taken.len(), ROOMS);
        assert!(taken.contains(&due(0, false, Some(1))));
    }
}
