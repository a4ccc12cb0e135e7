//! Periods that are none.
#![allow(unused_variables)]

use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    #[every(seconds = 0)]
    async fn never(&mut self) {}

    #[every(hours = 1)]
    async fn rarely(&mut self) {}

    #[every]
    async fn sometime(&mut self) {}

    #[every(seconds = 1.5)]
    async fn oddly(&mut self) {}

    #[every(5)]
    async fn plainly(&mut self) {}

    #[every("5s")]
    async fn in_text(&mut self) {}

    #[every(secs = 5)]
    async fn briefly(&mut self) {}

    #[every = 5]
    async fn equally(&mut self) {}

    #[every(minutes = 1, seconds = 30)]
    async fn both(&mut self) {}

    #[every(seconds = 1)]
    #[on("chat.message")]
    async fn two(&mut self) {}
}

fn main() {}
