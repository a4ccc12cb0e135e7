//! `#[on]` finds events through derive(Event).
#![allow(unused_variables)]

use seaway::{Group, WebSocketConsumer, consumer};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum ChatEvent {
    Message { text: String },
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

impl seaway::Event for ChatEvent {}
