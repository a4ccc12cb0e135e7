//! Parameters that are no fields of a message.
#![allow(unused_variables)]

use seaway::{Context, Json, WebSocketConsumer, consumer};

#[derive(WebSocketConsumer)]
struct Chat {}

struct Colour(u8);

#[consumer]
impl Chat {
    #[on_message("say")]
    async fn say(&mut self, text: &str) {}

    #[on_message("move")]
    async fn go(&mut self, (x, y): (u32, u32)) {}

    #[on_message("draw")]
    async fn draw(&mut self, key: String, Json(colour): Json<u32>) {}

    #[on_message("list")]
    async fn list(&mut self, Json(keys): Json<Vec<u8>>) {}

    #[on_message("none")]
    async fn none(&mut self, Json(()): Json<()>) {}

    #[on_message("late")]
    async fn late(&mut self, text: String, ctx: &mut Context) {}

    #[on_message("count")]
    async fn count(&mut self, _1: u32) {}

    #[on_message("mine")]
    async fn mine(&mut self, _self: String) {}

    #[on_message("sort")]
    async fn sort(&mut self, _type: String) {}

    #[on_message]
    async fn bare(&mut self, text: String) {}
}

fn main() {}
