//! The events of a room and of the list of rooms, and the messages to a single page.

use crate::messages::{Message, Page};
use seaway::{Event, PresenceEvent};
use serde::{Deserialize, Serialize};

/// The events of a room, which are sent between processes and to its pages.
#[derive(Event)]
pub enum ChatEvent {
    Message(Message),
    Typing {
        user: i64,
        name: String,
    },
    /// Who is here, by user id, with their names.
    #[event(include)]
    Here(PresenceEvent<String>),
}

/// The events of the list of rooms.
#[derive(Event)]
pub enum RoomsEvent {
    /// A new message in a room.
    Active(Activity),
    /// Sent to all tabs of one user: nothing in the room is unread up to this message. A later one
    /// may have arrived meanwhile.
    Seen { room: String, id: i64 },
    /// The list must be fetched again: there is a new room, or an event could not be published when
    /// it occurred.
    Changed,
}

/// A new message in a room, as the list of rooms shows it.
#[derive(Serialize, Deserialize)]
pub struct Activity {
    pub room: String,
    pub id: i64,
    pub user: i64,
    /// The beginning of its text.
    pub text: String,
    pub at: i64,
}

/// The first message to a page in a room; another one follows if it misses too many messages.
#[derive(Serialize)]
#[serde(tag = "type", rename = "welcome")]
pub struct Welcome {
    #[serde(flatten)]
    pub page: Page,
    /// Whether the page must drop what it shows.
    pub reset: bool,
}

/// The reply to a message that is stored.
#[derive(Serialize)]
pub struct Said {
    pub id: i64,
    /// Whether the members of the room receive it at once, and the sender with them.
    pub told: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaway::channels::Envelope;

    #[test]
    fn an_encoded_message_decodes_to_the_same_message() {
        let message = Message {
            id: 2,
            user: 3,
            from: "Ana".to_owned(),
            text: "hello".to_owned(),
            at: 4,
            key: "k".to_owned(),
            previous: 1,
        };

        let envelope = Envelope::encode(&ChatEvent::Message(message.clone())).unwrap();
        let event = envelope.decode::<ChatEvent>().unwrap();

        let ChatEvent::Message(heard) = &*event else {
            panic!("it was a message");
        };
        assert_eq!(*heard, message);
        let json = r#"{"type":"chat.message","id":2,"user":3,"from":"Ana","text":"hello","at":4,"key":"k","previous":1}"#;
        assert_eq!(event.json().unwrap(), seaway::Message::text(json));
    }
}
