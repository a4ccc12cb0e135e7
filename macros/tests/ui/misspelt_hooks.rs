//! Methods that look like hooks, and would never be called.
#![allow(unused_variables)]

use seaway::{Close, Context, Event, Group, Shared, WebSocketConsumer, consumer};

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
    async fn recieve(&mut self, ctx: &mut Context<ChatEvent>, text: String) {}

    async fn on_disconnect(self, close: Close) {}

    #[on("chat.message")]
    async fn message(&mut self, event: Shared<ChatEvent>) {}
}

#[derive(WebSocketConsumer)]
struct Listener {
    #[group("chat")]
    members: Group<ChatEvent>,
}

#[consumer]
impl Listener {
    #[on("chat.message")]
    async fn message(&mut self, number: u32) {}

    /// It takes no close: a helper.
    fn disconnected(&self) -> bool {
        false
    }
}

fn main() {}
