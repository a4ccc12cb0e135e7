//! The events of an included enum are handled by the name of the variant.
#![allow(unused_variables)]

use seaway::{Event, Group, WebSocketConsumer, consumer};

#[derive(Event)]
enum LotEvent {
    Sold,
}

#[derive(Event)]
enum BidderEvent {
    #[event(include)]
    Lot(LotEvent),
    Kick,
}

#[derive(WebSocketConsumer)]
struct Missing {
    #[group("lot")]
    own: Group<BidderEvent>,
}

#[consumer]
impl Missing {
    #[on("bidder.kick")]
    fn kick(&mut self) {}
}

#[derive(WebSocketConsumer)]
struct Misspelt {
    #[group("lot")]
    own: Group<BidderEvent>,
}

#[consumer]
impl Misspelt {
    #[on("bidder.kick")]
    fn kick(&mut self) {}

    #[on(Lots)]
    fn lot(&mut self) {}
}

fn main() {}
