//! Rooms meet Python: Django Channels' pub/sub layer and Seaway on one Redis.

use seaway_tests::support::{Python, Redis, Server};
use serde_json::json;

const TEXT: &str = "Grüße aus Århus, 你好 ⚓";

#[tokio::test]
async fn what_python_sends_to_a_group_reaches_a_seaway_consumer() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 1).await;

    let mut python = Python::start("group_send.py", &redis, &["room.harbour"]);
    python.tell(&json!({ "type": "room.message", "text": TEXT }));

    assert_eq!(client.text().await, TEXT);
}

#[tokio::test]
async fn what_a_seaway_group_sends_reaches_a_python_channel() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut python = Python::start("group_listen.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "listening": "room.harbour" }));
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 2).await;

    client.send(TEXT).await;

    assert_eq!(
        python.next().await,
        json!({ "type": "room.message", "text": TEXT })
    );
    assert_eq!(client.text().await, TEXT);
}

#[tokio::test]
async fn a_channels_consumer_and_a_seaway_consumer_share_a_room() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut python = Python::start("consumer.py", &redis, &["room.harbour"]);
    assert_eq!(python.next().await, json!({ "connected": true }));
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 2).await;

    client.send(TEXT).await;
    assert_eq!(python.next().await, json!({ "received": TEXT }));
    assert_eq!(client.text().await, TEXT);

    python.tell(&json!({ "send": "and back" }));
    assert_eq!(python.next().await, json!({ "received": "and back" }));
    assert_eq!(client.text().await, "and back");
}

#[tokio::test]
async fn a_python_event_that_seaway_does_not_know_is_skipped() {
    let redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut client = arena.client("/ws/room/harbour").await;
    redis.until_subscribed("asgi__group__room.harbour", 1).await;

    let mut python = Python::start("group_send.py", &redis, &["room.harbour"]);
    for event in [
        json!({ "type": "room.unheard_of", "text": "?" }),
        json!({ "type": "room.message" }),
        json!({ "type": "room.message", "text": 7 }),
        json!({ "no type": "at all" }),
        json!({ "type": "room.message", "text": "known", "and": ["more", { "than": null }] }),
    ] {
        python.tell(&event);
    }

    assert_eq!(client.text().await, "known");
    client.echoes("still served").await;
}
