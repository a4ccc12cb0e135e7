//! An HTTP consumer has a `handle`, or `sse` writes it.
#![allow(unused_variables)]

use seaway::{Close, HttpConsumer, HttpContext, HttpResponse, Result, consumer};

#[derive(HttpConsumer)]
struct Attributes {}

#[consumer]
impl Attributes {
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("")
    }

    #[on("chat.message")]
    fn message(&mut self) {}

    #[on_message("say")]
    fn say(&mut self) {}

    #[every(seconds = 1)]
    fn tick(&mut self) {}

    fn opened(&mut self) {}
}

#[derive(HttpConsumer)]
struct Twice {}

#[consumer(sse)]
impl Twice {
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("")
    }
}

#[derive(HttpConsumer)]
struct Closed {}

#[consumer]
impl Closed {
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("")
    }

    fn disconnect(self, close: Close) {}
}

#[derive(HttpConsumer)]
struct Described {}

#[consumer(sse, typescript)]
impl Described {}

#[derive(HttpConsumer)]
struct NoHandle {}

#[derive(HttpConsumer)]
struct NoContext {}

#[consumer]
impl NoContext {
    async fn handle(&mut self) -> Result<HttpResponse> {
        Err("no context")?
    }
}

fn main() {}
