//! A parameter is not named after a field that begins with an underscore.
use seaway::{WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {
    #[query]
    _n: u32,
    #[param]
    _room: String,
    #[query("since")]
    _since: u64,
}

#[consumer]
impl Chat {}

fn main() {}
