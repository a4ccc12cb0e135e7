//! Nobody fills the struct.
use seaway::consumer;

struct Chat {
    name: String,
}

#[consumer]
impl Chat {}

fn main() {}
