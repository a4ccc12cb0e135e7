//! What is known of a hook that failed, and of an event without a hook: the log, and the trigger.

use crate::{
    log::Log,
    support::{Recorder, Server, connect, ended, eventually, send_text},
};
use http::Request;
use seaway::{
    ApplicationExt, BoxApplication, Channels, Context, Disconnect, Error, Event, Group, Handshake,
    HttpConsumer, HttpContext, HttpResponse, Message, Rejection, Result, SseEvent,
    WebSocketConsumer, consumer,
    consumer::Trigger,
    middleware::Provide,
    protocol::{Sender, WebSocket},
    routing::ProtocolTypeRouter,
    testing::WebSocketCommunicator,
};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// The events of the auction.
#[derive(Event)]
enum LotEvent {
    Raised { cents: u32 },
}

/// A bidder whose every method fails.
#[derive(WebSocketConsumer)]
struct Bidder {
    #[group("lots")]
    _lots: Group<LotEvent>,
}

#[consumer]
impl Bidder {
    #[on_message("bid")]
    fn bid(&mut self, cents: u32) -> Result<()> {
        Err(format!("{cents} cents are too few"))?
    }

    #[on_message("ask", reply)]
    fn ask(&mut self) -> Result<u32> {
        Err("the database is on fire")?
    }

    #[on_message("wave")]
    async fn wave(&mut self) {
        tokio::task::yield_now().await;
        panic!("no hands");
    }

    #[on("lot.raised")]
    fn raised(&mut self) -> Result<()> {
        Err("nobody is to know")?
    }
}

/// The same, but it keeps its connection, and records why.
#[derive(WebSocketConsumer)]
struct Calm {
    #[state]
    recorder: Recorder,
    #[group("lots")]
    _lots: Group<LotEvent>,
}

#[consumer]
impl Calm {
    #[on_message("bid")]
    fn bid(&mut self) -> Result<()> {
        Err("too late")?
    }

    #[on("lot.raised")]
    fn raised(&mut self) -> Result<()> {
        Err("nobody is to know")?
    }

    fn failed(&mut self, error: Error, trigger: Trigger) {
        self.recorder.record(format!("{trigger}: {error:#}"));
    }
}

/// A member of the group without a hook for its events.
struct Deaf;

impl WebSocketConsumer for Deaf {
    type Input = Message;
    type Event = LotEvent;

    async fn connect(handshake: &mut Handshake<LotEvent>) -> Result<Self, Rejection> {
        handshake.join("lots").await?;
        Ok(Self)
    }

    async fn receive(&mut self, ctx: &mut Context<LotEvent>, message: Message) -> Result<()> {
        Ok(ctx.send(message).await?)
    }
}

async fn enter(app: &BoxApplication<WebSocket>) -> WebSocketCommunicator {
    let mut client = WebSocketCommunicator::open(app, Request::get("/"));
    assert_eq!(client.status().await, 101);
    client
}

async fn raise(channels: &Channels) {
    let lots = channels.group("lots").unwrap();
    lots.send(&LotEvent::Raised { cents: 7 }).await.unwrap();
}

#[tokio::test]
async fn the_line_of_a_failed_hook_names_what_it_handled_and_does_not_wait_for_the_client() {
    let log = Log::listen();
    let channels = Channels::in_memory();
    let app = ProtocolTypeRouter::new().websocket(Bidder::application(&channels));
    let server = Server::start(app).await;

    for (message, during, error) in [
        (
            r#"{"type":"bid","cents":3}"#,
            r#"during=message "bid""#,
            "3 cents are too few",
        ),
        (
            r#"{"type":"ask","id":1}"#,
            r#"during=message "ask""#,
            "the database is on fire",
        ),
        (
            r#"{"type":"wave"}"#,
            r#"during=message "wave""#,
            "panicked: no hands",
        ),
    ] {
        log.clear();
        let mut client = connect(server.address, "/").await;
        send_text(&mut client, message).await;
        // The client does not answer the close frame, nor leave.
        let line = eventually(|| {
            let lines = log.lines("a hook failed");
            lines.into_iter().next()
        })
        .await;
        assert!(line.contains(during), "{line}");
        assert!(line.contains(&format!("error={error}")), "{line}");
        drop(client);
    }
    server.stop().await.unwrap().unwrap();
    log.line("a hook failed");
}

