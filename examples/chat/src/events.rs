//! What is told: to everyone in a room, to everyone who looks at the list, and to one page alone.

use crate::{
    accounts::Account,
    messages::{Message, Page},
    presence::People,
};
use seaway::Event;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What is told in a room, to its pages and between processes.
#[derive(Event)]
pub enum ChatEvent {
    Message(Message),
    People(People),
    Typing { user: i64, name: String },
}

/// What is told to those who look at the list of rooms.
#[derive(Event)]
pub enum RoomsEvent {
    /// Something was said in a room.
    Active(Activity),
    /// To all tabs of one person: nothing is unread there up to this message. A later one may have come meanwhile.
    Seen { room: String, id: i64 },
    /// Fetch the list again: there is a new room, or something could not be told when it happened.
    Changed,
}

/// Something was said in a room.
#[derive(Serialize, Deserialize)]
pub struct Activity {
    pub room: String,
    pub id: i64,
    pub user: i64,
    /// The beginning of it.
    pub text: String,
    pub at: i64,
}

/// What a page is told for itself alone, over the socket of its room.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Reply {
    Welcome {
        you: i64,
        #[serde(flatten)]
        page: Page,
        /// Whether the page shall drop what it shows: it has missed too much.
        reset: bool,
        people: Vec<Account>,
    },
    /// The message is stored, and the others will see it later. `key` is the one that the page chose.
    Stored { key: String, id: i64 },
    Refused {
        key: String,
        reason: Cow<'static, str>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaway::channels::Envelope;

    #[test]
    fn a_message_stays_itself_on_its_way() {
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
