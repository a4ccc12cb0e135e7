//! Tests of the lifecycle of WebSocket consumers: the order of hooks, and disconnects.

use crate::{
    command_consumer::{ChatEvent, enter, stage},
    support::{Recorder, echo},
};
use http::Request;
use seaway::{
    Application, ApplicationExt, Channels, Close, Context, Group, Handshake, Rejection, Result,
    Shared, WebSocketConsumer,
    middleware::Provide,
    protocol::{WebSocket, WebSocketConfig},
    testing::WebSocketCommunicator,
};
use std::time::Duration;

#[tokio::test]
async fn members_of_a_group_receive_their_own_and_each_others_events() {
    let app = stage(&Recorder::default());
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#"{"say": "ahoy"}"#).await;

    let expected = r#"{"type":"said","text":"ahoy"}"#;
    assert_eq!(ana.receive_text().await, expected);
    assert_eq!(bo.receive_text().await, expected);
}

#[tokio::test]
async fn a_consumer_that_left_a_group_receives_no_events_and_remains_connected() {
    let app = stage(&Recorder::default());
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
async fn hooks_run_one_at_a_time_in_order_even_if_the_client_leaves_at_once() {
    let recorder = Recorder::default();
    let mut client = enter(&stage(&recorder)).await;

    for number in 0..10 {
        client.send(format!(r#"{{"note": "{number}"}}"#)).await;
    }
    client.close(1001).await.unwrap();

    let entries = recorder.entries();
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(entries[0], "connect");
    assert_eq!(entries[1..11], expected);
    assert_eq!(entries[11..], ["disconnect 1001"]);
}

#[tokio::test]
async fn disconnect_gets_the_code_of_the_consumers_own_close() {
    let recorder = Recorder::default();
    let mut client = enter(&stage(&recorder)).await;

    client.send(r#"{"close": 4001}"#).await;

    assert_eq!(
        client.receive_close().await,
        Close::new(4001, "requested by the client")
    );
    client.drop_connection().await.unwrap();
    assert_eq!(recorder.entries(), ["connect", "disconnect 4001"]);
}

#[tokio::test]
async fn no_event_is_delivered_after_the_consumer_has_closed() {
    struct Once(Recorder);
    impl WebSocketConsumer for Once {
        type Input = String;
        type Event = ChatEvent;

        async fn connect(handshake: &mut Handshake<ChatEvent>) -> Result<Self, Rejection> {
            handshake.join("room").await?;
            Ok(Once(handshake.state::<Recorder>()?.clone()))
        }
        async fn receive(&mut self, _: &mut Context<ChatEvent>, _: String) -> Result<()> {
            Ok(())
        }
        async fn event(
            &mut self,
            ctx: &mut Context<ChatEvent>,
            said: Shared<ChatEvent>,
        ) -> Result<()> {
            self.0.record(said.text.as_str());
            Ok(ctx.close(4000)?)
        }
    }
    let (recorder, channels) = (Recorder::default(), Channels::in_memory());
    let app = Once::application(&channels)
        .with(Provide(recorder.clone()))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    // All events are in the mailbox before the consumer runs again: there is only one thread.
    let room = channels.group::<ChatEvent>("room").unwrap();
    for number in 0..10 {
        let text = number.to_string();
        room.send(&ChatEvent { text }).await.unwrap();
    }

    assert_eq!(client.receive_close().await.code, 4000);
    client.drop_connection().await.unwrap();
    assert_eq!(recorder.entries(), ["0"]);
}

/// Inflating, decoding and sending a large message takes as long as many small ones.
#[tokio::test]
async fn other_tasks_run_between_two_large_messages_of_a_client() {
    struct Lengths(Recorder);

    impl WebSocketConsumer for Lengths {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
            Ok(Self(handshake.state::<Recorder>()?.clone()))
        }

        async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
            self.0.record(text.len().to_string());
            Ok(())
        }
    }
    let recorder = Recorder::default();
    let app = Lengths::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    for _ in 0..10 {
        client.send("x".repeat(64 * 1024)).await;
    }
    for turn in 1..10 {
        tokio::task::yield_now().await;
        assert!(recorder.entries().len() <= turn, "turn {turn}");
    }

    recorder.wait_for(10).await;
    client.drop_connection().await.unwrap();
}

#[tokio::test]
async fn a_sender_in_another_task_fails_once_its_websocket_is_closed() {
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
    client.drop_connection().await.unwrap();

    let error = sender.send("anyone?").await.unwrap_err();

    assert!(error.is_closed());
}

#[tokio::test]
async fn a_lost_client_disconnects_with_1006() {
    let recorder = Recorder::default();

    enter(&stage(&recorder))
        .await
        .drop_connection()
        .await
        .unwrap();

    assert_eq!(recorder.entries(), ["connect", "disconnect 1006"]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_hook_does_not_block_disconnect() {
    let recorder = Recorder::default();
    let mut client = enter(&stage(&recorder)).await;
    client.send(r#""hang""#).await;
    client.send(r#"{"note": "never"}"#).await;

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 5, "the default grace");
    assert_eq!(recorder.entries(), ["connect", "disconnect 1000"]);
}

#[tokio::test(start_paused = true)]
async fn all_hooks_after_the_close_share_one_grace_period() {
    let recorder = Recorder::default();
    let mut client = enter(&stage(&recorder)).await;
    for _ in 0..5 {
        client.send(r#""hang""#).await;
    }

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_grace_period_is_configurable() {
    let recorder = Recorder::default();
    let config = WebSocketConfig::new().grace(Duration::from_secs(1));
    let app = stage(&recorder).with(config).boxed();
    let mut client = enter(&app).await;
    client.send(r#""hang""#).await;

    let before = tokio::time::Instant::now();
    client.close(1000).await.unwrap();

    assert_eq!(before.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_hook_may_send_more_than_the_send_buffer_holds() {
    let config = WebSocketConfig::new().send_buffer(256);
    let app = stage(&Recorder::default()).with(config).boxed();
    let mut client = enter(&app).await;

    client.send(r#"{"flood": 1000}"#).await;

    for number in 0..1000 {
        assert_eq!(client.receive_text().await, number.to_string());
    }
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_event_can_be_sent_to_one_consumer_by_its_channel() {
    struct Named;
    impl WebSocketConsumer for Named {
        type Input = String;
        type Event = ChatEvent;

        async fn connect(_: &mut Handshake<ChatEvent>) -> Result<Self, Rejection> {
            Ok(Named)
        }
        async fn opened(&mut self, ctx: &mut Context<ChatEvent>) -> Result<()> {
            let name = ctx.channel().to_string();
            Ok(ctx.send(name).await?)
        }
        async fn receive(&mut self, _: &mut Context<ChatEvent>, _: String) -> Result<()> {
            Ok(())
        }
        async fn event(
            &mut self,
            ctx: &mut Context<ChatEvent>,
            said: Shared<ChatEvent>,
        ) -> Result<()> {
            Ok(ctx.send(said.text.as_str()).await?)
        }
    }
    let channels = Channels::in_memory();
    let app = Named::application(&channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    let name = seaway::ChannelName::new(client.receive_text().await).unwrap();

    let said = ChatEvent {
        text: "psst".into(),
    };
    channels.send(&name, &said).await.unwrap();

    assert_eq!(client.receive_text().await, "psst");
}

#[tokio::test]
async fn a_spawned_task_may_send_to_the_client() {
    struct Spawner;
    impl WebSocketConsumer for Spawner {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
            Ok(Spawner)
        }
        async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
            let sender = ctx.sender();
            tokio::spawn(async move {
                // By now the hook has returned and the connection is idle.
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
    shared::<Group<ChatEvent>>();
    shared::<seaway::protocol::Sender>();
    fn application<A: Application<WebSocket>>(_: A) {}
    application(echo());
}

#[tokio::test]
async fn an_open_websocket_still_has_the_scope_of_its_request() {
    #[derive(Clone, Debug, PartialEq)]
    struct Number(u32);

    struct Reader;
    impl WebSocketConsumer for Reader {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
            handshake.scope_mut().insert(String::from("added"));
            Ok(Reader)
        }

        async fn receive(&mut self, ctx: &mut Context, _: String) -> Result<()> {
            assert_eq!(ctx.state::<String>()?, "added");
            let scope = ctx.scope();
            let cookies: Vec<_> = scope.cookies().map(|cookie| cookie.to_string()).collect();
            assert_eq!(cookies, ["a=1", "b=2"]);
            assert_eq!(scope.head.headers["user-agent"], "a test");
            assert_eq!(scope.head.headers.get("sec-websocket-key"), None);
            assert_eq!(scope.head.uri, "/rooms/7?lang=da");
            assert_eq!(scope.head.method, http::Method::GET);
            assert_eq!(scope.raw_param("room"), Some("7"));
            assert_eq!(scope.state::<String>()?, "added");

            ctx.scope_mut().insert(Number(7));
            assert_eq!(*ctx.state::<Number>()?, Number(7));
            assert_eq!(*ctx.state::<Number>()?, Number(7));
            Ok(ctx.send("seen").await?)
        }
    }
    let reader = Reader::application(&Channels::in_memory());
    let app = seaway::routing::PathRouter::new().route("/rooms/{room}", reader);
    let request = Request::get("/rooms/7?lang=da")
        .header("cookie", "a=1; b=2")
        .header("user-agent", "a test");
    let mut client = WebSocketCommunicator::open(&app.boxed(), request);
    assert_eq!(client.status().await, 101);

    client.send("now").await;

    assert_eq!(client.receive_text().await, "seen");
    client.close(1000).await.unwrap();
}
