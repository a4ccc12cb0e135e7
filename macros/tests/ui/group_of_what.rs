//! A group is a `Group<E>`, all of one kind, and named by what can be shown.
use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Left,
}

#[derive(Event)]
enum RoomEvent {
    Left,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat")]
    chat: String,
}

#[consumer]
impl Chat {}

#[derive(WebSocketConsumer)]
struct Two {
    #[query]
    since: Option<u64>,
    #[group("chat.{since}")]
    chat: Group<ChatEvent>,
    #[group("room")]
    room: Group<RoomEvent>,
}

#[consumer]
impl Two {}

fn main() {}
