//! Tests of the notifications of receivers that may have missed events.

use crate::{
    auth_app::Site,
    support::{PATIENCE, Recorder, eventually},
};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Event, Group, Handshake, HttpConsumer, HttpContext,
    HttpHandshake, HttpResponse, Missed, Rejection, Result, Shared, WebSocketConsumer,
    channels::{ChannelLayer, InMemoryChannelLayer},
    consumer, http,
    middleware::Provide,
    testing::{HttpCommunicator, WebSocketCommunicator},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

#[derive(Event)]
enum News {
    Item { number: u32 },
}

/// A gate that blocks the first event until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<Notify>);

struct Slow {
    gate: Gate,
    recorder: Recorder,
    is_patient: bool,
}

impl WebSocketConsumer for Slow {
    type Input = String;
    type Event = News;

    async fn connect(handshake: &mut Handshake<News>) -> Result<Self, Rejection> {
        handshake.join("news").await?;
        Ok(Self {
            gate: handshake.state::<Gate>()?.clone(),
            recorder: handshake.state::<Recorder>()?.clone(),
            is_patient: handshake.raw_query("patient").is_some(),
        })
    }

    async fn receive(&mut self, _: &mut Context<News>, _: String) -> Result<()> {
        Ok(())
    }

    async fn event(&mut self, ctx: &mut Context<News>, event: Shared<News>) -> Result<()> {
        let News::Item { number } = &*event;
        if *number == 0 {
            self.recorder.record("first");
            self.gate.0.notified().await;
        }
        Ok(ctx.send(number.to_string()).await?)
    }

    async fn missed(&mut self, ctx: &mut Context<News>, missed: Missed) -> Result<()> {
        match self.is_patient {
            true => Ok(ctx.send(format!("{missed:?}")).await?),
            false => Err(missed.into()),
        }
    }
}

struct Stage {
    layer: InMemoryChannelLayer,
    channels: Channels,
    gate: Gate,
    recorder: Recorder,
}

impl Stage {
    fn new() -> Self {
        let layer = InMemoryChannelLayer::with_mailbox_capacity(2);
        Self {
            channels: Channels::new(layer.clone()),
            layer,
            gate: Gate::default(),
            recorder: Recorder::default(),
        }
    }

    async fn client(&self, path: &str) -> WebSocketCommunicator {
        let app = Slow::application(&self.channels)
            .with(Provide(self.gate.clone()))
            .with(Provide(self.recorder.clone()))
            .boxed();
        let mut client = WebSocketCommunicator::open(&app, Request::get(path));
        assert_eq!(client.status().await, 101);
        client
    }

    fn news(&self) -> Group<News> {
        self.channels.group("news").unwrap()
    }

    /// Sends more events than fit in the mailbox of a consumer that is busy with the first.
    async fn overflow(&self) {
        self.news().send(&News::Item { number: 0 }).await.unwrap();
        self.recorder.wait_for(1).await;
        for number in 1..=5 {
            self.news().send(&News::Item { number }).await.unwrap();
        }
        self.gate.0.notify_one();
    }
}

#[tokio::test]
async fn a_consumer_is_notified_of_dropped_events_after_the_last_delivered_one() {
    let stage = Stage::new();
    let mut client = stage.client("/?patient").await;

    stage.overflow().await;

    for expected in ["0", "1", "2", "Overflowed { events: 3 }"] {
        assert_eq!(client.receive_text().await, expected);
    }
    stage.news().send(&News::Item { number: 6 }).await.unwrap();
    assert_eq!(client.receive_text().await, "6", "it goes on");
    assert_eq!(stage.channels.dropped(), 3);
    assert_eq!(stage.channels.missed(), 1);
}

#[tokio::test]
async fn a_consumer_that_returns_what_it_missed_as_an_error_closes_with_1013() {
    let stage = Stage::new();
    let mut client = stage.client("/").await;

    stage.overflow().await;

    for _ in 0..3 {
        client.receive_text().await;
    }
    assert_eq!(client.receive_close().await.code, 1013);
}

#[tokio::test]
async fn every_mailbox_of_a_process_gets_the_interruption_in_order_with_its_events() {
    let stage = Stage::new();
    let mut client = stage.client("/?patient").await;

    stage.news().send(&News::Item { number: 1 }).await.unwrap();
    stage.layer.local().interrupted(Duration::from_secs(3));
    assert_eq!(client.receive_text().await, "1");
    assert_eq!(client.receive_text().await, "Interrupted { gap: 3s }");

    stage.news().send(&News::Item { number: 2 }).await.unwrap();
    assert_eq!(client.receive_text().await, "2");
}

/// A consumer with the default handling of missed events.
struct Plain;

impl WebSocketConsumer for Plain {
    type Input = String;
    type Event = News;

