//! Events have no parameters.
use seaway::Event;

#[derive(Event)]
enum ChatEvent<T> {
    Message { text: T },
}

fn main() {}
