//! Fields have names.
use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat(String);

#[consumer]
impl Chat {}

#[derive(WebSocketConsumer)]
enum Choice {
    One,
}

#[consumer]
impl Choice {}

fn main() {}
