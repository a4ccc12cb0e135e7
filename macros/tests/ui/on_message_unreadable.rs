//! A field that serde cannot read.
#![allow(unused_variables)]

use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

struct Colour(u8);

#[consumer]
impl Chat {
    #[on_message("paint")]
    async fn paint(&mut self, colour: Colour) {}
}

fn main() {}
