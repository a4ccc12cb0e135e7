//! Tests of remote disconnects, and of timers.

use crate::support::{PATIENCE, Recorder, Server, connect, ended, send_text};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    ApplicationExt, Channels, Close, Context, Cookies, FromScope, Group, GroupName, Handshake,
    Message, Rejection, Result, Scope, Shared, WebSocketConsumer,
    channels::{Envelope, InMemoryChannelLayer},
    http::{Request, StatusCode},
    middleware::Provide,
    protocol::{WebSocket, WebSocketConfig},
    routing::ProtocolTypeRouter,
    testing::WebSocketCommunicator,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    self,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Noise {
    #[serde(rename = "noise")]
    Noise { number: u32 },
}

impl seaway::Event for Noise {}

/// A consumer that joins a group, and records how it ended.
struct Member {
    recorder: Recorder,
    room: Group<Noise>,
}

impl WebSocketConsumer for Member {
    type Input = Message;
    type Event = Noise;

    async fn connect(handshake: &mut Handshake<Noise>) -> Result<Self, Rejection> {
        Ok(Self {
            recorder: handshake.state::<Recorder>()?.clone(),
            room: handshake.join("room").await?,
        })
    }

    async fn receive(&mut self, _: &mut Context<Noise>, _: Message) -> Result<()> {
        // While this hook runs, more events arrive than the mailbox holds; then the group is
        // disconnected.
        for number in 0..10 {
            self.room.send(&Noise::Noise { number }).await?;
        }
        Ok(self.room.disconnect(Close::new(4000, "enough")).await?)
    }

    async fn event(&mut self, _: &mut Context<Noise>, event: Shared<Noise>) -> Result<()> {
        let Noise::Noise { number } = &*event;
        self.recorder.record(format!("received {number}"));
        Ok(())
    }

    async fn disconnect(self, close: Close) {
        self.recorder.record(format!("left with {}", close.code));
    }
}

#[tokio::test]
async fn disconnecting_a_group_precedes_queued_events_and_reaches_a_full_mailbox() {
    let recorder = Recorder::default();
    let channels = Channels::new(InMemoryChannelLayer::with_mailbox_capacity(4));
    let app = Member::application(&channels)
        .with(Provide(recorder.clone()))
        .boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(ana.status().await, 101);

    ana.send("speak").await;

    assert_eq!(ana.receive_close().await, Close::new(4000, "enough"));
    ana.disconnect().await.unwrap();
    assert_eq!(recorder.entries(), ["left with 4000"]);
    assert_eq!(channels.dropped(), 6);
}

/// A consumer that records its messages, and disconnects its group at one of them.
struct Quitter {
    recorder: Recorder,
    room: Group<Noise>,
}

impl WebSocketConsumer for Quitter {
    type Input = String;
    type Event = Noise;

    async fn connect(handshake: &mut Handshake<Noise>) -> Result<Self, Rejection> {
        Ok(Self {
            recorder: handshake.state::<Recorder>()?.clone(),
            room: handshake.join("room").await?,
        })
    }

    async fn receive(&mut self, _: &mut Context<Noise>, text: String) -> Result<()> {
        if text == "quit" {
            self.room.disconnect(4000).await?;
        }
        self.recorder.record(text);
        Ok(())
    }

