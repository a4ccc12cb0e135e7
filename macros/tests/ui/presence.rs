//! Presences without a key, with an unknown argument, of another type, and with another meta.
use seaway::{Presence, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct NoKey {
    #[presence("lot.7")]
    here: Presence<()>,
}

#[consumer]
impl NoKey {}

#[derive(WebSocketConsumer)]
struct Misspelt {
    #[presence("lot.7", keys = 7)]
    here: Presence<()>,
}

#[consumer]
impl Misspelt {}

#[derive(WebSocketConsumer)]
struct NoPresence {
    #[presence("lot.7", key = 7)]
    here: String,
}

#[consumer]
impl NoPresence {}

#[derive(WebSocketConsumer)]
struct OtherMeta {
    #[param]
    lot: u32,
    #[presence("lot.{lot}", key = 7, meta = lot)]
    here: Presence<String>,
}

#[consumer]
impl OtherMeta {}

fn main() {}
