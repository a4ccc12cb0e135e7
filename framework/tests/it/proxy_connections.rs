//! Tests of the connections that a proxy keeps to the server behind, which that server may close.

use crate::{
    proxy::{ask, before},
    support::{PATIENCE, Server},
};
use seaway::{
    User,
    django::{DjangoAuth, DjangoUser, DjangoView},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// How a server ends a connection.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

/// A server that answers some requests of each connection, and ends it when the next one arrives.
struct Upstream {
    address: SocketAddr,
    /// The connection of each request, from 0, and its first line.
    requests: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Upstream {
    /// Starts a server that answers this many requests of each connection, from the first one on;
    /// of all further connections as many as of the last one.
    async fn answering(counts: &[usize], end: End, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, counts) = (listener.local_addr().unwrap(), counts.to_vec());
        let requests = Arc::<Mutex<Vec<_>>>::default();
        let seen = requests.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let count = counts[number.min(counts.len() - 1)];
                let seen = seen.clone();
                tokio::spawn(async move {
                    for left in (0..=count).rev() {
                        let Some(line) = request(&mut stream).await else {
                            return;
                        };
                        let body = if line.starts_with("HEAD") { "" } else { body };
                        seen.lock().unwrap().push((number, line));
                        if left > 0 {
                            let length = body.len();
                            let answer = format!(
                                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
                            );
                            stream.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                    if let End::Reset = end {
                        stream.set_zero_linger().unwrap();
                    }
                });
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> Vec<(usize, String)> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns whether a connection has had a second request.
    fn has_ended_a_kept_connection(&self) -> bool {
        let requests = self.requests();
        let mut numbers: Vec<_> = requests.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        numbers.windows(2).any(|pair| pair[0] == pair[1])
    }
}

/// Reads a request with its body, and returns its first line; `None` once the client has closed the
/// connection.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("content-length: ").nth(1);
    let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    Some(head.lines().next().unwrap().to_owned())
}

/// Sends the request until one of them was sent on a kept connection, which happens once the proxy
/// has had the time to keep it.
async fn until_kept(upstream: &Upstream, server: &Server, request: &str) -> Vec<String> {
    let asking = async {
        let mut responses = Vec::new();
        while !upstream.has_ended_a_kept_connection() {
            responses.push(ask(server, request).await);
        }
        responses
    };
    timeout(PATIENCE, asking).await.expect("a kept connection")
}

#[tokio::test]
async fn a_safe_request_on_a_connection_that_the_server_ends_is_sent_again() {
    for end in [End::Close, End::Reset] {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let upstream = Upstream::answering(&[1], end, "ok").await;
            let server = before(upstream.address).await;

            let request = format!("{method} / HTTP/1.1\nHost: a");
            let responses = until_kept(&upstream, &server, &request).await;

            for response in &responses {
                assert!(
                    response.starts_with("HTTP/1.1 200"),
                    "{end:?} {method}: {response}"
                );
            }
            assert_eq!(upstream.requests().len(), responses.len() + 1);
        }
    }
}

#[tokio::test]
async fn a_request_that_may_change_something_is_sent_once() {
    for end in [End::Close, End::Reset] {
        let upstream = Upstream::answering(&[1], end, "ok").await;
        let server = before(upstream.address).await;

        let request = "POST / HTTP/1.1\nHost: a\nContent-Length: 4\n\nahoy";
        let responses = until_kept(&upstream, &server, request).await;

        let (last, others) = responses.split_last().unwrap();
        assert!(last.starts_with("HTTP/1.1 502"), "{end:?}: {last}");
        assert!(others.iter().all(|other| other.ends_with("ok")));
        assert_eq!(upstream.requests().len(), responses.len());
    }
}

#[tokio::test]
async fn a_request_on_a_new_connection_is_sent_once() {
    let upstream = Upstream::answering(&[0], End::Close, "").await;
    let server = before(upstream.address).await;

    let response = ask(&server, "GET / HTTP/1.1\nHost: a").await;

    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_request_is_sent_again_no_more_than_once() {
    let upstream = Upstream::answering(&[1, 0], End::Reset, "ok").await;
    let server = before(upstream.address).await;

    let responses = until_kept(&upstream, &server, "GET / HTTP/1.1\nHost: a").await;

    let last = responses.last().unwrap();
    assert!(last.starts_with("HTTP/1.1 502"), "{last}");
    let numbers: Vec<_> = upstream
        .requests()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, [0, 0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_less_time_than_by_gunicorn() {
    let upstream = Upstream::answering(&[9], End::Close, "ok").await;
    let server = before(upstream.address).await;
    let get = async || ask(&server, "GET / HTTP/1.1\nHost: a").await;

    get().await;
    // Gunicorn closes such a connection after 2 s.
    tokio::time::sleep(Duration::from_millis(1900)).await;
    assert!(get().await.ends_with("ok"));

    let numbers: Vec<_> = upstream
        .requests()
        .iter()
        .map(|(number, _)| *number)
        .collect();
    assert_eq!(numbers, [0, 1]);
}

#[tokio::test]
async fn a_view_on_a_connection_that_the_site_ends_is_asked_again() {
    let ana = r#"{"user": {"id": "7", "name": "ana", "is_active": true, "is_staff": false, "is_superuser": false}}"#;
    let upstream = Upstream::answering(&[1], End::Reset, ana).await;
    let view = DjangoView::new(&format!("http://{}", upstream.address), "/user/");
    let page = async |User(user): User<DjangoUser>| user.name;
    let pages = axum::Router::new().route("/", axum::routing::get(page));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages))
        .with(DjangoAuth::from_view(view));
    let client = TestClient::new(&app);
    client.set_cookie("sessionid", "abcdefgh");

    let asking = async {
        while !upstream.has_ended_a_kept_connection() {
            assert_eq!(client.get("/").await.text(), "ana");
        }
    };

    timeout(PATIENCE, asking).await.expect("a kept connection");
}
