//! What a page is told for itself alone, over the socket of its room.

use crate::{
    messages::Message,
    presence::{People, Person},
};
use serde::Serialize;

/// What a page is told for itself alone.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Reply {
    Welcome {
        you: i64,
        messages: Vec<Message>,
        /// Whether the room has older messages than these.
        more: bool,
        /// Whether the page shall drop what it shows: it has missed too much.
        reset: bool,
        people: Vec<Person>,
    },
    /// Something that the page has missed.
    #[serde(rename = "chat.message")]
    Message(Message),
    /// The same for who is here.
    #[serde(rename = "chat.people")]
    People(People),
    /// The message is stored, and the others will see it later. `key` is the one that the page chose.
    Stored {
        key: String,
        id: i64,
    },
    Refused {
        key: String,
        reason: &'static str,
    },
}
