//! A value is sent as `Json(value)`.

use seaway::{Context, HttpContext, Reply, Result, Sse};
use serde::Serialize;

#[derive(Serialize)]
struct Said {
    text: String,
}

fn tell(ctx: &Context, said: Said) {
    _ = ctx.send(said);
}

fn respond(ctx: &HttpContext, said: Said) -> Result<Reply> {
    ctx.reply(said)
}

fn stream(events: &Sse, said: Said) {
    _ = events.send(said);
}

fn main() {}
