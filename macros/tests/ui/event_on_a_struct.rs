//! Events are the variants of an enum.
use seaway::Event;

#[derive(Event)]
struct ChatEvent {
    text: String,
}

fn main() {}
