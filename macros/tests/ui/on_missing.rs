//! Events that no method takes.
#![allow(unused_variables)]

use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
    Joined { name: String },
    Left,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer]
impl Chat {
    #[on("chat.message")]
    async fn message(&mut self) {}
}

fn main() {}
