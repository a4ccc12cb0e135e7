//! Tests of the limits on what a client sends and how long it stays, over real connections.

use crate::support::{
    Client, Echo, PATIENCE, Server, connect, next, next_close, next_text, send_text,
};
use futures_util::SinkExt;
use seaway::{
    ApplicationExt, Channels, Close, WebSocketConsumer,
    protocol::{RateLimit, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

async fn server(config: WebSocketConfig) -> Server {
    let echo = Echo::application(&Channels::in_memory()).with(config);
    let router = PathRouter::new().route("/", echo);
    Server::start(ProtocolTypeRouter::new().websocket(router)).await
}

async fn flood(client: &mut Client, message: Message, count: usize) {
    for _ in 0..count {
        // The server may close the connection meanwhile.
        _ = client.feed(message.clone()).await;
    }
    _ = client.flush().await;
}

/// Returns the close frame that follows the echoes of what was handled before.
async fn close_after_echoes(client: &mut Client) -> Close {
    loop {
        if let Message::Close(Some(frame)) = next(client).await {
            return Close::new(frame.code.into(), frame.reason.as_str());
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_too_fast_is_slowed_down() {
    let limit = RateLimit::frames(100).burst(Duration::from_millis(100));
    let server = server(WebSocketConfig::new().rate_limit(limit)).await;
    let mut fast = connect(server.address, "/").await;
    let mut other = connect(server.address, "/").await;
    let start = Instant::now();

    flood(&mut fast, Message::text("x"), 60).await;
    send_text(&mut other, "ahoy").await;

    assert_eq!(next_text(&mut other).await, "ahoy");
    for _ in 0..60 {
        assert_eq!(next_text(&mut fast).await, "x");
    }
    // 10 at once, and 50 at the rate of 100 per second.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(480), "{took:?}");
}

#[tokio::test]
async fn a_client_that_sends_too_fast_is_closed() {
    let limit = RateLimit::frames(10).bytes(10_000).close();
    let server = server(WebSocketConfig::new().rate_limit(limit)).await;
    let mut other = connect(server.address, "/").await;
    for (what, message, count) in [
        ("messages", Message::text("x"), 30),
        ("pings", Message::Ping("x".into()), 30),
        ("bytes", Message::text("x".repeat(10_000)), 4),
    ] {
        let mut fast = connect(server.address, "/").await;

        flood(&mut fast, message, count).await;

        let close = close_after_echoes(&mut fast).await;
        assert_eq!(
            close,
            Close::new(Close::POLICY, "the client sends too fast"),
            "{what}"
        );
        send_text(&mut other, "still here").await;
        assert_eq!(next_text(&mut other).await, "still here");
    }
}

#[tokio::test]
async fn an_idle_client_is_closed_and_a_busy_one_at_its_maximum_age() {
    let config = WebSocketConfig::new()
        .idle_timeout(Duration::from_millis(300))
        .max_age(Duration::from_millis(900));
    let server = server(config).await;
    let mut idle = connect(server.address, "/").await;

    let close = next_close(&mut idle).await;
    assert_eq!(
        close,
        Close::new(Close::AWAY, "the client was idle for too long")
    );

    let start = Instant::now();
    let mut busy = connect(server.address, "/").await;
    let chatting = async {
        let mut pause = tokio::time::interval(Duration::from_millis(100));
        loop {
            pause.tick().await;
            if busy.send(Message::text("x")).await.is_err()
                || start.elapsed() >= Duration::from_millis(800)
            {
                break;
            }
        }
        close_after_echoes(&mut busy).await
    };
    let close = timeout(PATIENCE, chatting).await.unwrap();
    assert_eq!(
        close,
        Close::new(Close::AWAY, "the connection has reached its maximum age")
    );
}
