//! News for open pages: told through channels, and again later if those are away.

use crate::{
    accounts::Account,
    events::{Activity, ChatEvent, ROOMS, RoomsEvent, Said, of_person, of_room},
    messages::{Message, Messages},
    outbox::{Due, Outbox},
    presence::People,
    rooms::Room,
};
use seaway::{Channels, Error, Result};

/// How many characters of a message the list of rooms shows.
const PREVIEW: usize = 200;

/// Tells open pages what has happened.
pub struct News {
    channels: Channels,
    messages: Messages,
    outbox: Outbox,
}

impl News {
    /// News over these channels.
    pub fn new(channels: Channels, messages: Messages) -> Self {
        Self {
            channels,
            messages,
            outbox: Outbox::default(),
        }
    }

    /// Something was said, and is stored. Whether the others hear it now; if not, they will.
    pub async fn said(&self, room: &Room, said: Said) -> bool {
        let activity = RoomsEvent::Active(activity(room, &said.message));
        let previous = said.previous;
        let told = self.tell_room(room, &ChatEvent::Message(said)).await;
        let told = match told {
            Ok(()) => self.tell_lists(&activity).await,
            error => error,
        };
        self.is_told(told, || Due {
            said_since: Some(previous),
            ..Due::of(room)
        })
    }

    /// Somebody has come or gone.
    pub async fn people(&self, room: &Room, people: People) {
        let told = self.tell_room(room, &ChatEvent::People(people)).await;
        self.is_told(told, || Due::of(room));
    }

    /// A room was made.
    pub async fn created(&self, room: &Room) {
        let told = self.tell_lists(&created(room)).await;
        self.is_told(told, || Due {
            is_new: true,
            ..Due::of(room)
        });
    }

    /// Somebody has seen all that was said. If that is not told the list shows an old number until it is fetched again.
    pub async fn seen(&self, user: &Account, room: &Room) -> Result<()> {
        let room = room.slug.clone();
        let group = self.channels.group(&of_person(user))?;
        group.send(&RoomsEvent::Seen { room }).await
    }

    /// Somebody is typing: not worth another attempt.
    pub async fn typing(&self, room: &Room, user: &Account) -> Result<()> {
        let (user, name) = (user.id, user.name.clone());
        self.tell_room(room, &ChatEvent::Typing { user, name })
            .await
    }

    /// Tells what could not be told before. Stops at the first that still cannot be.
    pub async fn try_again(&self) {
        while let Some(due) = self.outbox.take() {
            if let Err(error) = self.catch_up(&due).await {
                tracing::debug!(%error, "news still waits");
                return self.outbox.put(due);
            }
            tracing::debug!(room = due.room.id, "news was told late");
        }
    }

    async fn catch_up(&self, due: &Due) -> Result<()> {
        self.tell_room(&due.room, &ChatEvent::CaughtUp).await?;
        if due.is_new {
            self.tell_lists(&created(&due.room)).await?;
        }
        let Some(since) = due.said_since else {
            return Ok(());
        };
        let missed = self.messages.since(&due.room, since).await;
        let messages = match missed.map_err(Error::user)? {
            Some(messages) => messages,
            None => {
                self.messages
                    .newest(&due.room)
                    .await
                    .map_err(Error::user)?
                    .messages
            }
        };
        for message in &messages {
            let active = RoomsEvent::Active(activity(&due.room, message));
            self.tell_lists(&active).await?;
        }
        Ok(())
    }

    async fn tell_room(&self, room: &Room, event: &ChatEvent) -> Result<()> {
        self.channels.group(&of_room(room))?.send(event).await
    }

    async fn tell_lists(&self, event: &RoomsEvent) -> Result<()> {
        self.channels.group(ROOMS)?.send(event).await
    }

    fn is_told(&self, told: Result<()>, due: impl FnOnce() -> Due) -> bool {
        if let Err(error) = &told {
            tracing::debug!(%error, "news has to wait");
            self.outbox.put(due());
        }
        told.is_ok()
    }
}

fn created(room: &Room) -> RoomsEvent {
    RoomsEvent::Created {
        slug: room.slug.clone(),
        name: room.name.clone(),
    }
}

fn activity(room: &Room, message: &Message) -> Activity {
    Activity {
        room: room.slug.clone(),
        id: message.id,
        user: message.user,
        text: message.text.chars().take(PREVIEW).collect(),
        at: message.at,
    }
}
