//! Tests of streamed responses: events, chunks, backpressure.

use crate::{
    metrics::Counters,
    support::eventually,
    test_consumer::{TestState, asking},
};
use http::Method;
use seaway::{
    ApplicationExt, Channels, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent,
    Rejection, Result, testing::HttpCommunicator,
};
use std::time::Duration;

#[tokio::test]
async fn events_reach_a_stream_with_name_id_and_lines() {
    let state = TestState::new();
    let mut client = state.open("events");
    let response = client.response().await;
    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
    ] {
        assert_eq!(response.headers()[name], value);
    }

    state.publish(7, "ahoy\nthere").await;
    state.publish(8, "bye").await;

    let event = client.receive_event().await;
    assert_eq!((event.name.as_str(), event.id.as_str()), ("said", "7"));
    assert_eq!(event.data, "ahoy\nthere");
    assert_eq!(client.receive_event().await.id, "8");
    client.drop_connection().await.unwrap();
    assert_eq!(
        state.recorder.entries(),
        ["connect", "disconnect ClientLeft"]
    );
    assert_eq!(state.members(), 0);
}

#[tokio::test]
async fn open_event_streams_are_gauged() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let state = TestState::new();
    let mut client = state.open("events");
    assert_eq!(client.status().await, 200);
    let open = || counters.gauge("seaway_event_streams_open");

    assert_eq!(open(), 1.0);
    client.drop_connection().await.unwrap();

    assert_eq!(open(), 0.0);
}

#[tokio::test]
async fn a_reconnecting_client_sends_the_last_event_id() {
    let state = TestState::new();
    let mut request = asking("events", "");
    let id = "№ 7".parse().unwrap();
    request.headers_mut().insert("last-event-id", id);

    let mut client = HttpCommunicator::open(&state.app(), request);

    assert_eq!(client.receive_event().await.data, "welcome back after № 7");
}

#[tokio::test(start_paused = true)]
async fn an_idle_event_stream_gets_a_comment_every_15_seconds() {
    let state = TestState::new();
    let mut client = state.open("silent stream");
    assert_eq!(client.status().await, 200);

    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(14)).await;
        let began = tokio::time::Instant::now();
        assert_eq!(client.receive().await.unwrap(), ":\n\n");
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}

/// A consumer that sends one event after an hour, and a comment every `SECONDS`.
struct Mute<const SECONDS: u64>;

impl<const SECONDS: u64> HttpConsumer for Mute<SECONDS> {
    type Event = NoEvent;

    const METHODS: &'static [Method] = &[Method::GET];
    const KEEP_ALIVE: Duration = Duration::from_secs(SECONDS);

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        events.send("ahoy").await?;
        Ok(events.end())
    }
}

#[tokio::test(start_paused = true)]
async fn keep_alive_comments_can_be_disabled() {
    let app = Mute::<{ u64::MAX }>::application(&Channels::in_memory()).boxed();
    let request = http::Request::get("/").body("").unwrap();
    let mut client = HttpCommunicator::open(&app, request);
    assert_eq!(client.status().await, 200);

    tokio::time::sleep(Duration::from_secs(3599)).await;

    assert_eq!(client.receive().await.unwrap(), "data: ahoy\n\n");
}

#[tokio::test]
async fn a_consumer_accepts_the_methods_that_it_declares() {
    let app = Mute::<1>::application(&Channels::in_memory()).boxed();
    for (method, status) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405)] {
        let request = http::Request::builder().method(method).uri("/");
        let mut client = HttpCommunicator::open(&app, request.body("").unwrap());

        let response = client.response().await;

        assert_eq!(response.status(), status);
        if status == 405 {
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
    }
}

#[test]
#[should_panic(expected = "KEEP_ALIVE is zero")]
fn a_keep_alive_interval_of_zero_panics() {
    _ = Mute::<0>::application(&Channels::in_memory());
}

#[tokio::test]
async fn an_event_is_encoded_once_and_shared_by_members() {
    let state = TestState::new();
    let (mut ana, mut bo) = (state.open("events"), state.open("events"));
    assert_eq!(
        (ana.status().await, bo.status().await),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );

    state.publish(1, "ahoy").await;

    let (one, two) = (ana.receive().await.unwrap(), bo.receive().await.unwrap());
    assert_eq!(one, "data: ahoy\nevent: said\nid: 1\n\n");
    assert_eq!(one.as_ptr(), two.as_ptr());
}

#[tokio::test]
async fn a_streamed_response_arrives_complete() {
    let state = TestState::new();
    let mut client = state.open("numbers");
    let mut text = String::new();

    while let Some(piece) = client.receive().await {
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }

    let numbers: String = (0..1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(text, numbers);
}

#[tokio::test]
async fn a_response_that_fails_half_way_is_aborted() {
    let state = TestState::new();
    let mut client = state.open("fail after one chunk");
    assert_eq!(client.receive().await.unwrap(), "the first half");

    client.receive_aborted().await;

    assert!(
        client.drop_connection().await.is_err(),
        "the error is for the log"
    );
    assert_eq!(
        state.recorder.entries(),
        ["connect", "disconnect Failed(User)"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_makes_the_handler_wait() {
    let state = TestState::new();
    let mut client = state.open("endless stream");
    let sent = || {
        let entries = state.recorder.entries();
        entries.iter().filter(|entry| *entry == "sent").count()
    };
    assert_eq!(client.status().await, 200);

    for read in 0..5 {
        // Paused time advances only once all tasks are idle.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(sent(), read + 1, "one chunk fills the buffer");
        assert_eq!(client.receive().await.unwrap().len(), 10_000);
    }

    client.drop_connection().await.unwrap();
    let entries = eventually(|| {
        let entries = state.recorder.entries();
        entries
            .last()
            .is_some_and(|last| last == "disconnect ClientLeft")
            .then_some(entries)
    });
    entries.await;
}
