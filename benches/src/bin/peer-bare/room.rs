//! Rooms: who is in, and how a text reaches them all.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// How many texts wait for one member; what does not fit is dropped for that member alone.
const QUEUE: usize = 1024;

/// All rooms by name; a room ends when its last member leaves.
#[derive(Default)]
pub(crate) struct Rooms {
    by_name: Mutex<HashMap<String, Arc<Room>>>,
    next_member: AtomicU64,
}

/// The members of one room.
#[derive(Default)]
struct Room {
    members: Mutex<Vec<(u64, mpsc::Sender<Utf8Bytes>)>>,
}

/// One place in a room; dropping it leaves.
pub(crate) struct Membership {
    member: u64,
    name: String,
    room: Arc<Room>,
    rooms: Arc<Rooms>,
    /// What was sent to the room since this member joined.
    pub(crate) inbox: mpsc::Receiver<Utf8Bytes>,
}

impl Rooms {
    /// Takes a place in the room of that name.
    pub(crate) fn join(self: &Arc<Self>, name: &str) -> Membership {
        let member = self.next_member.fetch_add(1, Ordering::Relaxed);
        let (outbox, inbox) = mpsc::channel(QUEUE);
        let room = {
            let mut by_name = lock(&self.by_name);
            let room = Arc::clone(by_name.entry(name.to_owned()).or_default());
            lock(&room.members).push((member, outbox));
            room
        };
        Membership {
            member,
            name: name.to_owned(),
            room,
            rooms: Arc::clone(self),
            inbox,
        }
    }
}

impl Membership {
    /// Sends a text to everyone in the room, this member too.
    pub(crate) fn send(&self, text: &Utf8Bytes) {
        for (_, outbox) in lock(&self.room.members).iter() {
            let _ = outbox.try_send(text.clone());
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Names before members, the order in which `join` takes the two locks.
        let mut by_name = lock(&self.rooms.by_name);
        let mut members = lock(&self.room.members);
        members.retain(|(member, _)| *member != self.member);
        if members.is_empty() {
            by_name.remove(&self.name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
