//! A value is sent as `Json(value)`.

use seaway::{Context, HttpContext, HttpResponse, Result, Sse};
use serde::Serialize;

#[derive(Serialize)]
struct ChatEvent {
    text: String,
}

fn tell(ctx: &Context, said: ChatEvent) {
    _ = ctx.send(said);
}

fn respond(ctx: &HttpContext, said: ChatEvent) -> Result<HttpResponse> {
    ctx.response(said)
}

fn stream(events: &Sse, said: ChatEvent) {
    _ = events.send(said);
}

fn main() {}
