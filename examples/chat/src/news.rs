//! News for open pages: told through channels, which may be away for a while.
//!
//! Nothing is lost then. What was said is stored, and the pages of a room look for themselves; only the list of rooms has
//! to be told later that it has changed.

use crate::{
    accounts::Account,
    events::{Activity, ChatEvent, RoomsEvent},
    messages::Message,
    presence::People,
    rooms::Room,
};
use seaway::{Channels, Result};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// How many characters of a message the list of rooms shows.
const PREVIEW: usize = 200;

/// The group of all who look at the list of rooms.
const LISTS: &str = "rooms";

/// Tells open pages what has happened.
pub struct News {
    channels: Channels,
    /// Whether those who look at the list have missed something.
    is_list_old: AtomicBool,
}

impl News {
    /// News over these channels.
    pub fn new(channels: Channels) -> Self {
        let is_list_old = AtomicBool::new(false);
        Self {
            channels,
            is_list_old,
        }
    }

    /// Something was said, and is stored. Whether the others hear it now; if not, they find it in the database.
    pub async fn said(&self, room: &Room, message: Message) -> bool {
        let activity = Activity {
            room: room.slug.clone(),
            id: message.id,
            user: message.user,
            text: message.text.chars().take(PREVIEW).collect(),
            at: message.at,
        };
        let is_told = self.tell_room(room, ChatEvent::Message(message)).await;
        self.tell_lists(RoomsEvent::Active(activity)).await && is_told
    }

    /// Somebody has come or gone.
    pub async fn people(&self, room: &Room, people: People) {
        self.tell_room(room, ChatEvent::People(people)).await;
    }

    /// The list of rooms is another one: whoever looks at it fetches it again.
    pub async fn list_changed(&self) {
        self.tell_lists(RoomsEvent::Changed).await;
    }

    /// Somebody has seen all that was said up to this message. If that is not told the list shows an old number until it
    /// is fetched again.
    pub async fn seen(&self, user: &Account, room: &Room, id: i64) -> Result<()> {
        let own = self.channels.group(&format!("rooms.of.{user}"))?;
        let room = room.slug.clone();
        own.send(&RoomsEvent::Seen { room, id }).await
    }

    /// Tells those who look at the list that they have missed something, if they have.
    pub async fn catch_up(&self) {
        if self.is_list_old.swap(false, Relaxed) {
            self.list_changed().await;
        }
    }

    async fn tell_room(&self, room: &Room, event: ChatEvent) -> bool {
        // A slug fits into a group's name as it is.
        is_told(self.tell(&format!("chat.{}", room.slug), event).await)
    }

    async fn tell_lists(&self, event: RoomsEvent) -> bool {
        let is_told = is_told(self.tell(LISTS, event).await);
        if !is_told {
            self.is_list_old.store(true, Relaxed);
        }
        is_told
    }

    async fn tell<E: seaway::Event>(&self, group: &str, event: E) -> Result<()> {
        self.channels.group(group)?.send(&event).await
    }
}

fn is_told(told: Result<()>) -> bool {
    if let Err(error) = &told {
        tracing::debug!(%error, "news has to wait");
    }
    told.is_ok()
}
