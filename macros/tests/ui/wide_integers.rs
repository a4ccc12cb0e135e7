//! Integers of 128 bits where they would never be decoded.
#![allow(unused_variables)]

use seaway::{Event, WebSocketConsumer, consumer};

#[derive(Event)]
enum LedgerEvent {
    Booked { number: u128 },
    Closed { numbers: Vec<i128> },
}

#[derive(WebSocketConsumer)]
struct Ledger {}

#[consumer]
impl Ledger {
    #[on_message("book")]
    async fn book(&mut self, number: Option<u128>, cents: i64) {}
}

fn main() {}
