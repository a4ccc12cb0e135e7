//! Two ways to receive messages.
#![allow(unused_variables)]

use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn receive(&mut self, text: String) {}

    #[on_message("say")]
    async fn say(&mut self, text: String) {}
}

fn main() {}
