//! Methods that look like hooks, and would never be called.
#![allow(unused_variables)]

use seaway::{
    Close, Context, Event, Group, Handshake, Rejection, Result, Shared, WebSocketConsumer, consumer,
};

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

/// The names that people bring from other frameworks.
#[derive(WebSocketConsumer)]
struct Foreign {}

#[consumer]
impl Foreign {
    async fn on_message(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(())
    }

    async fn on_open(&mut self, ctx: &mut Context) {}

    async fn on_close(self, close: Close) {}
}

#[derive(WebSocketConsumer)]
struct Python {}

#[consumer]
impl Python {
    async fn connected(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self {})
    }

    async fn websocket_connect(&mut self) {}

    async fn receive_json(&mut self, content: String) {}

    async fn websocket_disconnect(self, close: Close) {}
}

/// None of these is taken for a hook.
#[derive(WebSocketConsumer)]
struct Helpers {
    #[default]
    message: String,
}

#[consumer]
impl Helpers {
    async fn receive(&mut self, ctx: &mut Context, text: String) {
        self.handle_message(&text);
        Self::close(1);
        _ = ctx.close(1000);
        let _ = self.message(text);
        self.open();
    }

    fn open(&mut self) {}

    fn handle_message(&mut self, text: &str) {}

    fn close(number: u32) {}

    fn message(&self, text: String) -> String {
        format!("{}{text}", self.message)
    }

    fn receive_text(&self, text: &str) -> bool {
        true
    }
}

fn main() {}
