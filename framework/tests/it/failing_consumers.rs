//! Tests of failures on one connection, which must not affect any other.

use crate::{
    command_consumer::{ChatEvent, enter, stage, stage_of},
    log::Log,
    support::{Recorder, cut_short},
};
use http::Request;
use seaway::{
    ApplicationExt, ChannelName, Channels, Close, Context, Error, ErrorKind, GroupName, Handshake,
    Json, Message, NoEvent, Rejection, Result, WebSocketConsumer,
    channels::{ChannelLayer, Envelope, LocalChannels, Mailbox},
    consumer::Trigger,
    middleware::Provide,
    protocol::WebSocketConfig,
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn a_failing_hook_closes_its_connection_alone_with_1011() {
    let recorder = Recorder::default();
    let app = stage(&recorder);
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#""fail""#).await;

    assert_eq!(ana.receive_close().await.code, 1011);
    let error = ana.drop_connection().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    assert_eq!(
        recorder.entries(),
        ["connect", "connect", "disconnect 1011"]
    );
    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
}

#[tokio::test]
async fn a_panicking_hook_closes_its_connection_alone_with_1011() {
    let recorder = Recorder::default();
    let app = stage(&recorder);
    let (mut ana, mut bo) = (enter(&app).await, enter(&app).await);

    ana.send(r#""panic""#).await;

    assert_eq!(ana.receive_close().await.code, 1011);
    let error = ana.drop_connection().await.unwrap_err();
    assert!(
        error.to_string().contains("a handler that panics"),
        "{error}"
    );
    assert_eq!(
        recorder.entries(),
        ["connect", "connect", "disconnect 1011"]
    );
    bo.send(r#"{"flood": 1}"#).await;
    assert_eq!(bo.receive_text().await, "0");
}

#[tokio::test]
async fn a_consumer_whose_future_is_dropped_disconnects_once() {
    for order in [None, Some(r#""hang""#)] {
        let (recorder, end) = (Recorder::default(), Arc::default());
        let app = cut_short(&stage(&recorder), &end);
        let mut client = enter(&app).await;
        if let Some(order) = order {
            client.send(order).await;
            tokio::task::yield_now().await;
        }

        end.notify_one();

        client.drop_connection().await.unwrap();
        assert_eq!(recorder.wait_for(2).await, ["connect", "disconnect 1006"]);
    }
}

#[tokio::test]
async fn malformed_input_closes_the_connection_with_1007_and_the_reason() {
    let recorder = Recorder::default();
    for input in [
        Message::text("{oops"),
        Message::binary("{}"),
        Message::text(""),
    ] {
        let mut client = enter(&stage(&recorder)).await;

        client.send(input).await;

        let close = client.receive_close().await;
        assert_eq!(close.code, 1007);
        assert!(!close.reason().is_empty());
        client.drop_connection().await.unwrap();
    }
}

#[tokio::test]
async fn a_binary_message_for_a_consumer_of_json_is_logged_with_the_reason() {
    let log = Log::listen();
    let mut client = enter(&stage(&Recorder::default())).await;

    client.send(Message::binary("{}")).await;
    client.receive_close().await;

    let line = log.line("rejected a client");
    assert!(line.contains(r#"rule="input""#), "{line}");
    assert!(
        line.contains(r#"reason="expected a text message""#),
        "{line}"
    );
}

/// A value of a panic whose drop panics.
pub(crate) struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("in the drop of a panic's value");
    }
}

#[tokio::test]
async fn a_panic_whose_value_panics_when_it_is_dropped_closes_with_1011() {
    struct Bomber;
    impl WebSocketConsumer for Bomber {
        type Input = String;
        type Event = NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
            Ok(Self)
        }
        async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
            std::panic::panic_any(Bomb)
        }
    }
    let app = Bomber::application(&Channels::in_memory()).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("bomb").await;

    assert_eq!(client.receive_close().await.code, 1011);
}

/// A consumer that panics before it returns a future: a hook need not be an `async fn`.
struct Abrupt(Recorder);

impl WebSocketConsumer for Abrupt {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    fn receive(&mut self, _: &mut Context, text: String) -> impl Future<Output = Result<()>> {
        if text == "panic" {
            panic!("at once");
        }
        async { Ok(()) }
    }

    fn disconnect(self, close: Close) -> impl Future<Output = ()> {
        self.0.record(format!("left with {}", close.code));
        if close.code == Close::ERROR {
            panic!("in the bye, at once");
        }
        async {}
    }
}

#[tokio::test]
async fn a_hook_that_panics_before_it_returns_a_future_closes_its_connection_alone() {
    let recorder = Recorder::default();
    let app = Abrupt::application(&Channels::in_memory());
    let app = app.with(Provide(recorder.clone())).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    client.send("panic").await;

    assert_eq!(client.receive_close().await.code, Close::ERROR);
    let error = client.disconnect().await.unwrap_err();
    assert!(error.to_string().contains("at once"), "{error}");
    assert_eq!(recorder.entries(), ["left with 1011"]);
}

#[tokio::test]
async fn a_consumer_may_ignore_malformed_input() {
    struct Patient;
    impl WebSocketConsumer for Patient {
        type Input = Json<u32>;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
            Ok(Patient)
        }
        async fn receive(&mut self, ctx: &mut Context, Json(number): Json<u32>) -> Result<()> {
            Ok(ctx.send((number + 1).to_string()).await?)
        }
        async fn malformed(&mut self, ctx: &mut Context, error: Error, _: Message) -> Result<()> {
            Ok(ctx.send(format!("try again: {error}")).await?)
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

/// A channel layer whose `group_send` fails, and whose `open` may hang. One that is down says so.
#[derive(Default)]
struct Cut {
    local: LocalChannels,
    hangs: bool,
    is_down: bool,
}

#[async_trait::async_trait]
impl ChannelLayer for Cut {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    fn health(&self) -> Result<(), Error> {
        match self.is_down {
            true => Err(Error::new(ErrorKind::Layer, "the wire is cut")),
            false => Ok(()),
        }
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.local.open("cut")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Layer, "the wire is cut"))
    }
    async fn group_add(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        Ok(self.local.join(group, channel).map(drop)?)
    }
    async fn group_discard(&self, group: &GroupName, channel: &ChannelName) -> Result<(), Error> {
        self.local.leave(group, channel);
        Ok(())
    }
    async fn group_send(&self, _: &GroupName, _: Envelope) -> Result<(), Error> {
        Err(Error::new(ErrorKind::Layer, "the wire is cut"))
    }
}

#[tokio::test]
async fn an_event_that_was_not_sent_is_counted_and_closes_the_connection_with_1013() {
    let channels = Channels::new(Cut::default());
    let mut client = enter(&stage_of(&Recorder::default(), &channels)).await;

    client.send(r#"{"say": "into the gap"}"#).await;

    assert_eq!(client.receive_close().await.code, 1013);
    assert_eq!(channels.unsent(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_layer_that_hangs_is_bounded_by_the_connect_timeout() {
    let channels = Channels::new(Cut {
        hangs: true,
        ..Cut::default()
    });
    let short = WebSocketConfig::new().connect_timeout(Duration::from_millis(100));
    let app = stage_of(&Recorder::default(), &channels)
        .with(short)
        .boxed();

    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    assert_eq!(client.status().await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_times_out_names_the_channel_layer_if_that_is_down() {
    for (is_down, reason) in [
        (true, "error=the wire is cut"),
        (false, "find the slow call in it"),
    ] {
        let log = Log::listen();
        let channels = Channels::new(Cut {
            hangs: true,
            is_down,
            ..Cut::default()
        });
        let short = WebSocketConfig::new().connect_timeout(Duration::from_millis(100));
        let app = stage_of(&Recorder::default(), &channels)
            .with(short)
            .boxed();

        let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

        assert_eq!(client.status().await, 503);
        let line = log.line("failed to serve a client");
        assert!(line.contains(reason), "{line}");
    }
}

#[tokio::test]
async fn a_consumer_may_ignore_its_errors_but_not_its_panics() {
    struct Forgiving;
    impl WebSocketConsumer for Forgiving {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
            Ok(Forgiving)
        }
        async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
            assert_ne!(text, "panic");
            Err(Error::user(text).into())
        }
        async fn failed(&mut self, ctx: &mut Context, error: Error, _: Trigger) -> Result<()> {
            Ok(ctx.send(format!("never mind: {error}")).await?)
        }
    }
    let app = Forgiving::application(&Channels::in_memory()).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    for _ in 0..2 {
        client.send("oops").await;
        let response = client.receive_text().await;
        assert_eq!(response, "never mind: oops");
    }
    client.send("panic").await;
    assert_eq!(client.receive_close().await.code, 1011);
}

#[tokio::test]
async fn closing_with_a_reserved_code_is_an_error() {
    let mut client = enter(&stage(&Recorder::default())).await;

    client.send(r#"{"close": 1006}"#).await;

    assert_eq!(client.receive_close().await.code, 1011);
    let error = client.drop_connection().await.unwrap_err();
    assert!(error.to_string().contains("3000 to 4999"), "{error}");
}

#[tokio::test]
async fn an_event_of_another_type_is_skipped_and_counted() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "other")]
    struct Other {
        number: u32,
    }

    impl seaway::Event for Other {}
    let channels = Channels::in_memory();
    let mut client = enter(&stage_of(&Recorder::default(), &channels)).await;

    let strangers = channels.group::<Other>("room").unwrap();
    strangers.send(&Other { number: 1 }).await.unwrap();
    let friends = channels.group::<ChatEvent>("room").unwrap();
    let said = ChatEvent { text: "hi".into() };
    friends.send(&said).await.unwrap();

    assert_eq!(
        client.receive_text().await,
        r#"{"type":"said","text":"hi"}"#
    );
    assert_eq!(channels.undecodable(), 1);
}
