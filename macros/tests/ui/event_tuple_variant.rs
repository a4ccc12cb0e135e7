//! Fields of an event have names.
use seaway::Event;

#[derive(Event)]
enum ChatEvent {
    Message(String, String),
    Typed(String),
    Left(),
}

fn main() {}
