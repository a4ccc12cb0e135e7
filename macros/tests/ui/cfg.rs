//! Conditions on what the generated code calls.
#![allow(unused_variables)]

use seaway::{Close, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    #[cfg(debug_assertions)]
    async fn disconnect(self, close: Close) {}

    #[on_message("say")]
    async fn say(&mut self, #[cfg(debug_assertions)] place: String, text: String) {}

    /// A helper.
    #[cfg(debug_assertions)]
    fn log(&self, #[cfg(debug_assertions)] text: &str) {}
}

fn main() {}
