//! What sockets tell each other: in a room, and about the list of rooms.

use crate::{accounts::Account, messages::Message, presence::People, rooms::Room};
use seaway::Event;
use serde::{Deserialize, Serialize};

/// What is told in a room.
#[derive(Event)]
pub enum ChatEvent {
    Message(Said),
    Typing {
        user: i64,
        name: String,
    },
    People(People),
    /// Something may have been missed: look into the database.
    CaughtUp,
}

/// A message, and the id of the one before it in its room: whoever has not heard that one has missed something.
#[derive(Clone, Serialize, Deserialize)]
pub struct Said {
    #[serde(flatten)]
    pub message: Message,
    pub previous: i64,
}

/// What is told to those who look at the list of rooms.
#[derive(Event)]
pub enum RoomsEvent {
    Active(Activity),
    Created {
        slug: String,
        name: String,
    },
    /// To all tabs of one person: nothing is unread there any more.
    Seen {
        room: String,
    },
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

/// The group of all who look at the list of rooms.
pub const ROOMS: &str = "rooms";

/// The group of a room. A slug fits into a group's name as it is.
pub fn of_room(room: &Room) -> String {
    format!("chat.{}", room.slug)
}

/// The group of all tabs in which one person looks at the list.
pub fn of_person(user: &Account) -> String {
    format!("rooms.of.{user}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use seaway::channels::Envelope;

    #[test]
    fn a_message_stays_itself_on_its_way() {
        let said = Said {
            message: Message {
                id: 2,
                user: 3,
                from: "Ana".to_owned(),
                text: "hello".to_owned(),
                at: 4,
                key: "k".to_owned(),
            },
            previous: 1,
        };

        let envelope = Envelope::encode(&ChatEvent::Message(said.clone())).unwrap();
        let event = envelope.decode::<ChatEvent>().unwrap();

        let ChatEvent::Message(heard) = &*event else {
            panic!("it was a message");
        };
        assert_eq!(heard.message, said.message);
        let json = r#"{"type":"chat.message","id":2,"user":3,"from":"Ana","text":"hello","at":4,"key":"k","previous":1}"#;
        assert_eq!(event.json().unwrap(), seaway::Frame::text(json));
    }
}
