//! Names of groups that are none.
use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Left,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat.{}")]
    nameless: Group<ChatEvent>,
    #[group("chat.{room")]
    open: Group<ChatEvent>,
    #[group("chat/{room}")]
    slash: Group<ChatEvent>,
    #[group("chat.{room.name}")]
    path: Group<ChatEvent>,
}

#[consumer]
impl Chat {}

fn main() {}
