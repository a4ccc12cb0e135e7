//! The macro tags and names; serde's own words for that are in its way.
use seaway::Event;

#[derive(Event)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ChatEvent {
    #[serde(rename = "chat.message")]
    Message { text: String },
}

fn main() {}
