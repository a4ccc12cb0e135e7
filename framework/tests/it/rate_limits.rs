//! Tests of the limits on what a client sends and how long it stays, over real connections.

use crate::{
    half_closed::HANDSHAKE,
    support::{
        Client, Echo, PATIENCE, Recorder, Server, connect, next, next_close, next_text, read_until,
        send_text,
    },
};
use futures_util::SinkExt;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, NoEvent, Rejection, Result,
    WebSocketConsumer,
    middleware::Provide,
    protocol::{RateLimit, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::time::{Duration, Instant};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
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

/// A consumer that records its messages and its end.
struct Transcript(Recorder);

impl WebSocketConsumer for Transcript {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Recorder>()?.clone()))
    }

    async fn receive(&mut self, _: &mut Context, text: String) -> Result<()> {
        self.0.record(text);
        Ok(())
    }

    async fn disconnect(self, close: Close) {
        self.0.record(format!("left with {}", close.code));
    }
}

/// Serves a [`Transcript`], and returns a client that has sent these frames.
async fn send_at_once(config: WebSocketConfig, frames: &[u8]) -> (Server, Recorder, TcpStream) {
    let recorder = Recorder::default();
    let app = Transcript::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .with(config);
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    client.write_all(frames).await.unwrap();
    (server, recorder, client)
}

#[tokio::test]
async fn a_slowed_client_that_hangs_up_is_disconnected_after_the_grace_period() {
    let limit = RateLimit::frames(20).burst(Duration::from_millis(100));
    let config = WebSocketConfig::new()
        .rate_limit(limit)
        .grace(Duration::from_millis(10))
        .no_heartbeat();
    let empty_pong = b"\x8a\x80\0\0\0\0";
    let (_server, recorder, client) = send_at_once(config, &empty_pong.repeat(10_000)).await;

    drop(client);

    assert_eq!(recorder.wait_for(1).await, ["left with 1006"]);
}

#[tokio::test]
async fn a_slowed_client_that_hangs_up_is_still_read_at_its_rate_in_the_grace_period() {
    const MESSAGES: usize = 40;
    let limit = RateLimit::frames(20).burst(Duration::from_millis(100));
    let config = WebSocketConfig::new().rate_limit(limit);
    let frames = (0..MESSAGES).flat_map(|number| {
        let text = (number % 10).to_string();
        [&b"\x81\x81\0\0\0\0"[..], text.as_bytes()].concat()
    });
    let start = Instant::now();
    let (_server, recorder, mut client) = send_at_once(config, &frames.collect::<Vec<_>>()).await;

    client.shutdown().await.unwrap();

    let mut entries = recorder.wait_for(MESSAGES + 1).await;
    assert_eq!(entries.pop().unwrap(), "left with 1006");
    let sent = (0..MESSAGES).map(|number| (number % 10).to_string());
    assert_eq!(entries, sent.collect::<Vec<_>>());
    // 2 at once, and 38 at the rate of 20 per second.
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(1_850), "{took:?}");
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