    async fn event(&mut self, _: &mut Context<Noise>, _: Shared<Noise>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_message_is_handled_after_a_disconnect_in_the_middle_of_a_burst() {
    let recorder = Recorder::default();
    let app = Quitter::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .boxed();
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let mut client = connect(server.address, "/").await;
    for text in ["1", "2", "3", "quit", "4", "5"] {
        client.feed(tungstenite::Message::text(text)).await.unwrap();
    }

    client.flush().await.unwrap();

    let ended = timeout(PATIENCE, client.next()).await.unwrap();
    assert!(matches!(
        ended,
        Some(Ok(tungstenite::Message::Close(Some(close)))) if close.code == CloseCode::from(4000)
    ));
    assert_eq!(recorder.entries(), ["1", "2", "3", "quit"]);
}

#[tokio::test]
async fn python_can_disconnect_a_group_too() {
    let recorder = Recorder::default();
    let channels = Channels::in_memory();
    let app = Member::application(&channels)
        .with(Provide(recorder))
        .boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(ana.status().await, 101);

    // {"type": "seaway.disconnect", "code": 4001} as `msgpack.packb` encodes it.
    let bytes = b"\x82\xa4type\xb1seaway.disconnect\xa4code\xcd\x0f\xa1";
    let room = GroupName::new("room").unwrap();
    let envelope = Envelope::from_bytes(&bytes[..]);
    channels.layer().group_send(&room, envelope).await.unwrap();

    assert_eq!(ana.receive_close().await.code, 4001);
}

#[tokio::test]
async fn one_consumer_can_be_disconnected_by_its_channel() {
    let channels = Channels::in_memory();
    let app = Named::application(&channels).boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/"));
    let mut bo = WebSocketCommunicator::open(&app, Request::get("/"));
    let name = seaway::ChannelName::new(ana.receive_text().await).unwrap();
    bo.receive_text().await;

    channels.disconnect(&name, 4002).await.unwrap();

    assert_eq!(ana.receive_close().await.code, 4002);
    bo.send("still here").await;
    assert_eq!(bo.receive_text().await, "still here");
    let error = channels.disconnect(&name, 1006).await.unwrap_err();
    assert!(
        error.to_string().contains("cannot carry the code 1006"),
        "{error}"
    );
}

/// A consumer that sends its channel name.
struct Named;

impl WebSocketConsumer for Named {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(ctx.channel().as_str()).await?)
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

/// A consumer whose hook never returns.
struct Stuck {
    recorder: Recorder,
}

impl WebSocketConsumer for Stuck {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        handshake.join("stuck").await?;
        let recorder = handshake.state::<Recorder>()?.clone();
        Ok(Self { recorder })
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        self.recorder.record("busy");
        std::future::pending().await
    }

    async fn disconnect(self, close: Close) {
        self.recorder.record(format!("left with {}", close.code));
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_hook_does_not_delay_a_disconnect() {
    let recorder = Recorder::default();
    let channels = Channels::in_memory();
    let app = Stuck::application(&channels)
        .with(Provide(recorder.clone()))
        .boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(ana.status().await, 101);
    ana.send("go").await;
    recorder.wait_for(1).await;

    let group = channels.group::<seaway::NoEvent>("stuck").unwrap();
    group.disconnect(4001).await.unwrap();

    assert_eq!(ana.receive_close().await.code, 4001);
    ana.drop_connection().await.unwrap();
    assert_eq!(recorder.entries(), ["busy", "left with 4001"]);
}

#[tokio::test]
async fn a_hook_that_runs_longer_than_the_drain_is_dropped_and_disconnect_runs() {
    let recorder = Recorder::default();
    let app = Stuck::application(&Channels::in_memory()).with(Provide(recorder.clone()));
    let app = ProtocolTypeRouter::new().websocket(app);
    let short = Duration::from_millis(50);
    let server = Server::configured(app, |server| server.drain_timeout(short)).await;
    let mut ana = connect(server.address, "/").await;
    send_text(&mut ana, "go").await;
    recorder.wait_for(1).await;

    ended(server.stop()).await;
    assert_eq!(recorder.entries(), ["busy", "left with 1006"]);
    let closing = async { while let Some(Ok(_)) = ana.next().await {} };
    timeout(PATIENCE, closing).await.expect("the line is cut");
}

#[tokio::test]
async fn a_client_that_hangs_up_behind_more_than_is_read_ahead_starts_the_grace_period() {
    const MESSAGES: usize = 200;
    for (close, expected) in [(None, "left with 1006"), (Some(4000), "left with 4000")] {
        let recorder = Recorder::default();
        let short = WebSocketConfig::new().grace(Duration::from_millis(10));
        let app = Stuck::application(&Channels::in_memory())
            .with(Provide(recorder.clone()))
            .with(short);
        let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
        let mut ana = connect(server.address, "/").await;
        for _ in 0..MESSAGES {
            send_text(&mut ana, "go").await;
        }
        recorder.wait_for(1).await;

        if let Some(code) = close {
            let close = CloseFrame {
                code: CloseCode::from(code),
                reason: "".into(),
            };
            ana.send(tungstenite::Message::Close(Some(close)))
                .await
                .unwrap();
        }
        drop(ana);

        assert_eq!(recorder.wait_for(2).await, ["busy", expected]);
    }
}

/// A consumer with two timers, the first of which is faster than its hook.
struct Clock;

impl WebSocketConsumer for Clock {
    type Input = String;
    type Event = seaway::NoEvent;
    const TIMERS: &'static [seaway::Timer] = &[
        seaway::Timer::every("fast", Duration::from_millis(1)),
        seaway::Timer::every("slow", Duration::from_secs(10)),
    ];

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }

    async fn timer(&mut self, ctx: &mut Context, timer: &seaway::Timer) -> Result<()> {
        match timer.name() {
            "slow" => Ok(ctx.send("ten seconds").await?),
            _ => {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok(())
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn timers_repeat_and_alternate_with_messages() {
    let app = Clock::application(&Channels::in_memory()).boxed();
    let mut ana = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(ana.status().await, 101);
    let start = tokio::time::Instant::now();

    ana.send("in between").await;
    assert_eq!(ana.receive_text().await, "in between");
    assert!(start.elapsed() < Duration::from_secs(1));

    tokio::time::advance(Duration::from_secs(9)).await;
    for _ in 0..2 {
        assert_eq!(ana.receive_text().await, "ten seconds");
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    assert!(start.elapsed() >= Duration::from_secs(20));
}

/// The language that a client requests.
struct Language(String);

impl FromScope<WebSocket> for Language {
    async fn from_scope(scope: &Scope<WebSocket>) -> Result<Self, Rejection> {
        let cookies = Cookies::of(&scope.head.headers);
        let language = cookies.get("lang").map(str::to_owned);
        language.map(Self).ok_or(Rejection::new(
            StatusCode::BAD_REQUEST,
            "say which language you read",
        ))
    }
}

struct Greeter;

impl WebSocketConsumer for Greeter {
    type Input = Message;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let Language(language) = handshake.extract().await?;
        let value = language.parse().expect("letters");
        handshake
            .response_headers_mut()
            .insert("content-language", value);
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context, _: Message) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_extractor_returns_a_value_or_a_rejection() {
    let app = Greeter::application(&Channels::in_memory()).boxed();

    let request = Request::get("/").header("cookie", "theme=dark; lang=da");
    let mut ana = WebSocketCommunicator::open(&app, request);
    assert_eq!(ana.response().await.headers()["content-language"], "da");

    let mut bo = WebSocketCommunicator::open(&app, Request::get("/"));
    let rejected = bo.response().await;
    assert_eq!(
        (rejected.status().as_u16(), &**rejected.body()),
        (400, "say which language you read")
    );
}

#[tokio::test]
async fn a_failed_bind_names_the_address() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let app = || seaway::routing::ProtocolTypeRouter::new().websocket(crate::support::echo());

    let error = seaway::serve(address, app()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
    let error = seaway::serve("nowhere", app()).await.unwrap_err();
    assert!(
        format!("{error:?}").starts_with("cannot listen on nowhere: write it as `host:port`: "),
        "{error:?}"
    );
}
