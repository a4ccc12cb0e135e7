//! Tests of the batches in which connections close when the server stops.

use crate::support::{
    Client, PATIENCE, Server, connect, echo, next_close, next_text, read_until, send_text,
};
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

const BATCH_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end once the last batch closes: shorter than all batches take.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(600);

async fn server(close_over: Duration) -> Server {
    let app = ProtocolTypeRouter::new()
        .http(PathRouter::new())
        .websocket(echo());
    Server::configured(app, |server| {
        server.close_over(close_over).drain_timeout(DRAIN_TIMEOUT)
    })
    .await
}

async fn open(server: &Server, clients: usize) -> Vec<Client> {
    let mut open = Vec::new();
    for _ in 0..clients {
        open.push(connect(server.address, "/").await);
    }
    open
}

#[tokio::test]
async fn connections_close_in_batches_over_the_time_that_was_set() {
    const BATCHES: u32 = 12;
    let server = server(BATCHES * BATCH_PAUSE).await;
    let clients = open(&server, 2 * BATCHES as usize).await;

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

    times.sort();
    // No timer fires early, so the busiest machine cannot make them closer than this.
    for batch in 0..BATCHES {
        let closed = times
            .iter()
            .filter(|time| **time < batch * BATCH_PAUSE)
            .count();
        assert!(closed <= 2 * batch as usize, "{batch}: {times:?}");
    }
}

#[tokio::test]
async fn a_connection_is_served_until_its_batch_closes() {
    let server = server(Duration::from_secs(3600)).await;
    let mut clients = open(&server, 2).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "\r\n\r\n").await;
    let address = server.address;

    let stopped = server.stop();

    let first = next_close(&mut clients[0]).await;
    assert_eq!(first.code, Close::AWAY);
    let rest = timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await;
    rest.expect("a connection without a request is closed at once")
        .unwrap();
    assert!(TcpStream::connect(address).await.is_err());
    send_text(&mut clients[1], "still served").await;
    assert_eq!(next_text(&mut clients[1]).await, "still served");
    drop(clients);
    let stopped = timeout(PATIENCE, stopped).await;
    stopped
        .expect("it stops with its last connection")
        .unwrap()
        .unwrap();
}
