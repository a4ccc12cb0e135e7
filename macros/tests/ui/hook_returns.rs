//! A hook returns nothing, or a result whose error `?` converts.
#![allow(unused_variables)]

use seaway::{Close, Context, HttpContext, HttpHandshake, WebSocketConsumer, consumer};

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

struct Page {}

#[consumer]
impl Page {
    async fn connect(handshake: &mut HttpHandshake) -> Self {
        Page {}
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> seaway::Result<String> {
        Ok(String::new())
    }
}

#[derive(WebSocketConsumer)]
struct Leaver {}

#[consumer]
impl Leaver {
    async fn disconnect(self, close: Close) -> seaway::Result<()> {
        Ok(())
    }
}

fn main() {}
