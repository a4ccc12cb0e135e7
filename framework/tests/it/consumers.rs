//! The life of a consumer: turns, mistakes, goodbyes.

use crate::support::{Diary, echo, trouble};
use http::Request;
use seaway::{
    Application, ApplicationExt, BoxApplication, ChannelName, Channels, Close, Context, Error,
    ErrorKind, Frame, Group, GroupName, Handshake, Json, Reject, Result, Shared, WebSocketConsumer,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
    middleware::Provide,
    protocol::{WebSocket, WebSocketConfig},
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Does what it is told, and notes it.
struct Actor {
    diary: Diary,
    room: Group<Said>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Say(String),
    Note(String),
    Fail,
    Panic,
    Hang,
    Close(u16),
    Leave,
    Flood(u32),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "said")]
struct Said {
    text: String,
}

impl WebSocketConsumer for Actor {
    type Input = Json<Order>;
    type Event = Said;

    async fn connect(handshake: &mut Handshake<Said>) -> Result<Self, Reject> {
        let diary = handshake.state::<Diary>()?.clone();
        diary.note("connect");
        let room = handshake.join("room").await?;
        Ok(Self { diary, room })
    }

    async fn opened(&mut self, ctx: &mut Context<Said>) -> Result<()> {
        ctx.send("welcome").await
    }

    async fn receive(&mut self, ctx: &mut Context<Said>, Json(order): Json<Order>) -> Result<()> {
        match order {
            Order::Say(text) => self.room.send(&Said { text }).await,
            Order::Note(entry) => {
                // A handler that takes its time: the next one waits.
                tokio::task::yield_now().await;
                self.diary.note(entry);
                Ok(())
            }
            Order::Fail => Err(trouble()),
            Order::Panic => panic!("a handler that panics"),
            Order::Hang => std::future::pending().await,
            Order::Close(code) => ctx.close(Close::new(code, "as you wish")).await,
            Order::Leave => ctx.leave(&self.room).await,
            Order::Flood(count) => {
                for number in 0..count {
                    ctx.send(number.to_string()).await?;
                }
                Ok(())
            }
        }
    }

    async fn event(&mut self, ctx: &mut Context<Said>, said: Shared<Said>) -> Result<()> {
        ctx.send(Json(said)).await
    }

    async fn disconnect(self, close: Close) {
        self.diary.note(format!("disconnect {}", close.code));
    }
}

fn stage(diary: &Diary) -> BoxApplication<WebSocket> {
    stage_of(diary, &Channels::in_memory())
}

fn stage_of(diary: &Diary, channels: &Channels) -> BoxApplication<WebSocket> {
    Actor::application(channels)
        .with(Provide(diary.clone()))
        .boxed()
}

async fn enter(app: &BoxApplication<WebSocket>) -> WebSocketCommunicator {
    let mut client = WebSocketCommunicator::open(app, Request::get("/"));
    assert_eq!(client.status().await, 101);
    assert_eq!(client.receive_text().await, "welcome");
    client
}

#[tokio::test]
async fn members_of_a_room_hear_each_other_and_themselves() {
    let app = stage(&Diary::default());
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#"{"say": "ahoy"}"#).await;

    let expected = r#"{"type":"said","text":"ahoy"}"#;
    assert_eq!(ana.receive_text().await, expected);
    assert_eq!(bo.receive_text().await, expected);
}

