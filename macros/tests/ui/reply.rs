//! `#[on_message("…", reply)]` replies with a `Result` that can be sent.
#![allow(unused_variables)]

use seaway::{Result, WebSocketConsumer, consumer};

struct Secret;

#[derive(WebSocketConsumer)]
struct Mistakes {}

#[consumer]
impl Mistakes {
    #[on_message("nothing", reply)]
    async fn nothing(&mut self) {}

    #[on_message("id", reply)]
    async fn id(&mut self, id: u32) -> Result<()> {
        Ok(())
    }

    #[on_message("renamed", reply)]
    async fn renamed(&mut self, #[serde(rename = "id")] lot: u32) -> Result<()> {
        Ok(())
    }

    #[on_message("read", reply)]
    async fn read(&mut self, #[serde(rename(deserialize = "id"))] lot: u32) -> Result<()> {
        Ok(())
    }

    #[on_message("also", reply)]
    async fn also(&mut self, #[serde(default, alias = "id")] lot: u32) -> Result<()> {
        Ok(())
    }

    #[on_message("other", reply)]
    async fn other(&mut self, #[serde(rename = "lot")] id: u32) -> Result<()> {
        Ok(())
    }

    #[on_message("replies", replies)]
    async fn replies(&mut self) -> Result<()> {
        Ok(())
    }
}

#[derive(WebSocketConsumer)]
struct Unsendable {}

#[consumer]
impl Unsendable {
    #[on_message("error", reply)]
    async fn error(&mut self) -> Result<(), std::io::Error> {
        Ok(())
    }

    #[on_message("value", reply)]
    async fn value(&mut self) -> Result<Secret> {
        Ok(Secret)
    }

    #[on_message("bare", reply)]
    fn bare(&mut self) -> u32 {
        7
    }
}

fn main() {}
