//! A handler that cannot move between threads.
#![allow(unused_variables)]

use seaway::{Context, Result, WebSocketConsumer, consumer};
use std::rc::Rc;

#[derive(WebSocketConsumer)]
struct Chat {}

#[consumer]
impl Chat {
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        let word = Rc::new("welcome");
        ctx.send(*word).await?;
        drop(word);
        Ok(())
    }
}

fn main() {}
