//! The derive of a WebSocket consumer, and the impl block of an HTTP consumer.
use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Feed {}

#[consumer(sse)]
impl Feed {}

fn main() {}
