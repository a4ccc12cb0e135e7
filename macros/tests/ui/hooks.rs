//! Hooks that take what they are not given.
#![allow(unused_variables)]

use seaway::{Close, Context, Error, Result, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn opened(ctx: &mut Context) -> Result<()> {
        Ok(())
    }

    async fn failed(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(())
    }

    async fn disconnect(&mut self, close: Close) {}

    #[on_message("closed")]
    async fn malformed(&mut self, error: Error) {}

    #[every(seconds = 5)]
    async fn beat(&mut self, number: u32) {}
}

fn main() {}
