//! Topics of another type, with an unknown argument, without a name, and of other events.
use seaway::{Event, Group, Topic, WebSocketConsumer, consumer};

#[derive(Event)]
enum LotEvent {
    Ended,
}

#[derive(Event)]
enum HallEvent {
    Closing,
}

#[derive(WebSocketConsumer)]
struct NoTopic {
    #[topic("lot.7")]
    lot: String,
}

#[consumer]
impl NoTopic {}

#[derive(WebSocketConsumer)]
struct Misspelt {
    #[topic("lot.7", size = 7)]
    lot: Topic<LotEvent>,
}

#[consumer]
impl Misspelt {}

#[derive(WebSocketConsumer)]
struct NoName {
    #[topic]
    lot: Topic<LotEvent>,
}

#[consumer]
impl NoName {}

#[derive(WebSocketConsumer)]
struct PlainGroup {
    #[topic("lot.7")]
    lot: Group<LotEvent>,
}

#[consumer]
impl PlainGroup {}

#[derive(WebSocketConsumer)]
struct Two {
    #[group("hall")]
    hall: Group<HallEvent>,
    #[topic("lot.7")]
    lot: Topic<LotEvent>,
}

#[consumer]
impl Two {}

fn main() {}
