//! Without an attribute a field's type is an extractor.
use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {
    name: String,
}

#[consumer]
impl Chat {}

fn main() {}
