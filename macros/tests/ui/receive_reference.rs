//! A `receive` that takes a reference.
#![allow(unused_variables)]

use seaway::{Result, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn receive(&mut self, text: &str) -> Result<()> {
        Ok(())
    }
}

fn main() {}
