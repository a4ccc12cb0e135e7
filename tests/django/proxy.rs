//! The proxy to a site.

use super::{
    site::site_with,
    socket::{assert_open, who_is},
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seaway_tests::support::{
    Redis, Server,
    django::{Pages, SECRET_KEY},
    raw,
    wait::{DEADLINE, until},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::IntoFuture,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

#[tokio::test]
async fn a_gigabyte_passes_in_each_direction_within_32_mib_of_memory() {
    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    const PIECES: usize = 16 * 1024;
    let redis = Redis::new().await;
    let site = site_with(&redis, "db", json!({})).await;
    let pages = axum::Router::new()
        .route(
            "/down",
            axum::routing::get(async || {
                let pieces = (0..PIECES).map(|_| Ok::<_, Infallible>(Bytes::from_static(PIECE)));
                axum::body::Body::from_stream(stream::iter(pieces))
            }),
        )
        .route(
            "/up",
            axum::routing::post(async |request: axum::extract::Request| {
                let pieces = request.into_body().into_data_stream();
                let sizes = pieces.map(|piece| piece.expect("all arrives").len());
                sizes
                    .fold(0, async |sum, size| sum + size)
                    .await
                    .to_string()
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, pages).into_future());
    let flags = ["--django", &url, "--database", site.database()];
    let flags = [&flags[..], &["--secret-key", SECRET_KEY]].concat();
    let mut server = Server::example_with("beside-django", &flags).await;
    let before = server.resident_mib();
    let port = server.port();
    let connect = async || TcpStream::connect(("127.0.0.1", port)).await;
    let mut down = connect().await.unwrap();

    let ask = b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    down.write_all(ask).await.unwrap();
    let (mut received, mut peak, mut buffer) = (0, 0, vec![0; PIECE.len()]);
    loop {
        let count = down.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        let before = received;
        received += count;
        if before >> 26 != received >> 26 {
            peak = peak.max(server.resident_mib());
        }
    }
    assert!(received > PIECE.len() * PIECES, "{received}");

    let length = PIECE.len() * PIECES;
    let whole = (format!("Content-Length: {length}"), PIECE.to_vec(), "");
    let chunk = [b"10000\r\n", PIECE, b"\r\n"].concat();
    let chunked = ("Transfer-Encoding: chunked".to_owned(), chunk, "0\r\n\r\n");
    for (framing, piece, end) in [whole, chunked] {
        let mut up = connect().await.unwrap();
        let ask = format!("POST /up HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        up.write_all(ask.as_bytes()).await.unwrap();
        for number in 0..PIECES {
            up.write_all(&piece).await.unwrap();
            if number % 1024 == 0 {
                peak = peak.max(server.resident_mib());
            }
        }
        up.write_all(end.as_bytes()).await.unwrap();
        let count = up.read(&mut buffer).await.unwrap();
        let response = String::from_utf8_lossy(&buffer[..count]);
        assert!(response.ends_with(&length.to_string()), "{response}");
    }
    assert!(
        peak < before + 32,
        "{before} MiB before, {peak} MiB meanwhile"
    );
}

#[tokio::test]
async fn a_site_that_is_killed_under_load_gives_502_and_serves_again_after_its_restart() {
    const CLIENTS: usize = 8;
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let mut pages = Pages::of(&site, &redis, "db", &[]).await;
    let url = pages.url();
    let flags = ["--django", &url, "--database", site.database()];
    let flags = [&flags[..], &["--secret-key", SECRET_KEY]].concat();
    let server = Server::example_with("beside-django", &flags).await;
    let (mut socket, _) = who_is(&server, &cookie).await;
    let (port, seen) = (server.port(), Arc::new(Mutex::new(BTreeMap::new())));
    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        let seen = seen.clone();
        load.spawn(async move {
            loop {
                let status = raw::get(port, "/accounts/login/").await;
                *seen.lock().unwrap().entry(status).or_insert(0_usize) += 1;
            }
        });
    }
    let received = async |status: u16| {
        let count = || {
            seen.lock()
                .unwrap()
                .get(&Some(status))
                .copied()
                .unwrap_or(0)
        };
        let known = count();
        until(&format!("responses with {status}"), DEADLINE, async || {
            (count() >= known + 3 * CLIENTS).then_some(())
        })
        .await;
    };

    received(200).await;
    for _ in 0..2 {
        pages.kill();
        received(502).await;
        pages.start().await;
        received(200).await;
    }

    load.shutdown().await;
    let seen = seen.lock().unwrap().clone();
    let statuses: Vec<_> = seen.keys().copied().collect();
    assert_eq!(statuses, [Some(200), Some(502)], "{seen:?}");
    assert_eq!(raw::get(port, "/accounts/login/").await, Some(200));
    assert_open(&mut socket).await;
}
