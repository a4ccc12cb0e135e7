//! An HTTP consumer that sends events needs `sse`.

use seaway::{Event, Group, HttpConsumer, consumer};

#[derive(Event)]
enum FeedEvent {
    Posted { text: String },
}

#[derive(HttpConsumer)]
struct Feed {
    #[group("feed")]
    members: Group<FeedEvent>,
}

#[consumer(forward)]
impl Feed {}

fn main() {}
