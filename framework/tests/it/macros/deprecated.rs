//! Deprecated parts of events and consumers: only those who use them are warned, not the generated
//! code.
#![deny(deprecated)]

use super::{open, stage};
use seaway::{Event, Group, HttpConsumer, WebSocketConsumer, consumer};

#[derive(Debug, Event)]
enum ChatEvent {
    #[deprecated]
    Told { text: String },
    Said {
        #[deprecated]
        text: String,
    },
}

#[deprecated]
#[derive(Debug, Event)]
enum OldEvent {
    Left,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[deprecated]
    #[default]
    count: u32,
    #[group("chat")]
    _chat: Group<ChatEvent>,
}

#[consumer(forward)]
impl Chat {
    #[deprecated]
    #[on_message("say")]
    async fn say(&mut self, ctx: &mut seaway::Context<ChatEvent>) -> seaway::Result<()> {
        #[expect(deprecated, reason = "the method is the user's")]
        let count = self.count;
        Ok(ctx.send(format!("said {count}")).await?)
    }

    #[deprecated]
    #[on("chat.told")]
    fn told(&mut self) {}
}

#[deprecated]
#[derive(HttpConsumer)]
struct Feed {
    #[group("chat")]
    _chat: Group<ChatEvent>,
}

#[consumer(sse, forward)]
#[expect(deprecated, reason = "the block is the user's")]
impl Feed {
    #[deprecated]
    fn opened(&mut self) {}
}

#[tokio::test]
async fn deprecated_methods_are_called_without_a_warning() {
    let mut client = open(&stage::<Chat>(), "/ws/7");

    client.send(r#"{"type":"say"}"#).await;

    assert_eq!(client.receive_text().await, "said 0");
}
