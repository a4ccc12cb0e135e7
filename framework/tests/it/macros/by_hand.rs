//! The same consumer twice: with the macros, and written by hand.

use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Handshake, Json, Rejection, Result, Shared, Timer,
    WebSocketConsumer, routing::PathRouter, testing::WebSocketCommunicator,
};
use std::time::Duration;

mod macros {
    use seaway::{Context, Event, Group, Json, Result, Shared, WebSocketConsumer, consumer};

    #[derive(Event)]
    pub(super) enum ChatEvent {
        Said { by: String, text: String },
        Left,
    }

    #[derive(WebSocketConsumer)]
    pub(super) struct Chat {
        #[query]
        name: String,
        #[query]
        since: Option<u64>,
        #[group("chat.{room}")]
        members: Group<ChatEvent>,
    }

    #[consumer]
    impl Chat {
        async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
            Ok(ctx.send(Json(self.since)).await?)
        }

        #[on_message("say")]
        async fn send_text(&mut self, text: String) -> Result<()> {
            let by = self.name.clone();
            Ok(self.members.send(&ChatEvent::Said { by, text }).await?)
        }

        #[on_message("leave")]
        async fn leave(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
            self.members.send(&ChatEvent::Left).await?;
            Ok(ctx.close(1000)?)
        }

        #[on("chat.said")]
        async fn said(
            &mut self,
            ctx: &mut Context<ChatEvent>,
            event: Shared<ChatEvent>,
        ) -> Result<()> {
            Ok(ctx.send(Json(event)).await?)
        }

        #[on("chat.left")]
        async fn left(&mut self) {}

        #[every(seconds = 60)]
        async fn tock(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
            Ok(ctx.send("tock").await?)
        }
    }
}

mod hand {
    use super::*;
    use seaway::Group;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type")]
    pub(super) enum ChatEvent {
        #[serde(rename = "chat.said")]
        Said { by: String, text: String },
        #[serde(rename = "chat.left")]
        Left,
    }

    impl seaway::Event for ChatEvent {}

    #[derive(Deserialize)]
    #[serde(tag = "type", expecting = "a message with a `type`")]
    pub(super) enum Message {
        #[serde(rename = "say")]
        Say { text: String },
        #[serde(rename = "leave")]
        Leave,
    }

    pub(super) struct Chat {
        name: String,
        since: Option<u64>,
        members: Group<ChatEvent>,
    }

    impl WebSocketConsumer for Chat {
        type Input = Json<Message>;
        type Event = ChatEvent;

        async fn connect(handshake: &mut Handshake<ChatEvent>) -> Result<Self, Rejection> {
            let name = handshake.query("name")?;
            let since = handshake.query_opt("since")?;
            let room: String = handshake.param("room")?;
            let members = handshake.join(format!("chat.{room}")).await?;
            Ok(Chat {
                name,
                since,
                members,
            })
        }

        async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
            Ok(ctx.send(Json(self.since)).await?)
        }

        async fn receive(
            &mut self,
            ctx: &mut Context<ChatEvent>,
            Json(message): Json<Message>,
        ) -> Result<()> {
            match message {
                Message::Say { text } => {
                    let by = self.name.clone();
                    Ok(self.members.send(&ChatEvent::Said { by, text }).await?)
                }
                Message::Leave => {
                    self.members.send(&ChatEvent::Left).await?;
                    Ok(ctx.close(1000)?)
                }
            }
        }

        async fn event(
            &mut self,
            ctx: &mut Context<ChatEvent>,
            event: Shared<ChatEvent>,
        ) -> Result<()> {
            match &*event {
                ChatEvent::Said { .. } => Ok(ctx.send(Json(event)).await?),
                ChatEvent::Left => Ok(()),
            }
        }

        const TIMERS: &'static [Timer] = &[Timer::every("tock", Duration::from_secs(60))];

        async fn timer(&mut self, ctx: &mut Context<ChatEvent>, _: &Timer) -> Result<()> {
            Ok(ctx.send("tock").await?)
        }
    }
}

/// Returns all that two members receive, and how the connections end.
async fn conversation<C: WebSocketConsumer>(query: &str, messages: &[&str]) -> Vec<String> {
    let chat = C::application(&Channels::in_memory());
    let app = PathRouter::new().route("/ws/{room}", chat).boxed();
    let request = || Request::get(format!("/ws/lobby{query}"));
    let mut ana = WebSocketCommunicator::open(&app, request());
    let status = ana.status().await;
    if status != 101 {
        let response = ana.response().await;
        return vec![format!("{status} {}", response.body())];
    }
    let mut bo = WebSocketCommunicator::open(&app, request());
    let mut received = vec![ana.receive_text().await, bo.receive_text().await];
    tokio::time::advance(Duration::from_secs(60)).await;
    received.push(ana.receive_text().await);
    received.push(bo.receive_text().await);
    for message in messages {
        ana.send(*message).await;
        if !message.contains("say") {
            let close = ana.receive_close().await;
            received.push(format!("{} {}", close.code, close.reason()));
            break;
        }
        received.push(ana.receive_text().await);
        received.push(bo.receive_text().await);
    }
    received
}

#[tokio::test(start_paused = true)]
async fn both_consumers_behave_the_same() {
    let say = r#"{"type":"say","text":"ahoy"}"#;
    for (query, messages) in [
        ("?name=ana", [say, r#"{"type":"leave"}"#]),
        ("?name=ana&since=7", [say, r#"{"type":"shout"}"#]),
        ("?name=ana&since=x", [say, say]),
        ("", [say, say]),
        ("?name=ana", [say, "1"]),
        ("?name=ana", [say, "{}"]),
    ] {
        let written = conversation::<macros::Chat>(query, &messages).await;
        let by_hand = conversation::<hand::Chat>(query, &messages).await;

        assert_eq!(written, by_hand, "{query} {messages:?}");
    }
}
