//! How a stream ends.

use super::{Client, Closed, RoomEvent, Site};
use seaway::{Close, Group, protocol::WebSocketConfig};
use std::time::Duration;

#[tokio::test]
async fn the_close_is_the_last_event_and_a_closed_connection_is_unknown() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    assert_eq!(ana.post("leave").await.status(), 204);

    let expected = Closed {
        code: 4000,
        reason: "as you wish".into(),
    };
    assert_eq!(ana.receive_close().await, expected);
    assert_eq!(site.recorder.wait_for(1).await, ["4000 as you wish"]);
    tokio::time::pause();
    assert_eq!(ana.post("late").await.status(), 404);
}

#[tokio::test]
async fn a_client_that_leaves_its_stream_is_disconnected() {
    let site = Site::new();
    let ana = Client::open(&site.process()).await;

    ana.stream.drop_connection().await.unwrap();

    assert_eq!(site.recorder.wait_for(1).await, ["1006 "]);
}

#[tokio::test]
async fn a_binary_message_closes_the_stream_that_cannot_carry_it() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    ana.post("bytes").await;

    assert_eq!(ana.receive_close().await.code, Close::UNSUPPORTED);
}

#[tokio::test]
async fn a_remote_disconnect_reaches_a_stream() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let room: Group<RoomEvent> = site.channels.group("room.lobby").unwrap();

    room.disconnect(Close::new(4001, "kicked")).await.unwrap();

    let expected = Closed {
        code: 4001,
        reason: "kicked".into(),
    };
    assert_eq!(ana.receive_close().await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_is_closed_as_an_idle_websocket_is() {
    let limit = Duration::from_secs(60);
    let site = Site::with(WebSocketConfig::new().idle_timeout(limit));
    let mut ana = Client::open(&site.process()).await;
    tokio::time::sleep(limit / 2).await;
    ana.post("x").await;
    assert_eq!(ana.receive().await, "x");
    let began = tokio::time::Instant::now();
    tokio::time::sleep(limit - Duration::from_secs(1)).await;

    let close = ana.receive_close().await;

    let waited = began.elapsed().as_secs();
    assert_eq!((close.code, waited), (Close::AWAY, limit.as_secs()));
}
