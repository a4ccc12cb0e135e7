//! Tests of `#[group("…")]`: groups are joined last, in order, or not at all.

use super::{open, stage, status};
use crate::log::Log;
use seaway::{
    ApplicationExt, BoxApplication, ChannelName, Channels, Context, Error, Event, Group, GroupName,
    Result, Shared, WebSocketConsumer,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
    consumer,
    protocol::WebSocket,
    routing::PathRouter,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Event)]
enum RoomEvent {
    Said { text: String },
}

#[derive(WebSocketConsumer)]
struct Member {
    #[group("room.{room}")]
    room: Group<RoomEvent>,
    #[group("all")]
    _all: Group<RoomEvent>,
    #[group("{language}-{age}.{room}")]
    _peers: Group<RoomEvent>,
    #[query]
    age: u8,
    #[query]
    language: String,
}

#[consumer]
impl Member {
    async fn receive(&mut self, text: String) -> Result<()> {
        assert!(self.age > 0 && !self.language.is_empty());
        Ok(self.room.send(&RoomEvent::Said { text }).await?)
    }

    async fn event(
        &mut self,
        ctx: &mut Context<RoomEvent>,
        event: Shared<RoomEvent>,
    ) -> Result<()> {
        let RoomEvent::Said { text } = &*event;
        Ok(ctx.send(text.as_str()).await?)
    }
}

/// A channel layer that records joins.
#[derive(Default)]
struct Noted {
    local: LocalChannels,
    joined: Arc<Mutex<Vec<String>>>,
}

#[async_trait::async_trait]
impl ChannelLayer for Noted {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("noted")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.joined.lock().unwrap().push(group.to_string());
        Ok(self.local.join(group, channel).map(drop)?)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, group: &GroupName, envelope: Envelope) -> Result<(), Error> {
        self.local.deliver_group(group, &envelope);
        Ok(())
    }
}

fn noted() -> (BoxApplication<WebSocket>, Arc<Mutex<Vec<String>>>) {
    let layer = Noted::default();
    let joined = layer.joined.clone();
    let member = Member::application(&Channels::new(layer));
    let app = PathRouter::new().route("/ws/{room}", member).boxed();
    (app, joined)
}

#[tokio::test]
async fn groups_are_joined_in_order_under_their_template_names() {
    let (app, joined) = noted();
    let mut ana = open(&app, "/ws/lobby?age=7&language=da");

    ana.send("ahoy").await;

    assert_eq!(ana.receive_text().await, "ahoy");
    assert_eq!(*joined.lock().unwrap(), ["room.lobby", "all", "da-7.lobby"]);
}

#[tokio::test]
async fn a_rejected_client_joins_no_group() {
    let (app, joined) = noted();

    assert_eq!(status(&app, "/ws/lobby?age=7").await, 400);
    assert_eq!(status(&app, "/ws/lobby?age=old&language=da").await, 400);

    assert!(joined.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_invalid_group_name_is_rejected() {
    let (app, _) = noted();

    assert_eq!(status(&app, "/ws/a%20room?age=7&language=da").await, 400);
    assert_eq!(status(&app, "/ws/lobby?age=7&language=d%2Fa").await, 400);
}

#[tokio::test]
async fn a_misspelled_placeholder_is_logged_with_the_available_names() {
    #[derive(WebSocketConsumer)]
    struct Typo {
        #[query("name")]
        _name: String,
        #[group("chat.{rom}")]
        _members: Group<RoomEvent>,
    }

    #[consumer]
    impl Typo {
        fn event(&mut self, _: Shared<RoomEvent>) {}
    }

    let log = Log::listen();
    assert_eq!(status(&stage::<Typo>(), "/ws/lobby?name=ana").await, 500);

    let line = log.line("error=`Typo`");
    for part in ["\"chat.{rom}\"", "[\"_name\"]", "[\"room\"]"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
