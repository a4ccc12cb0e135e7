//! An enum named just `Event` has no prefix to give.
use seaway::Event as Events;

#[derive(Events)]
enum Event {
    Message { text: String },
}

fn main() {}