#[tokio::test]
async fn an_event_that_could_not_be_handled_is_named() {
    let (log, channels) = (Log::listen(), Channels::in_memory());
    let app = Bidder::application(&channels).boxed();
    let mut client = enter(&app).await;

    raise(&channels).await;

    assert_eq!(client.receive_close().await.code, 1011);
    let line = log.line("a hook failed");
    assert!(line.contains(r#"during=event "lot.raised""#), "{line}");
    client.disconnect().await.unwrap_err();
}

#[tokio::test]
async fn failed_gets_the_type_of_the_message_or_event() {
    let (channels, recorder) = (Channels::in_memory(), Recorder::default());
    let app = Calm::application(&channels).with(Provide(recorder.clone()));
    let mut client = enter(&app.boxed()).await;

    client.send(r#"{"type":"bid"}"#).await;
    recorder.wait_for(1).await;
    raise(&channels).await;

    assert_eq!(
        recorder.wait_for(2).await,
        [
            r#"message "bid": too late"#,
            r#"event "lot.raised": nobody is to know"#
        ]
    );
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn an_event_for_a_consumer_without_a_hook_is_dropped_with_a_warning() {
    let (log, channels) = (Log::listen(), Channels::in_memory());
    let app = Deaf::application(&channels).boxed();
    let mut client = enter(&app).await;

    raise(&channels).await;

    // The event was handled before what is echoed.
    for _ in 0..2 {
        client.send("ahoy").await;
        assert_eq!(client.receive_text().await, "ahoy");
    }
    log.line("dropped an event: the consumer is in a group and has no hook for events");
    client.disconnect().await.unwrap();
}

/// The sender to a client that called itself a friend.
#[derive(Clone, Default)]
struct Friend(Arc<Mutex<Option<Sender>>>);

/// Messages that clients send each other without a group.
#[derive(WebSocketConsumer)]
struct Whisper {
    #[state]
    friend: Friend,
}

#[consumer]
impl Whisper {
    #[on_message("befriend", reply)]
    fn befriend(&mut self, ctx: &Context) -> Result<()> {
        *self.friend.0.lock().unwrap() = Some(ctx.sender());
        Ok(())
    }

    #[on_message("whisper", reply)]
    async fn whisper(&mut self, text: String) -> Result<()> {
        let friend = self.friend.0.lock().unwrap().clone();
        Ok(friend.expect("a friend came first").send(text).await?)
    }
}

#[tokio::test]
async fn a_send_to_another_client_that_has_left_is_a_failure() {
    let log = Log::listen();
    let app = Whisper::application(&Channels::in_memory()).with(Provide(Friend::default()));
    let app = app.boxed();
    let mut friend = enter(&app).await;
    friend.send(r#"{"type":"befriend","id":1}"#).await;
    let _: Value = friend.receive_json().await;
    friend.disconnect().await.unwrap();

    let mut client = enter(&app).await;
    client
        .send(r#"{"type":"whisper","text":"ahoy","id":2}"#)
        .await;

    let reply: Value = client.receive_json().await;
    assert_eq!(
        reply,
        json!({ "type": "reply", "id": 2, "fault": { "kind": "failed" } })
    );
    assert_eq!(client.receive_close().await.code, 1011);
    let line = log.line("a hook failed");
    assert!(line.contains(r#"during=message "whisper""#), "{line}");
    client.disconnect().await.unwrap_err();
}

/// An event stream that ends with a message to a friend.
#[derive(HttpConsumer)]
struct Farewell {
    #[state]
    friend: Friend,
    #[state]
    ends: Recorder,
}

#[consumer]
impl Farewell {
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let sse = ctx.sse().await?;
        sse.send(SseEvent::text("bye")).await?;
        let friend = self.friend.0.lock().unwrap().clone();
        friend.expect("a friend came first").send("bye").await?;
        Ok(sse.end())
    }

    async fn disconnect(self, end: Disconnect) {
        self.ends.record(format!("{end:?}"));
    }
}

#[tokio::test]
async fn a_send_of_a_stream_to_another_client_that_has_left_is_a_failure() {
    let (log, channels, ends) = (Log::listen(), Channels::in_memory(), Recorder::default());
    let friend = Friend::default();
    let app = Whisper::application(&channels).with(Provide(friend.clone()));
    let mut client = enter(&app.boxed()).await;
    client.send(r#"{"type":"befriend","id":1}"#).await;
    let _: Value = client.receive_json().await;
    client.disconnect().await.unwrap();
    let app = Farewell::application(&channels)
        .with(Provide(ends.clone()))
        .with(Provide(friend));
    let server = Server::start(ProtocolTypeRouter::new().http(app)).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();

    assert_eq!(ends.wait_for(1).await, ["Failed(User)"]);
    let failed = || log.lines("an application failed").into_iter().next();
    let line = eventually(failed).await;
    assert!(line.contains("the connection is closed"), "{line}");
    drop(client);
    ended(server.stop()).await;
}
