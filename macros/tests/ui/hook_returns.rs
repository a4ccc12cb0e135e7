//! A hook returns nothing, or a result whose error `?` converts.
#![allow(unused_variables)]

use seaway::{Context, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn opened(&mut self, ctx: &mut Context) -> Result<(), u8> {
        Ok(())
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> u32 {
        7
    }
}

fn main() {}
