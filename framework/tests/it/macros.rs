//! The macros, as a person uses them.

use http::Request;
use seaway::{
    ApplicationExt, BoxApplication, Channels, Close, Context, Event, Group, Json, Result, Shared,
    WebSocketConsumer, consumer, protocol::WebSocket, routing::PathRouter,
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};

#[derive(Event, Debug)]
enum ChatEvent {
    Message {
        from: String,
        text: String,
    },
    Here(Present),
    #[event("chat.gone")]
    Left,
}

#[derive(Serialize, Deserialize, Debug)]
struct Present {
    name: String,
}

#[derive(WebSocketConsumer)]
struct Chat {
    #[query]
    name: String,
    #[group("chat.{room}")]
    members: Group<ChatEvent>,
    #[default]
    said: usize,
}

#[consumer]
impl Chat {
    async fn opened(&mut self) -> Result<()> {
        let name = self.name.clone();
        self.members.send(&ChatEvent::Here(Present { name })).await
    }

    #[on_message("say")]
    async fn say(&mut self, _ctx: &mut Context<ChatEvent>, text: String) -> Result<()> {
        self.said += 1;
        let from = self.name.clone();
        self.members.send(&ChatEvent::Message { from, text }).await
    }

    #[on("chat.message")]
    async fn message(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        ctx.send(Json(event)).await
    }

    #[on("chat.here")]
    async fn here(&mut self, ctx: &mut Context<ChatEvent>, present: &Present) -> Result<()> {
        ctx.send(format!("{} is here", present.name)).await
    }

    #[on("chat.gone")]
    fn gone(&mut self) {}

    #[every(seconds = 30)]
    async fn beat(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        ctx.send(self.said.to_string()).await
    }

    async fn disconnect(self, _: Close) {
        let _ = self.members.send(&ChatEvent::Left).await;
    }
}

fn stage() -> BoxApplication<WebSocket> {
    let chat = Chat::application(&Channels::in_memory());
    PathRouter::new().route("/ws/{room}", chat).boxed()
}

#[tokio::test(start_paused = true)]
async fn a_room_of_macros_is_a_room() {
    let app = stage();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/ws/lobby?name=ana"));
    assert_eq!(ana.receive_text().await, "ana is here");

    ana.send(r#"{"type":"say","text":"ahoy"}"#).await;

    assert_eq!(
        ana.receive_text().await,
        r#"{"type":"chat.message","from":"ana","text":"ahoy"}"#
    );
    tokio::time::advance(std::time::Duration::from_secs(30)).await;
    assert_eq!(ana.receive_text().await, "1");
}
