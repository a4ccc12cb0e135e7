//! A field is filled from one place.
use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {
    #[query]
    #[param]
    name: String,
    #[param = "room"]
    room: String,
    #[user(Account)]
    user: u32,
    #[group]
    members: u32,
}

#[consumer]
impl Chat {}

fn main() {}
