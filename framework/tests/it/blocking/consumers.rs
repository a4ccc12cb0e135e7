//! Tests of the lifecycle of blocking consumers, which have the guarantees of async ones.

use super::command_consumer::{Clerk, Office};
use crate::support::{Recorder, Server, connect, next_text, send_text};
use http::Request;
use seaway::{
    ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BlockingPool, Channels,
    Close, NoEvent, Rejection, Result, Timer, middleware::Provide, protocol::WebSocketConfig,
    testing::WebSocketCommunicator,
};
use std::time::Duration;

#[tokio::test]
async fn members_of_a_group_receive_their_own_and_each_others_events() {
    let office = Office::of(2);
    let (mut ana, mut bo) = (office.enter().await, office.enter().await);

    ana.send(r#"{"say": "ahoy"}"#).await;

    let expected = r#"{"type":"said","text":"ahoy"}"#;
    assert_eq!(ana.receive_text().await, expected);
    assert_eq!(bo.receive_text().await, expected);
}

#[tokio::test]
async fn a_consumer_that_left_a_group_receives_no_events_and_remains_connected() {
    let office = Office::of(2);
    let (mut ana, mut bo) = (office.enter().await, office.enter().await);

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
    let office = Office::of(8);
    let mut client = office.enter().await;

    for number in 0..10 {
        client.send(format!(r#"{{"note": "{number}"}}"#)).await;
    }
    client.close(1001).await.unwrap();

    let entries = office.recorder.entries();
    let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(entries[0], "connect");
    assert_eq!(entries[1..11], expected);
    assert_eq!(entries[11..], ["disconnect 1001"]);
}

#[tokio::test]
async fn the_scope_is_available_in_connect_and_in_hooks() {
    let office = Office::of(1);
    let request = Request::get("/?name=ana").header("sec-websocket-protocol", "clerk");
    let mut client = WebSocketCommunicator::open(&office.app, request);

    let response = client.response().await;
    assert_eq!(response.headers()["sec-websocket-protocol"], "clerk");
    client.receive_text().await;
    client.send(r#""visitor""#).await;

    assert_eq!(client.receive_text().await, "ana");
}

#[tokio::test]
async fn connect_can_reject_and_a_panic_in_it_responds_500() {
    let office = Office::of(1);
    for (how, status) in [("reject", 403), ("panic", 500)] {
        let request = Request::get(format!("/?how={how}"));
        let mut client = WebSocketCommunicator::open(&office.app, request);

        assert_eq!(client.status().await, status);
    }

    assert_eq!(office.recorder.entries(), ["connect", "connect"]);
}

#[tokio::test]
async fn an_error_a_panic_and_malformed_input_close_one_connection_alone() {
    let office = Office::of(2);
    let mut other = office.enter().await;
    for (order, code) in [
        (r#""fail""#, Close::ERROR),
        (r#""panic""#, Close::ERROR),
        ("no order", Close::INVALID),
        (r#"{"close": 4001}"#, 4001),
    ] {
        let mut client = office.enter().await;
        client.send(order).await;

        assert_eq!(client.receive_close().await.code, code, "{order}");
        _ = client.drop_connection().await;
        let last = office.recorder.entries().pop();
        assert_eq!(last, Some(format!("disconnect {code}")), "{order}");
    }

    other.send(r#"{"flood": 1}"#).await;
    assert_eq!(other.receive_text().await, "0");
}

#[tokio::test]
async fn a_hook_that_sends_more_than_the_send_buffer_holds_blocks_only_its_own_thread() {
    let office = Office::of(2);
    let app = office.app.clone();
    let app = app.with(WebSocketConfig::new().send_buffer(256)).boxed();
    let mut client = super::command_consumer::enter(&app).await;

    client.send(r#"{"flood": 1000}"#).await;

    for number in 0..1000 {
        assert_eq!(client.receive_text().await, number.to_string());
    }
}

#[tokio::test]
async fn an_idle_connection_holds_no_thread() {
    let office = Office::of(2);
    let mut clients = Vec::new();

    for _ in 0..20 {
        clients.push(office.enter().await);
    }

    // Hooks that have sent their welcome have released their thread, or are about to.
    crate::support::eventually(|| (office.pool.free() == 2).then_some(())).await;
}

#[tokio::test(start_paused = true)]
async fn timers_run_between_other_hooks() {
    struct Clock;
    impl BlockingConsumer for Clock {
        type Input = String;
        type Event = NoEvent;
        const TIMERS: &'static [Timer] = &[Timer::every("minute", Duration::from_secs(60))];

        fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
            Ok(Clock)
        }
        fn receive(&mut self, _: &mut BlockingContext, _: String) -> Result<()> {
            Ok(())
        }
        fn timer(&mut self, ctx: &mut BlockingContext, timer: &Timer) -> Result<()> {
            Ok(ctx.send(timer.name())?)
        }
    }
    let app = Clock::application(&Channels::in_memory())
        .pool(&BlockingPool::new(1))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(client.status().await, 101);

    tokio::time::advance(Duration::from_secs(61)).await;

    assert_eq!(client.receive_text().await, "minute");
}

#[tokio::test]
async fn a_blocking_consumer_mounts_inside_an_axum_app() {
    let office = Office::of(1);
    let clerk = Clerk::application(&Channels::in_memory()).pool(&office.pool);
    let provided = seaway::routing::ProtocolTypeRouter::new().websocket(
        clerk
            .with(Provide(Recorder::default()))
            .with(Provide(office.gate.clone())),
    );
    let app = axum::Router::new()
        .route_service("/alone", Echo::application(&Channels::in_memory()))
        .route_service("/clerk", provided);
    let server = Server::start(app).await;

    let mut alone = connect(server.address, "/alone").await;
    send_text(&mut alone, "ahoy").await;
    assert_eq!(next_text(&mut alone).await, "ahoy");
    let mut clerk = connect(server.address, "/clerk").await;
    assert_eq!(next_text(&mut clerk).await, "welcome");
}

struct Echo;

impl BlockingConsumer for Echo {
    type Input = String;
    type Event = NoEvent;

    fn connect(_: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Echo)
    }
    fn receive(&mut self, ctx: &mut BlockingContext, text: String) -> Result<()> {
        Ok(ctx.send(text)?)
    }
}
