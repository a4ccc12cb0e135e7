//! The struct is there, its methods are not.
use seaway::{Channels, WebSocketConsumer};

#[derive(WebSocketConsumer)]
struct Chat {
    #[query]
    name: String,
}

fn main() {
    Chat::application(&Channels::in_memory());
}