    async fn connect(handshake: &mut Handshake<News>) -> Result<Self, Rejection> {
        handshake.join("news").await?;
        Ok(Plain)
    }

    async fn receive(&mut self, ctx: &mut Context<News>, _: String) -> Result<()> {
        for number in 0..5 {
            let event = News::Item { number };
            ctx.channels().group("news")?.send(&event).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn by_default_an_overflow_closes_with_1013_and_an_interruption_is_only_counted() {
    let stage = Stage::new();
    let app = Plain::application(&stage.channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    stage.layer.local().interrupted(Duration::from_secs(3));
    eventually(|| (stage.channels.missed() == 1).then_some(())).await;
    client.send("flood yourself").await;

    let close = client.receive_close().await;
    assert_eq!(close.code, 1013);
    assert!(
        close.reason().contains("3 events were dropped"),
        "{close:?}"
    );
}

/// A consumer written with the macro.
struct Brief;

#[consumer(event = News)]
impl Brief {
    async fn connect(handshake: &mut Handshake<News>) -> Result<Self, Rejection> {
        handshake.join("news").await?;
        Ok(Brief)
    }

    async fn event(&mut self, _: Shared<News>) {}

    async fn missed(&mut self, ctx: &mut Context<News>, missed: Missed) -> Result<()> {
        Ok(ctx.send(missed.to_string()).await?)
    }
}

#[tokio::test]
async fn the_consumer_macro_supports_missed() {
    let stage = Stage::new();
    let app = Brief::application(&stage.channels).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    stage.layer.local().interrupted(Duration::from_secs(3));

    let text = client.receive_text().await;
    assert!(
        text.contains("events may be missing: this process was not subscribed for 3.0 s"),
        "{text}"
    );
}

/// A consumer that waits for one event.
struct Poll;

impl HttpConsumer for Poll {
    type Event = News;

    async fn connect(handshake: &mut HttpHandshake<News>) -> Result<Self, Rejection> {
        handshake.join("news").await?;
        Ok(Poll)
    }

    async fn handle(&mut self, ctx: &mut HttpContext<News>) -> Result<HttpResponse> {
        match ctx.next_event().await? {
            Some(_) => ctx.response("news"),
            None => ctx.response("the server stops"),
        }
    }
}

#[tokio::test]
async fn a_request_that_waits_for_events_gets_503_when_some_may_be_missing() {
    let stage = Stage::new();
    let app = Poll::application(&stage.channels).boxed();
    let request = Request::get("/")
        .body(seaway::protocol::Body::empty())
        .unwrap();
    let asking = HttpCommunicator::request(&app, request);
    let interrupt = async {
        let room = seaway::GroupName::new("news").unwrap();
        eventually(|| (stage.layer.local().members(&room) == 1).then_some(())).await;
        stage.layer.local().interrupted(Duration::from_secs(3));
    };

    let (response, ()) = timeout(PATIENCE, async { tokio::join!(asking, interrupt) })
        .await
        .unwrap();

    assert_eq!(response.unwrap().status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_logout_during_an_interruption_is_noticed_after_it() {
    let site = Site::new();
    let (ana, bo) = (site.log_in("ana").await, site.log_in("bo").await);
    let (mut gone, _) = site.who(&ana).await;
    let mut stream = site.ask("/waiting/stream", &ana);
    assert_eq!(stream.receive_event().await.data, "ana");
    let (mut other, _) = site.who(&bo).await;
    // No event is published, as if it had been while this process was not subscribed.
    site.accounts.ban("ana");

    site.local.interrupted(Duration::from_secs(3));

    let close = timeout(Duration::from_secs(2), gone.receive_close()).await;
    assert_eq!(close.expect("an end").code, 4401);
    let ended = async { while stream.receive().await.is_some() {} };
    timeout(Duration::from_secs(2), ended)
        .await
        .expect("an end");
    other.send("still here").await;
    assert_eq!(other.receive_text().await, "still here");
}

#[tokio::test(start_paused = true)]
async fn a_logout_during_an_interruption_is_noticed_after_it_by_a_watch_that_starts() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    site.accounts.slow_down(true);
    let mut stream = site.ask("/waiting/stream", &ana);
    // `connect` loads the user, and the watch then checks it for the first time.
    site.meanwhile().await;
    site.go_on();
    site.meanwhile().await;

    site.accounts.ban("ana");
    site.local.interrupted(Duration::from_secs(3));
    // The stream takes the notification before the check is complete.
    sleep(Duration::from_secs(1)).await;
    site.accounts.slow_down(false);
    site.go_on();

    assert_eq!(stream.receive_event().await.data, "ana");
    let ended = async { while stream.receive().await.is_some() {} };
    timeout(Duration::from_secs(2), ended)
        .await
        .expect("an end");
}
