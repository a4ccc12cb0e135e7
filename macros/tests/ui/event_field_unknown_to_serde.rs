//! A field that serde cannot write.
use seaway::Event;

struct Colour(u8);

#[derive(Event)]
enum ChatEvent {
    Painted { colour: Colour },
}

fn main() {}
