//! Tests of the metrics of a whole process.

use std::collections::HashMap;

use seaway_tests::support::{
    Redis, Server, raw,
    wait::{DEADLINE, until},
};

/// Returns the value of a metric, 0 if it is not recorded yet.
fn value(metrics: &HashMap<String, f64>, name: &str) -> f64 {
    metrics.get(name).copied().unwrap_or_default()
}

/// Waits until these metrics meet a condition.
async fn measures(server: &Server, what: &str, condition: impl Fn(&HashMap<String, f64>) -> bool) {
    until(what, DEADLINE, async || {
        condition(&server.metrics().await).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_bytes_of_websockets_are_counted_with_the_heads_of_their_frames() {
    const RECEIVED: &str = r#"seaway_received_bytes_total{protocol="websocket"}"#;
    const SENT: &str = r#"seaway_sent_bytes_total{protocol="websocket"}"#;
    let arena = Server::arena().await;
    let mut client = arena.client("/ws/echo").await;
    let before = arena.metrics().await;

    client.echoes(&"x".repeat(1_000)).await;

    measures(&arena, "the bytes of two frames", |now| {
        let [received, sent] = [RECEIVED, SENT].map(|name| value(now, name) - value(&before, name));
        // RFC 6455, 5.2: 4 bytes, and the mask of the client.
        (received, sent) == (1_008.0, 1_004.0)
    })
    .await;
}

#[tokio::test]
async fn the_bytes_of_http_are_counted() {
    const RECEIVED: &str = r#"seaway_received_bytes_total{protocol="http"}"#;
    const SENT: &str = r#"seaway_sent_bytes_total{protocol="http"}"#;
    const SIZE: f64 = 100_000.0;
    let arena = Server::arena().await;
    let before = arena.metrics().await;

    let body = "x".repeat(SIZE as usize);
    raw::ask(arena.port(), "POST /body", &[], &body).await;

    measures(&arena, "the bytes of a request and its response", |now| {
        let counts = [RECEIVED, SENT].map(|name| value(now, name) - value(&before, name));
        // Their heads, and the requests for the metrics, are in it too.
        counts
            .iter()
            .all(|bytes| (SIZE..2.0 * SIZE).contains(bytes))
    })
    .await;
}

#[tokio::test]
async fn subscriptions_to_redis_are_gauged_and_reconnections_counted() {
    const SUBSCRIPTIONS: &str = "seaway_redis_subscriptions";
    const RECONNECTS: &str = r#"seaway_redis_reconnects_total{purpose="subscriptions"}"#;
    const DOWN: &str = r#"seaway_redis_down_milliseconds_total{purpose="subscriptions"}"#;
    let mut redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let before = arena.metrics().await;
    assert_eq!(value(&before, RECONNECTS), 0.0);
    let subscribed =
        |now: &HashMap<String, f64>| value(now, SUBSCRIPTIONS) - value(&before, SUBSCRIPTIONS);

    let members = [
        arena.client("/ws/room/1").await,
        arena.client("/ws/room/1").await,
        arena.client("/ws/room/2").await,
    ];
    measures(&arena, "two subscriptions", |now| subscribed(now) == 2.0).await;
    drop(members);
    measures(&arena, "no subscription", |now| subscribed(now) == 0.0).await;
    redis.stop();
    redis.start().await;

    measures(&arena, "one reconnection", |now| {
        value(now, RECONNECTS) == 1.0 && value(now, DOWN) > 0.0
    })
    .await;
}

#[tokio::test]
async fn a_queue_to_a_client_that_fills_up_is_measured() {
    const SAMPLES: &str = "seaway_websocket_queue_percent_count";
    let arena = Server::arena_with(&["--policy", "drop-newest"]).await;
    let mut client = arena.client("/ws/echo").await;
    client.echoes("read at once").await;
    assert_eq!(value(&arena.metrics().await, SAMPLES), 0.0);

    // It reads none of the replies.
    let message = "x".repeat(60_000);
    for _ in 0..500 {
        client.send(&message).await;
    }

    measures(&arena, "a full queue", |now| value(now, SAMPLES) > 0.0).await;
}
