//! What a method takes is not what the event holds.
#![allow(unused_variables)]

use seaway::{Event, Group, Shared, WebSocketConsumer, consumer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Present {
    name: String,
}

#[derive(Event)]
enum ChatEvent {
    Message { text: String },
    Here(Present),
}

#[derive(Event)]
enum RoomEvent {
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
    async fn message(&mut self, message: &Present) {}

    #[on("chat.here")]
    async fn here(&mut self, event: Shared<RoomEvent>) {}
}

fn main() {}
