//! Tests of the batches in which connections close when the server stops.

use crate::{
    support::{Client, PATIENCE, Server, connect, echo, ended, next_close, read_until},
    test_consumer::TestState,
};
use futures_util::{SinkExt, StreamExt};
use seaway::{
    Close,
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::time::{Duration, Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

const BATCH_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end once the last batch closes: shorter than all batches take.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(1000);

async fn server(close_over: Duration) -> Server {
    let app = ProtocolTypeRouter::new()
        .http(PathRouter::new())
        .websocket(echo());
    Server::configured(app, |server| {
        server.close_over(close_over).drain_timeout(DRAIN_TIMEOUT)
    })
    .await
}

/// Returns when the clients were closed, after the server was told to stop.
async fn close_times(server: Server, clients: Vec<Client>) -> Vec<Duration> {
    let began = Instant::now();
    let stopped = server.stop();
    let closes = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let close = next_close(&mut client).await;
            (close.code, began.elapsed())
        })
    });
    let mut times = Vec::new();
    for closed in closes.collect::<Vec<_>>() {
        let (code, time) = closed.await.unwrap();
        assert_eq!(code, Close::AWAY);
        times.push(time);
    }
    stopped.await.unwrap().unwrap();
    times
}

#[tokio::test]
async fn connections_close_in_batches_over_the_time_that_was_set() {
    const BATCHES: u32 = 12;
    const CLIENTS: usize = 60;
    // Each client may request pages before it opens its WebSocket.
    for others in [0, BATCHES - 1] {
        let server = server(BATCHES * BATCH_PAUSE).await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            for _ in 0..others {
                TcpStream::connect(server.address).await.unwrap();
            }
            clients.push(connect(server.address, "/").await);
        }

        let times = close_times(server, clients).await;

        // No timer fires early, so it is chance alone that may put more into these: at most in one
        // of ten million runs.
        let closed_before = |batch: u32| {
            let time = batch * BATCH_PAUSE;
            times.iter().filter(|closed| **closed < time).count()
        };
        assert!(closed_before(3) < CLIENTS * 3 / 4, "{times:?}");
        assert!(closed_before(9) < CLIENTS, "{times:?}");
    }
}

#[tokio::test]
async fn a_connection_is_served_until_its_batch_closes() {
    let server = server(Duration::from_secs(3600)).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(connect(server.address, "/").await);
    }
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "\r\n\r\n").await;
    let address = server.address;

    let stopped = server.stop();

    let rest = timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await;
    rest.expect("a connection without a request is closed at once")
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    // There are 600 batches: hardly ever are all of them in the first.
    let mut served = 0;
    for client in &mut clients {
        _ = client.send(Message::text("here")).await;
        let reply = timeout(PATIENCE, client.next())
            .await
            .expect("a reply or a close");
        served += usize::from(reply.unwrap().unwrap().is_text());
    }
    assert!(served > 0);
    drop(clients);
    let stopped = timeout(PATIENCE, stopped).await;
    stopped
        .expect("it stops with its last connection")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_request_that_was_sent_on_a_kept_connection_before_the_stop_gets_its_response() {
    const REQUEST: &[u8] = b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    let server = server(Duration::ZERO).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    read_until(&mut client, "\r\n\r\nNot Found").await;

    // The server's task stops before the runtime learns that the socket can be read.
    client.write_all(REQUEST).await.unwrap();
    let stopped = server.stop();

    let mut response = String::new();
    let reading = timeout(PATIENCE, client.read_to_string(&mut response)).await;
    reading.expect("the connection is closed").unwrap();
    assert!(response.contains("HTTP/1.1 404"), "{response:?}");
    assert!(response.contains("connection: close"), "{response}");
    ended(stopped).await;
}

#[tokio::test]
async fn a_handshake_that_was_sent_before_the_stop_opens_a_websocket() {
    let server = server(Duration::ZERO).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let page = b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    client.write_all(page).await.unwrap();
    read_until(&mut client, "\r\n\r\nNot Found").await;

    let handshake = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.write_all(handshake).await.unwrap();
    let stopped = server.stop();

    let head = read_until(&mut client, "\r\n\r\n").await;
    assert!(head.contains("HTTP/1.1 101 "), "{head}");
    assert!(!head.contains("close"), "{head}");
    drop(client);
    ended(stopped).await;
}

#[tokio::test]
async fn a_waiting_request_gets_events_until_its_batch_closes() {
    let state = TestState::new();
    let app = ProtocolTypeRouter::new().http(state.pages());
    let slowly = Duration::from_secs(3600);
    let server = Server::configured(app, |server| server.close_over(slowly)).await;
    let mut clients = Vec::new();
    for number in 1..=5 {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client
            .write_all(b"GET /?action=next+event HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        state.recorder.wait_for(number).await;
        clients.push(client);
    }

    let stopped = server.stop();
    state.publish(1, "still served").await;

    // There are 600 batches: hardly ever are all of them in the first.
    let mut served = 0;
    for client in &mut clients {
        let mut response = String::new();
        let reading = timeout(PATIENCE, client.read_to_string(&mut response)).await;
        reading.expect("an end").unwrap();
        assert!(
            response.ends_with("still served") || response.ends_with("closing time"),
            "{response}"
        );
        served += usize::from(response.ends_with("still served"));
    }
    assert!(served > 0);
    let stopped = timeout(PATIENCE, stopped).await;
    stopped
        .expect("it stops with its last request")
        .unwrap()
        .unwrap();
}
