//! Rooms: their members, and the delivery of texts.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// The queue length of a member; texts that do not fit are dropped for that member alone.
const QUEUE: usize = 1024;

/// All rooms by name; a room is removed with its last member.
#[derive(Default)]
pub(crate) struct Rooms {
    by_name: Mutex<HashMap<String, Arc<Room>>>,
    next_member: AtomicU64,
}

/// The members of one room.
#[derive(Default)]
struct Room {
    members: Mutex<Vec<Member>>,
}

struct Member {
    number: u64,
    form: Form,
    outbox: mpsc::Sender<Utf8Bytes>,
}

/// The encoding of texts for a member.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// As it was sent.
    Text,
    /// As a server-sent event.
    Event,
}

/// A membership in a room; dropping it leaves.
pub(crate) struct Membership {
    number: u64,
    name: String,
    room: Arc<Room>,
    rooms: Arc<Rooms>,
    /// The texts since this member joined.
    pub(crate) inbox: mpsc::Receiver<Utf8Bytes>,
}

impl Rooms {
    /// Joins the room of this name.
    pub(crate) fn join(self: &Arc<Self>, name: &str, form: Form) -> Membership {
        let number = self.next_member.fetch_add(1, Ordering::Relaxed);
        let (outbox, inbox) = mpsc::channel(QUEUE);
        let room = {
            let mut by_name = lock(&self.by_name);
            let room = Arc::clone(by_name.entry(name.to_owned()).or_default());
            lock(&room.members).push(Member {
                number,
                form,
                outbox,
            });
            room
        };
        Membership {
            number,
            name: name.to_owned(),
            room,
            rooms: Arc::clone(self),
            inbox,
        }
    }
}

impl Membership {
    /// Sends a text to all members, including this one.
    pub(crate) fn send(&self, text: &Utf8Bytes) {
        let mut event = None;
        for member in lock(&self.room.members).iter() {
            let text = match member.form {
                Form::Text => text,
                Form::Event => event.get_or_insert_with(|| format!("data: {text}\n\n").into()),
            };
            let _ = member.outbox.try_send(text.clone());
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Names before members: the lock order of `join`.
        let mut by_name = lock(&self.rooms.by_name);
        let mut members = lock(&self.room.members);
        members.retain(|member| member.number != self.number);
        if members.is_empty() {
            by_name.remove(&self.name);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
