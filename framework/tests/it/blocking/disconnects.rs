//! Tests of hooks that are still running when their client has left.

use super::command_consumer::{Office, with_one_thread};
use crate::{
    half_closed::HANDSHAKE,
    log::Log,
    support::{
        PATIENCE, Server, connect, cut_short, ended, eventually, next_close, next_text, send_text,
    },
};
use futures_util::StreamExt;
use http::Request;
use seaway::{
    ApplicationExt, Close, protocol::WebSocketConfig, routing::ProtocolTypeRouter,
    testing::WebSocketCommunicator,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const NO_TIME: Duration = Duration::from_millis(20);

fn impatient(office: &Office) -> ProtocolTypeRouter {
    let config = WebSocketConfig::new().grace(NO_TIME);
    ProtocolTypeRouter::new().websocket(office.app.clone().with(config))
}

#[tokio::test]
async fn disconnect_runs_after_the_running_hook_and_then_the_connection_permit_is_released() {
    let office = Office::of(4);
    let server = Server::configured(impatient(&office), |server| server.max_connections(1)).await;
    let mut client = connect(server.address, "/").await;
    assert_eq!(next_text(&mut client).await, "welcome");
    send_text(&mut client, r#""wait""#).await;
    office.recorder.wait_for(2).await;

    client.close(None).await.unwrap();
    // The closing handshake is complete, and then the stream ends: only the hook remains.
    while client.next().await.is_some() {}
    let address = server.address;
    let next = tokio::spawn(async move { connect(address, "/").await });
    let waited = timeout(NO_TIME * 5, office.recorder.wait_for(3)).await;
    assert!(waited.is_err(), "{:?}", office.recorder.entries());
    assert!(!next.is_finished(), "the connection still counts");
    office.gate.open();

    let _next = timeout(PATIENCE, next).await.unwrap().unwrap();
    let entries = office.recorder.wait_for(5).await;
    let expected = ["connect", "waiting", "waited", "disconnect 1005", "connect"];
    assert_eq!(entries, expected);
}

#[tokio::test]
async fn a_server_that_stops_closes_the_websocket_and_waits_for_the_hook() {
    let office = Office::of(1);
    let server = Server::start(impatient(&office)).await;
    let mut client = connect(server.address, "/").await;
    assert_eq!(next_text(&mut client).await, "welcome");
    send_text(&mut client, r#""wait""#).await;
    office.recorder.wait_for(2).await;

    let stopped = server.stop();
    assert_eq!(next_close(&mut client).await.code, Close::AWAY);
    while client.next().await.is_some() {}
    assert!(!stopped.is_finished());
    office.gate.open();

    let outcome = timeout(PATIENCE, stopped).await.expect("the server ends");
    outcome.unwrap().unwrap();
    let expected = ["connect", "waiting", "waited", "disconnect 1001"];
    assert_eq!(office.recorder.entries(), expected);
}

#[tokio::test]
async fn a_server_waits_for_a_hook_no_longer_than_the_drain_timeout() {
    let office = Office::of(1);
    let server =
        Server::configured(impatient(&office), |server| server.drain_timeout(NO_TIME)).await;
    let mut client = connect(server.address, "/").await;
    send_text(&mut client, r#""wait""#).await;
    office.recorder.wait_for(2).await;

    let outcome = timeout(PATIENCE, server.stop()).await;

    outcome.expect("the server ends").unwrap().unwrap();
    assert_eq!(office.recorder.entries(), ["connect", "waiting"]);
    while let Some(Ok(_)) = client.next().await {}
    office.gate.open();
    // The process continues here, and so does the hook.
    let entries = office.recorder.wait_for(4).await;
    assert_eq!(entries[3], "disconnect 1006");
}

#[tokio::test]
async fn a_consumer_that_connects_after_the_timeout_disconnects_with_1006() {
    let office = Office::of(1);
    let config = WebSocketConfig::new().connect_timeout(NO_TIME);
    let app = office.app.clone().with(config).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/?how=slowly"));

    assert_eq!(client.status().await, 503);
    office.gate.open();

    client.drop_connection().await.unwrap();
    assert_eq!(office.recorder.entries(), ["connect", "disconnect 1006"]);
}

#[tokio::test]
async fn a_consumer_that_connects_after_its_client_has_left_disconnects_with_1006() {
    let office = Office::of(1);
    let client = WebSocketCommunicator::open(&office.app, Request::get("/?how=slowly"));
    office.recorder.wait_for(1).await;

    drop(client);
    office.gate.open();

    let entries = office.recorder.wait_for(2).await;
    assert_eq!(entries, ["connect", "disconnect 1006"]);
}

#[tokio::test]
async fn a_consumer_whose_future_is_dropped_during_connect_disconnects_with_1006() {
    let (office, end) = (Office::of(1), Arc::default());
    let app = cut_short(&office.app, &end);
    let client = WebSocketCommunicator::open(&app, Request::get("/?how=slowly"));
    office.recorder.wait_for(1).await;

    end.notify_one();
    client.drop_connection().await.unwrap();
    office.gate.open();

    let entries = office.recorder.wait_for(2).await;
    assert_eq!(entries, ["connect", "disconnect 1006"]);
}

#[tokio::test]
async fn a_consumer_whose_future_is_dropped_disconnects_once_after_its_hook() {
    let (office, end) = (Office::of(1), Arc::default());
    let app = cut_short(&office.app, &end);
    let mut client = super::command_consumer::enter(&app).await;
    client.send(r#""wait""#).await;
    office.recorder.wait_for(2).await;

    end.notify_one();
    client.drop_connection().await.unwrap();
    office.gate.open();

    let entries = office.recorder.wait_for(4).await;
    assert_eq!(entries[2..], ["waited", "disconnect 1006"]);
}

#[tokio::test]
async fn a_consumer_whose_hook_panics_after_its_client_left_disconnects_whatever_the_panic_holds() {
    let (office, end) = (Office::of(1), Arc::default());
    let app = cut_short(&office.app, &end);
    let mut client = super::command_consumer::enter(&app).await;
    client.send(r#""bomb""#).await;
    office.recorder.wait_for(2).await;

    end.notify_one();
    client.drop_connection().await.unwrap();
    office.gate.open();

    let entries = office.recorder.wait_for(3).await;
    assert_eq!(entries[2..], ["disconnect 1006"]);
}

#[tokio::test]
async fn a_hook_that_waits_for_the_pool_is_skipped_if_its_client_leaves() {
    skips_a_waiting_hook(Office::of(1), 0).await;
}

#[test]
fn a_hook_that_waits_for_a_thread_is_skipped_if_its_client_leaves() {
    with_one_thread(skips_a_waiting_hook(Office::of(8), 6));
}

/// Closes the second of two clients while its hook waits behind that of the first; `free` permits
/// are left then.
async fn skips_a_waiting_hook(office: Office, free: usize) {
    let app = office.app.clone();
    let app = app.with(WebSocketConfig::new().grace(NO_TIME)).boxed();
    let mut first = super::command_consumer::enter(&app).await;
    let mut second = super::command_consumer::enter(&app).await;
    first.send(r#""wait""#).await;
    office.recorder.wait_for(3).await;

    second.send(r#"{"note": "never"}"#).await;
    eventually(|| (office.pool.free() == free).then_some(())).await;
    let leaving = tokio::spawn(second.close(1000));
    let waited = timeout(NO_TIME * 5, office.recorder.wait_for(4)).await;
    assert!(waited.is_err(), "{:?}", office.recorder.entries());
    office.gate.open();

    ended(leaving).await;
    let entries = office.recorder.wait_for(5).await;
    assert_eq!(entries[3..], ["waited", "disconnect 1000"]);
}

#[test]
fn a_connect_that_waits_for_a_thread_is_skipped_if_it_times_out() {
    with_one_thread(async {
        let office = Office::of(8);
        let mut first = office.enter().await;
        first.send(r#""wait""#).await;
        office.recorder.wait_for(2).await;

        let config = WebSocketConfig::new().connect_timeout(NO_TIME);
        let app = office.app.clone().with(config).boxed();
        let mut second = WebSocketCommunicator::open(&app, Request::get("/"));
        assert_eq!(second.status().await, 503);
        assert_eq!(office.pool.free(), 6, "both wait");
        office.gate.open();

        eventually(|| (office.pool.free() == 8).then_some(())).await;
        assert_eq!(office.recorder.entries(), ["connect", "waiting", "waited"]);
    });
}

#[tokio::test]
async fn a_connect_that_times_out_while_it_waits_for_the_pool_says_so() {
    let log = Log::listen();
    let office = Office::of(1);
    let mut first = office.enter().await;
    first.send(r#""wait""#).await;
    office.recorder.wait_for(2).await;

    let config = WebSocketConfig::new().connect_timeout(NO_TIME);
    let app = office.app.clone().with(config).boxed();
    let mut second = WebSocketCommunicator::open(&app, Request::get("/"));
    assert_eq!(second.status().await, 503);
    office.gate.open();

    let line = log.line("failed to serve a client");
    assert!(line.contains("waited for the blocking pool"), "{line}");
}

#[tokio::test]
async fn a_client_that_half_closes_while_it_waits_for_the_pool_does_not_connect() {
    let office = Office::of(1);
    let server = Server::start(ProtocolTypeRouter::new().websocket(office.app.clone())).await;
    let mut first = connect(server.address, "/").await;
    assert_eq!(next_text(&mut first).await, "welcome");
    send_text(&mut first, r#""wait""#).await;
    office.recorder.wait_for(2).await;

    let mut second = TcpStream::connect(server.address).await.unwrap();
    second.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    second.shutdown().await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE / 2, second.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    assert!(response.starts_with("HTTP/1.1 499"), "{response}");
    office.gate.open();
    send_text(&mut first, r#"{"note": "last"}"#).await;

    let entries = office.recorder.wait_for(4).await;
    assert_eq!(entries, ["connect", "waiting", "waited", "last"]);
}
