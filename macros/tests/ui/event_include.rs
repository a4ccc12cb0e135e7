//! An included variant holds another enum of events.

use seaway::{Event, PresenceEvent};

#[derive(Event)]
enum LotEvent {
    Sold,
}

#[derive(Event)]
enum Nothing {
    #[event(include)]
    Lot,
}

#[derive(Event)]
enum Swallowed {
    #[event(include)]
    Lot(LotEvent),
    #[serde(other)]
    Other,
}

#[derive(Event)]
enum Misspelt {
    #[event(includes)]
    Lot(LotEvent),
}

#[derive(Event)]
enum TwoPresences {
    #[event(include)]
    People(PresenceEvent<String>),
    #[event(include)]
    Bots(seaway::PresenceEvent<u32>),
}

#[derive(Event)]
enum Guests {
    #[event(include)]
    People(PresenceEvent<String>),
}

#[derive(Event)]
enum TwoPresencesInside {
    #[event(include)]
    Guests(Guests),
    #[event(include)]
    Bots(PresenceEvent<u32>),
}

#[derive(Event)]
enum NotEvents {
    #[event(include)]
    Lot(String),
}

fn main() {}
