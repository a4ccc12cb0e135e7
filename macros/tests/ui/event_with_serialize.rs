//! Serialize is written already.
use seaway::Event;
use serde::Serialize;

#[derive(Event, Serialize)]
enum ChatEvent {
    Message { text: String },
}

fn main() {}
