//! A consumer has one event type, which may include others.

use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
enum LotEvent {
    Sold,
}

#[derive(Event)]
enum HallEvent {
    Closed,
}

#[derive(WebSocketConsumer)]
struct Bidder {
    #[group("lot")]
    lot: Group<LotEvent>,
    #[group("hall")]
    hall: Group<HallEvent>,
}

#[consumer]
impl Bidder {}

fn main() {}
