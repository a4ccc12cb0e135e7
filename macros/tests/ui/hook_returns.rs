//! A handler returns nothing, or seaway's Result.
#![allow(unused_variables)]

use seaway::{Context, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn opened(&mut self, ctx: &mut Context) -> Result<(), String> {
        Ok(())
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> u32 {
        7
    }
}

fn main() {}
