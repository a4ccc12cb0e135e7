//! Tests of a chat room that uses all three macros.

use super::{open, stage};
use seaway::{
    Close, Context, Event, Group, Json, Result, Shared, WebSocketConsumer, consumer,
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Event)]
enum ChatEvent {
    Message {
        from: String,
        text: String,
    },
    Here(Present),
    #[event("chat.gone")]
    Left,
}

#[derive(Serialize, Deserialize)]
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
        Ok(self
            .members
            .send(&ChatEvent::Here(Present { name }))
            .await?)
    }

    #[on_message("say")]
    async fn send_text(&mut self, text: String) -> Result<()> {
        self.said += 1;
        let from = self.name.clone();
        Ok(self
            .members
            .send(&ChatEvent::Message { from, text })
            .await?)
    }

    #[on("chat.message")]
    async fn message(
        &mut self,
        ctx: &mut Context<ChatEvent>,
        event: Shared<ChatEvent>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    #[on("chat.here")]
    async fn here(&mut self, ctx: &mut Context<ChatEvent>, present: &Present) -> Result<()> {
        Ok(ctx.send(format!("{} is here", present.name)).await?)
    }

    #[on("chat.gone")]
    async fn gone(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        Ok(ctx.send("somebody left").await?)
    }

    #[every(seconds = 30)]
    async fn beat(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
        Ok(ctx.send(format!("you said {}", self.said)).await?)
    }

    async fn disconnect(self, _: Close) {
        _ = self.members.send(&ChatEvent::Left).await;
    }
}

async fn two_in_the_lobby() -> (WebSocketCommunicator, WebSocketCommunicator) {
    let app = stage::<Chat>();
    let mut ana = open(&app, "/ws/lobby?name=ana");
    assert_eq!(ana.receive_text().await, "ana is here");
    let mut bo = open(&app, "/ws/lobby?name=bo");
    assert_eq!(ana.receive_text().await, "bo is here");
    assert_eq!(bo.receive_text().await, "bo is here");
    (ana, bo)
}

#[tokio::test]
async fn all_members_receive_a_message() {
    let (mut ana, mut bo) = two_in_the_lobby().await;

    bo.send(r#"{"type":"say","text":"ahoy"}"#).await;

    let expected = r#"{"type":"chat.message","from":"bo","text":"ahoy"}"#;
    assert_eq!(ana.receive_text().await, expected);
    assert_eq!(bo.receive_text().await, expected);
}

#[tokio::test]
async fn remaining_members_are_notified_of_those_who_leave() {
    let (mut ana, bo) = two_in_the_lobby().await;

    bo.disconnect().await.unwrap();

    assert_eq!(ana.receive_text().await, "somebody left");
}

#[tokio::test(start_paused = true)]
async fn a_timer_runs_once_per_interval() {
    let (mut ana, _bo) = two_in_the_lobby().await;
    let before = tokio::time::Instant::now();

    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(ana.receive_text().await, "you said 0");
    }

    assert_eq!(before.elapsed(), Duration::from_secs(60));
}