#[tokio::test]
async fn one_who_has_left_the_group_hears_nothing_and_goes_on() {
    let app = stage(&Diary::default());
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    bo.send(r#""leave""#).await;
    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
    ana.send(r#"{"say": "ahoy"}"#).await;
    ana.receive_text().await;

    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
}

#[tokio::test]
async fn handlers_run_one_at_a_time_in_order_even_if_the_client_leaves_at_once() {
    let diary = Diary::default();
    let mut client = enter(&stage(&diary)).await;

    for number in 0..10 {
        client.send(format!(r#"{{"note": "{number}"}}"#)).await;
    }
    client.close(1001).await.unwrap();

    let entries = diary.entries();
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(entries[0], "connect");
    assert_eq!(entries[1..11], expected);
    assert_eq!(entries[11..], ["disconnect 1001"]);
}

#[tokio::test]
async fn a_failing_handler_ends_its_conversation_with_1011_and_no_other() {
    let diary = Diary::default();
    let app = stage(&diary);
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#""fail""#).await;

    assert_eq!(ana.receive_close().await.code, 1011);
    let error = ana.vanish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    assert_eq!(diary.entries(), ["connect", "connect", "disconnect 1011"]);
    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
}

#[tokio::test]
async fn a_panicking_handler_ends_its_conversation_with_1011_and_no_other() {
    let diary = Diary::default();
    let app = stage(&diary);
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#""panic""#).await;

    assert_eq!(ana.receive_close().await.code, 1011);
    let error = ana.vanish().await.unwrap_err();
    assert!(
        error.to_string().contains("a handler that panics"),
        "{error}"
    );
    assert_eq!(diary.entries(), ["connect", "connect", "disconnect 1011"]);
    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
}

#[tokio::test]
async fn malformed_input_ends_the_conversation_with_1007_and_the_reason() {
    let diary = Diary::default();
    for input in [Frame::text("{oops"), Frame::binary("{}"), Frame::text("")] {
        let mut client = enter(&stage(&diary)).await;

        client.send(input).await;

        let close = client.receive_close().await;
        assert_eq!(close.code, 1007);
        assert!(!close.reason.is_empty());
        client.vanish().await.unwrap();
    }
}

#[tokio::test]
async fn a_consumer_may_forgive_malformed_input() {
    struct Patient;
    impl WebSocketConsumer for Patient {
        type Input = Json<u32>;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Reject> {
            Ok(Patient)
        }
        async fn receive(&mut self, ctx: &mut Context, Json(number): Json<u32>) -> Result<()> {
            ctx.send((number + 1).to_string()).await
        }
        async fn malformed(&mut self, ctx: &mut Context, error: Error) -> Result<()> {
            ctx.send(format!("try again: {error}")).await
        }
    }
    let app = Patient::application(&Channels::in_memory()).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("seven").await;
    assert_eq!(client.receive_text().await, "try again: unexpected JSON");
    client.send("7").await;
    assert_eq!(client.receive_text().await, "8");
    client.disconnect().await.unwrap();
}

/// Delivers nothing to groups, and says so.
#[derive(Default)]
struct Cut(LocalChannels);

#[async_trait::async_trait]
impl ChannelLayer for Cut {
    async fn open(&self) -> Result<Mailbox> {
        self.0.open("cut")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<()> {
        Err(Error::new(ErrorKind::Layer, "the wire is cut"))
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.0.join(group, channel).map(drop)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<()> {
        self.0.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, _: &GroupName, _: Envelope) -> Result<()> {
        Err(Error::new(ErrorKind::Layer, "the wire is cut"))
    }
}

#[tokio::test]
async fn an_error_of_the_channel_layer_is_counted_and_the_conversation_goes_on() {
    let channels = Channels::new(Cut::default());
    let mut client = enter(&stage_of(&Diary::default(), &channels)).await;

    client.send(r#"{"say": "into the gap"}"#).await;
    client.send(r#"{"flood": 1}"#).await;

    assert_eq!(client.receive_text().await, "0");
    assert_eq!(channels.unsent(), 1);
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn a_consumer_may_forgive_its_own_errors_but_not_its_panics() {
    struct Forgiving;
    impl WebSocketConsumer for Forgiving {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Reject> {
            Ok(Forgiving)
        }
        async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
            assert_ne!(text, "panic");
            Err(Error::user(text))
        }
        async fn failed(&mut self, ctx: &mut Context, error: Error) -> Result<()> {
            ctx.send(format!("never mind: {error}")).await
        }
    }
    let app = Forgiving::application(&Channels::in_memory()).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    for _ in 0..2 {
        client.send("oops").await;
        let answer = client.receive_text().await;
        assert_eq!(answer, "never mind: the application failed");
    }
    client.send("panic").await;
    assert_eq!(client.receive_close().await.code, 1011);
}

#[tokio::test]
async fn a_consumer_that_closes_is_told_its_own_code() {
    let diary = Diary::default();
    let mut client = enter(&stage(&diary)).await;

    client.send(r#"{"close": 4001}"#).await;

    assert_eq!(
        client.receive_close().await,
        Close::new(4001, "as you wish")
    );
    client.vanish().await.unwrap();
    assert_eq!(diary.entries(), ["connect", "disconnect 4001"]);
}

#[tokio::test]
async fn no_event_comes_after_the_consumer_has_closed() {
    struct Once(Diary);
    impl WebSocketConsumer for Once {
        type Input = String;
        type Event = Said;

        async fn connect(handshake: &mut Handshake<Said>) -> Result<Self, Reject> {
            handshake.join("room").await?;
            Ok(Once(handshake.state::<Diary>()?.clone()))
        }
        async fn receive(&mut self, _: &mut Context<Said>, _: String) -> Result<()> {
            Ok(())
        }
        async fn event(&mut self, ctx: &mut Context<Said>, said: Shared<Said>) -> Result<()> {
            self.0.note(said.text.as_str());
            ctx.close(4000).await
        }
    }
    let (diary, channels) = (Diary::default(), Channels::in_memory());
    let app = Once::application(&channels)
        .with(Provide(diary.clone()))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    // All of them are in the mailbox before the consumer has its turn: there is but one thread.
    let room = channels.group::<Said>("room").unwrap();
    for number in 0..10 {
        let text = number.to_string();
        room.send(&Said { text }).await.unwrap();
    }

    assert_eq!(client.receive_close().await.code, 4000);
    client.vanish().await.unwrap();
    assert_eq!(diary.entries(), ["0"]);
}

#[tokio::test]
async fn a_sender_in_another_task_is_told_when_its_socket_is_gone() {
    let (given, taken) = tokio::sync::oneshot::channel();
    let given = std::sync::Mutex::new(Some(given));
    let app = seaway::application_fn(
        move |_: seaway::Scope<WebSocket>, upgrade: seaway::protocol::Upgrade| {
            let given = given.lock().unwrap().take();
            async move {
                let socket = upgrade.accept().await?;
                given.unwrap().send(socket.sender()).unwrap();
                Ok(())
            }
        },
    )
    .boxed();
    let client = WebSocketCommunicator::open(&app, Request::get("/"));
    let sender = taken.await.unwrap();
    client.vanish().await.unwrap();

    let error = sender.send("anyone?").await.unwrap_err();

    assert!(error.is_closed());
}

#[tokio::test]
async fn a_code_that_may_not_travel_is_the_handlers_error() {
    let mut client = enter(&stage(&Diary::default())).await;

    client.send(r#"{"close": 1006}"#).await;

    assert_eq!(client.receive_close().await.code, 1011);
    let error = client.vanish().await.unwrap_err();
    assert!(error.to_string().contains("3000 to 4999"), "{error}");
}

#[tokio::test]
async fn a_client_that_vanishes_is_said_to_be_1006() {
    let diary = Diary::default();

    enter(&stage(&diary)).await.vanish().await.unwrap();

    assert_eq!(diary.entries(), ["connect", "disconnect 1006"]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_handler_cannot_hold_up_the_goodbye() {
    let diary = Diary::default();
    let mut client = enter(&stage(&diary)).await;
    client.send(r#""hang""#).await;
    client.send(r#"{"note": "never"}"#).await;

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 5, "the default grace");
    assert_eq!(diary.entries(), ["connect", "disconnect 1000"]);
}

#[tokio::test(start_paused = true)]
async fn all_handlers_after_a_goodbye_share_one_grace() {
    let diary = Diary::default();
    let mut client = enter(&stage(&diary)).await;
    for _ in 0..5 {
        client.send(r#""hang""#).await;
    }

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_grace_of_a_stuck_handler_can_be_set() {
    let diary = Diary::default();
    let config = WebSocketConfig::new().grace(Duration::from_secs(1));
    let app = stage(&diary).with(config).boxed();
    let mut client = enter(&app).await;
    client.send(r#""hang""#).await;

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_handler_may_send_more_than_the_send_buffer_holds() {
    let config = WebSocketConfig::new().send_buffer(256);
    let app = stage(&Diary::default()).with(config).boxed();
    let mut client = enter(&app).await;

    client.send(r#"{"flood": 1000}"#).await;

    for number in 0..1000 {
        assert_eq!(client.receive_text().await, number.to_string());
    }
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_event_of_another_type_is_passed_over_and_counted() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "other")]
    struct Other {
        number: u32,
    }
    let channels = Channels::in_memory();
    let mut client = enter(&stage_of(&Diary::default(), &channels)).await;

    let strangers = channels.group::<Other>("room").unwrap();
    strangers.send(&Other { number: 1 }).await.unwrap();
    let friends = channels.group::<Said>("room").unwrap();
    let said = Said { text: "hi".into() };
    friends.send(&said).await.unwrap();

    assert_eq!(
        client.receive_text().await,
        r#"{"type":"said","text":"hi"}"#
    );
    assert_eq!(channels.undecodable(), 1);
}

#[tokio::test]
async fn one_may_be_told_alone_by_its_channel() {
    struct Named;
    impl WebSocketConsumer for Named {
        type Input = String;
        type Event = Said;

        async fn connect(_: &mut Handshake<Said>) -> Result<Self, Reject> {
            Ok(Named)
        }
        async fn opened(&mut self, ctx: &mut Context<Said>) -> Result<()> {
            let name = ctx.channel().to_string();
            ctx.send(name).await
        }
        async fn receive(&mut self, _: &mut Context<Said>, _: String) -> Result<()> {
            Ok(())
        }
        async fn event(&mut self, ctx: &mut Context<Said>, said: Shared<Said>) -> Result<()> {
            ctx.send(said.text.as_str()).await
        }
    }
    let channels = Channels::in_memory();
    let app = Named::application(&channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    let name = seaway::ChannelName::new(client.receive_text().await).unwrap();

    let said = Said {
        text: "psst".into(),
    };
    channels.send(&name, &said).await.unwrap();

    assert_eq!(client.receive_text().await, "psst");
}

#[tokio::test]
async fn a_task_of_the_consumers_own_may_speak() {
    struct Spawner;
    impl WebSocketConsumer for Spawner {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Reject> {
            Ok(Spawner)
        }
        async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
            let sender = ctx.sender();
            tokio::spawn(async move {
                // By now the handler has returned and the conversation rests.
                tokio::task::yield_now().await;
                sender.send(text).await
            });
            Ok(())
        }
    }
    let app = Spawner::application(&Channels::in_memory()).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("later").await;

    assert_eq!(client.receive_text().await, "later");
}

#[tokio::test]
async fn an_application_may_be_a_plain_function_too() {
    let app = seaway::application_fn(
        |_: seaway::Scope<WebSocket>, upgrade: seaway::protocol::Upgrade| async move {
            let mut socket = upgrade.accept().await?;
            while let Some(frame) = socket.receive().await {
                socket.sender().send(frame).await?;
                if socket.receive().await.is_none() {
                    break;
                }
            }
            socket.close(4000).await;
            Ok(())
        },
    )
    .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("once").await;
    assert_eq!(client.receive_text().await, "once");
    client.disconnect().await.unwrap();
}

#[test]
fn handles_can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Channels>();
    shared::<Context>();
    shared::<Handshake>();
    shared::<Group<Said>>();
    shared::<seaway::protocol::Sender>();
    fn application<A: Application<WebSocket>>(_: A) {}
    application(echo());
}
