//! Two methods for one type, of events and of messages.
#![allow(unused_variables)]

use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
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

    #[on("chat.message")]
    async fn again(&mut self) {}

    #[on_message("say")]
    async fn say(&mut self, text: String) {}

    #[on_message("say")]
    async fn shout(&mut self, text: String) {}
}

fn main() {}
