//! Parameters are read from text, by FromStr.
use seaway::{WebSocketConsumer, consumer};

struct Room;

#[derive(WebSocketConsumer)]
struct Chat {
    #[param]
    room: Room,
    #[query]
    since: Option<Room>,
    #[state]
    database: Room,
    #[default]
    last: Room,
}

#[consumer]
impl Chat {}

fn main() {}
