//! Tests of applications that use a `Socket` themselves, without a consumer.

use crate::support::{Client, PATIENCE, Server, connect, next_text};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    Application, ApplicationExt, Close, Result, Scope, application_fn,
    protocol::{Sent, SlowClient, Upgrade, WebSocket, WebSocketConfig},
    routing::ProtocolTypeRouter,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{interval, timeout},
};
use tokio_tungstenite::tungstenite::Message;

/// Echoes each message.
async fn echo(_: Scope<WebSocket>, upgrade: Upgrade) -> Result<()> {
    let mut socket = upgrade.accept().await?;
    while let Some(message) = socket.receive().await {
        socket.send(message).await?;
    }
    socket.close(1000).await;
    Ok(())
}

#[tokio::test]
async fn an_application_that_sends_more_than_the_send_buffer_holds_waits_for_the_client() {
    const COUNT: usize = 3000;
    let app = ProtocolTypeRouter::new().websocket(application_fn(echo));
    let server = Server::start(app).await;
    let (mut sending, mut receiving) = connect(server.address, "/").await.split();

    let sent = async {
        for number in 0..COUNT {
            let text = format!("{number:1000}");
            sending.send(Message::text(text)).await.unwrap();
        }
    };
    let received = async {
        for number in 0..COUNT {
            let message = receiving.next().await.unwrap().unwrap();
            assert_eq!(message.to_text().unwrap(), format!("{number:1000}"));
        }
    };

    let all = async { tokio::join!(sent, received) };
    timeout(PATIENCE, all)
        .await
        .expect("all messages are echoed");
}

#[tokio::test]
async fn a_client_that_reads_is_not_slow_however_much_an_application_sends_at_once() {
    // More than the queue holds, and less than the socket.
    const COUNT: usize = 3000;
    for policy in [SlowClient::Close, SlowClient::DropNewest] {
        let app = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
            let mut socket = upgrade.accept().await?;
            for number in 0..COUNT {
                socket.send(format!("{number:100}")).await?;
            }
            socket.close(1000).await;
            Ok(())
        });
        let limits = WebSocketConfig::new().slow_client(policy);
        let server = Server::start(ProtocolTypeRouter::new().websocket(app.with(limits))).await;
        let mut client = connect(server.address, "/").await;

        for number in 0..COUNT {
            assert_eq!(next_text(&mut client).await, format!("{number:100}"));
        }
    }
}

#[tokio::test]
async fn a_send_that_waits_fails_when_another_task_closes() {
    let closed = Arc::new(Notify::new());
    let closing = closed.clone();
    let app = application_fn(move |_: Scope<WebSocket>, upgrade: Upgrade| {
        let closing = closing.clone();
        async move {
            let mut socket = upgrade.accept().await?;
            let sender = socket.sender();
            tokio::spawn(async move {
                while sender.send_volatile("full").unwrap() == Sent::Queued {
                    tokio::task::yield_now().await;
                }
                sender.close(4000).unwrap();
                closing.notify_one();
            });
            while socket.send("x".repeat(10_000)).await.is_ok() {}
            socket.close(1000).await;
            Ok(())
        }
    });
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let mut client = connect(server.address, "/").await;

    // The task closes once the client, which reads nothing so far, has filled the queue.
    timeout(PATIENCE, closed.notified())
        .await
        .expect("a full queue");
    let reading = async {
        loop {
            match client.next().await.unwrap().unwrap() {
                Message::Close(close) => return close.unwrap().code,
                message => assert!(message.is_text()),
            }
        }
    };
    let code = timeout(PATIENCE, reading).await.expect("a close");
    assert_eq!(u16::from(code), 4000);
}

#[tokio::test]
async fn what_an_application_sends_is_written_before_it_receives_again() {
    let app = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
        let mut socket = upgrade.accept().await?;
        socket.send("welcome").await?;
        std::future::pending().await
    });
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let mut client: Client = connect(server.address, "/").await;

    assert_eq!(next_text(&mut client).await, "welcome");
}

const MOMENT: Duration = Duration::from_millis(50);

/// Sends `tick` now and then, and receives nothing.
fn ticker() -> impl Application<WebSocket> {
    application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
        let mut socket = upgrade.accept().await?;
        let mut pause = interval(Duration::from_millis(5));
        loop {
            pause.tick().await;
            if socket.send("tick").await.is_err() {
                socket.close(1000).await;
                return Ok(());
            }
        }
    })
}

async fn serve_ticker(limits: WebSocketConfig) -> (Server, Client) {
    let app = ProtocolTypeRouter::new().websocket(ticker().with(limits));
    let server = Server::start(app).await;
    let client = connect(server.address, "/").await;
    (server, client)
}

/// Returns the first message of another kind than those of the ticker.
async fn next_other(client: &mut Client) -> Option<Message> {
    let receiving = async {
        loop {
            match client.next().await {
                Some(Ok(Message::Text(_))) => {}
                other => return other.and_then(Result::ok),
            }
        }
    };
    timeout(PATIENCE, receiving).await.expect("another message")
}

#[tokio::test]
async fn an_application_that_only_sends_responds_to_pings_and_to_a_close_frame() {
    let (_server, mut client) = serve_ticker(WebSocketConfig::new()).await;

    client.send(Message::Ping("here".into())).await.unwrap();
    let pong = next_other(&mut client).await;
    assert_eq!(pong, Some(Message::Pong("here".into())));
    client.close(None).await.unwrap();

    let close = next_other(&mut client).await;
    assert!(matches!(close, Some(Message::Close(_))), "{close:?}");
    assert_eq!(next_other(&mut client).await, None);
}

#[tokio::test]
async fn an_application_that_only_sends_ends_when_the_server_stops() {
    let (server, mut client) = serve_ticker(WebSocketConfig::new().grace(MOMENT)).await;

    let stopped = server.stop();

    let close = next_other(&mut client).await;
    assert!(
        matches!(&close, Some(Message::Close(Some(close))) if u16::from(close.code) == Close::AWAY),
        "{close:?}"
    );
    let stopped = timeout(PATIENCE, stopped).await;
    stopped
        .expect("long before `drain_timeout`")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn the_maximum_age_ends_the_connection_of_an_application_that_only_sends() {
    let (_server, mut client) = serve_ticker(WebSocketConfig::new().max_age(MOMENT)).await;

    let close = next_other(&mut client).await;

    assert!(matches!(close, Some(Message::Close(_))), "{close:?}");
}
