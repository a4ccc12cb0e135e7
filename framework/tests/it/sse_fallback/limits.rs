//! Limits of messages, rates and memory.

use super::{Client, Closed, Site};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, Rejection, Result, WebSocketConsumer,
    consumer::SseFallback,
    protocol::{Http, RateLimit, WebSocketConfig},
    routing::PathRouter,
};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

#[tokio::test]
async fn a_message_over_the_limit_is_refused_and_the_connection_stays() {
    let site = Site::with(WebSocketConfig::new().max_message_size(10));
    let mut ana = Client::open(&site.process()).await;

    assert_eq!(ana.post("12345678901").await.status(), 413);
    assert_eq!(ana.post(vec![0xff]).await.status(), 400);
    assert_eq!(ana.post("1234567890").await.status(), 204);
    assert_eq!(ana.receive().await, "1234567890");

    let streams = site
        .sockets
        .clone()
        .with(SseFallback::new(&site.channels).max_body(3));
    let app = PathRouter::<Http>::new().nest("/ws", streams).boxed();
    let request = Request::post("/ws/lobby");
    assert_eq!(ana.post_with(&app, request, "1234").await.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn a_client_over_its_rate_waits_or_is_disconnected() {
    let limit = RateLimit::frames(1).burst(Duration::from_secs(1));
    let site = Site::with(WebSocketConfig::new().rate_limit(limit));
    let mut ana = Client::open(&site.process()).await;
    let mut posted = Vec::new();
    while posted.last().is_none_or(|status| *status == 204) && posted.len() < 9 {
        let response = ana.post("x").await;
        posted.push(response.status().as_u16());
        if response.status() == 429 {
            assert_eq!(response.headers()["retry-after"], "1");
        }
    }
    assert_eq!(posted.last(), Some(&429));
    assert_eq!(ana.post_endless().await.status(), 429);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ana.post("x").await.status(), 204);
    for _ in 0..posted.len() {
        assert_eq!(ana.receive().await, "x");
    }

    let site = Site::with(WebSocketConfig::new().rate_limit(limit.close()));
    let mut bo = Client::open(&site.process()).await;
    for _ in 0..posted.len() {
        bo.post("x").await;
    }
    let close = loop {
        let event = bo.stream.receive_event().await;
        if event.name == "close" {
            break event.json::<Closed>();
        }
    };
    assert_eq!(close.code, Close::POLICY);
}

#[tokio::test(start_paused = true)]
async fn a_busy_consumer_takes_a_bounded_number_of_messages() {
    let site = Site::new();
    let ana = Client::open(&site.process()).await;
    assert_eq!(ana.post("wait").await.status(), 204);

    for waiting in 0..64 {
        assert_eq!(ana.post("x").await.status(), 204, "{waiting}");
    }

    let refused = ana.post("x").await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(ana.post_endless().await.status(), 503);
}

/// Sends without an end to a client that does not read.
struct Flood(mpsc::UnboundedSender<usize>);

impl WebSocketConsumer for Flood {
    type Input = String;
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(
            handshake.state::<mpsc::UnboundedSender<usize>>()?.clone(),
        ))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        for sent in 0.. {
            ctx.send("x".repeat(1024)).await?;
            _ = self.0.send(sent);
        }
        Ok(())
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_its_stream_is_bounded_and_then_closed() {
    let channels = Channels::in_memory();
    let (sent, mut sends) = mpsc::unbounded_channel::<usize>();
    let app = Flood::application(&channels)
        .with(SseFallback::new(&channels))
        .with(seaway::middleware::Provide(sent))
        .boxed();
    let mut ana = Client::open(&app).await;

    // After 60 s without room the consumer's send fails, and it ends.
    let mut count = 0;
    while let Ok(Some(_)) = timeout(Duration::from_secs(120), sends.recv()).await {
        count += 1;
        assert!(count < 200, "the queue has no bound");
    }

    assert!(count > 60, "{count}");
    assert_eq!(ana.receive().await.len(), 1024);
}
