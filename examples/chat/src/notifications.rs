//! The publishing of events to open pages, through channels, which may be down for a while.
//!
//! Nothing is lost then. Messages are stored, and the pages of a room poll the database; only the
//! change of the list of rooms has to be published later.

use crate::{
    accounts::Account,
    events::{Activity, ChatEvent, RoomsEvent},
    messages::Message,
    rooms::Room,
};
use seaway::{Channels, Result};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The number of characters of a message that the list of rooms shows.
const PREVIEW: usize = 200;

/// The group of all pages that show the list of rooms.
const LISTS: &str = "rooms";

/// A publisher of events to open pages.
pub struct News {
    channels: Channels,
    /// Whether the group `rooms` has missed an event.
    is_list_old: AtomicBool,
}

impl News {
    /// Returns a publisher over these channels.
    pub fn new(channels: Channels) -> Self {
        let is_list_old = AtomicBool::new(false);
        Self {
            channels,
            is_list_old,
        }
    }

    /// Publishes a stored message. Returns whether it was published; if not, other members find it
    /// in the database.
    pub async fn said(&self, room: &Room, message: Message) -> bool {
        let activity = Activity {
            room: room.slug.clone(),
            id: message.id,
            user: message.user,
            text: message.text.chars().take(PREVIEW).collect(),
            at: message.at,
        };
        let is_sent = self.notify_room(room, ChatEvent::Message(message)).await;
        self.notify_lists(RoomsEvent::Active(activity)).await && is_sent
    }

    /// Publishes that the list of rooms has changed: pages that show it fetch it again.
    pub async fn list_changed(&self) {
        self.notify_lists(RoomsEvent::Changed).await;
    }

    /// Publishes to a user's own tabs that they have seen all messages up to this one. If that
    /// fails, the list shows an old number until it is fetched again.
    pub async fn seen(&self, user: &Account, room: &Room, id: i64) -> Result<()> {
        let own = self.channels.group(format!("rooms.of.{user}"))?;
        let room = room.slug.clone();
        Ok(own.send(&RoomsEvent::Seen { room, id }).await?)
    }

    /// Publishes that the list has changed if it has missed an event.
    pub async fn catch_up(&self) {
        if self.is_list_old.swap(false, Relaxed) {
            self.list_changed().await;
        }
    }

    async fn notify_room(&self, room: &Room, event: ChatEvent) -> bool {
        // A slug is valid in a group name as it is.
        is_sent(self.publish(&format!("chat.{}", room.slug), event).await)
    }

    async fn notify_lists(&self, event: RoomsEvent) -> bool {
        let is_sent = is_sent(self.publish(LISTS, event).await);
        if !is_sent {
            self.is_list_old.store(true, Relaxed);
        }
        is_sent
    }

    async fn publish<E: seaway::Event>(&self, group: &str, event: E) -> Result<()> {
        Ok(self.channels.group(group)?.send(&event).await?)
    }
}

fn is_sent(outcome: Result<()>) -> bool {
    if let Err(error) = &outcome {
        tracing::debug!(%error, "cannot publish an event now, pages read it from the database later");
    }
    outcome.is_ok()
}
