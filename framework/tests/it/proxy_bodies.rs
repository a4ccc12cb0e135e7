//! Tests of bodies that pass a proxy slowly, incompletely, or not at all.

use crate::{
    proxy::{before, passing_to},
    server::raw,
    support::{PATIENCE, Server, read_until},
};
use bytes::Bytes;
use futures_util::stream;
use seaway::{
    ApplicationExt, BoxApplication, Serve,
    http::Request,
    protocol::{Body, Http},
    proxy,
    routing::ProtocolTypeRouter,
    testing::HttpCommunicator,
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// More than all buffers between a client and the server behind: those of the kernel have up to
/// 10 MB for each of the two connections.
const LARGE: usize = 256 * 1024 * 1024;

/// What may be under way of it.
const BUFFERED: usize = 32 * 1024 * 1024;

/// How long a write waits until the other side counts as stalled.
const STALLED: Duration = Duration::from_millis(500);

/// Starts a server that reads everything, and never answers.
async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move { stream.read_to_end(&mut Vec::new()).await });
        }
    });
    address
}

async fn configured(
    upstream: SocketAddr,
    response_timeout: Duration,
    configure: impl FnOnce(Serve<ProtocolTypeRouter>) -> Serve<ProtocolTypeRouter>,
) -> Server {
    let proxy = proxy(&format!("http://{upstream}")).response_timeout(response_timeout);
    Server::configured(ProtocolTypeRouter::new().http(proxy), configure).await
}

/// Writes until nothing is taken for [`STALLED`], and returns how much was, at most [`LARGE`].
pub(crate) async fn write_until_stalled(stream: &mut TcpStream) -> usize {
    let (piece, mut written) = (vec![b'x'; 64 * 1024], 0);
    while written < LARGE {
        match timeout(STALLED, stream.write(&piece)).await {
            Ok(count) => written += count.expect("it is connected"),
            Err(_) => break,
        }
    }
    written
}

#[tokio::test]
async fn a_malformed_or_incomplete_upload_gets_400() {
    let server = before(silent().await).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";

    let chunk = format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    let response = raw(server.address, chunk.as_bytes()).await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");

    let mut client = TcpStream::connect(server.address).await.unwrap();
    let half = format!("{head}Content-Length: 10\r\n\r\nhello");
    client.write_all(half.as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let response = read_until(&mut client, "\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
}

#[tokio::test]
async fn a_body_that_fails_gets_400_and_one_that_panics_in_the_connection_502() {
    let proxy: BoxApplication<Http> = proxy(&format!("http://{}", silent().await)).boxed();
    let failing = stream::once(async { Err::<Bytes, _>("the client has left") });
    let panicking = stream::repeat_with(|| -> Result<Bytes, &str> { panic!("a mistake") });
    for (body, status) in [
        (axum::body::Body::from_stream(failing), 400),
        (axum::body::Body::from_stream(panicking), 502),
    ] {
        let upload = Request::post("/").header("host", "a");
        let upload = upload.body(Body::new(body)).unwrap();

        let response = HttpCommunicator::request(&proxy, upload).await.unwrap();

        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_client_that_stalls_gets_408_and_the_server_is_not_blamed() {
    let stalls = Duration::from_millis(300);
    for response_timeout in [stalls / 10, stalls, stalls * 10] {
        let upstream = silent().await;
        let server = configured(upstream, response_timeout, |server| {
            server.body_timeout(stalls)
        })
        .await;

        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello";
        let response = raw(server.address, request.as_bytes()).await;

        assert!(
            response.starts_with("HTTP/1.1 408"),
            "{response_timeout:?}: {response}"
        );
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_an_upload_gives_504() {
    let limit = Duration::from_millis(100);
    let server = configured(silent().await, limit, |server| server).await;

    let request =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
    let response = raw(server.address, request.as_bytes()).await;

    assert!(response.starts_with("HTTP/1.1 504"), "{response}");
}

#[tokio::test]
async fn an_upload_to_a_server_that_reads_nothing_waits_and_gets_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_secs(2);
    let server = passing_to(proxy(&format!("http://{address}")).response_timeout(limit)).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();

    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (_stalled, _) = listener.accept().await.unwrap();
    let written = write_until_stalled(&mut client).await;

    assert!(written < BUFFERED, "{written} bytes");
    let response = read_until(&mut client, "\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 504"), "{response}");
}

#[tokio::test]
async fn a_response_waits_for_a_client_that_reads_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = before(listener.local_addr().unwrap()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = socket.connect(server.address).await.unwrap();

    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let written = write_until_stalled(&mut stream).await;

    assert!(written < BUFFERED, "{written} bytes");
    // What was written arrives, behind the head.
    let mut received = vec![0; written];
    let reading = timeout(PATIENCE, client.read_exact(&mut received)).await;
    reading.expect("all of it in time").unwrap();
}

/// Sends a request to a proxy, and returns what the server behind it gets up to this end.
async fn passed(request: &str, end: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = before(listener.local_addr().unwrap()).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, end).await
}

#[tokio::test]
async fn the_trailer_fields_of_a_request_are_dropped() {
    for method in ["POST", "GET"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
             Trailer: X-Forwarded-For, X-Real-IP, Cookie\r\n\r\n5\r\nhello\r\n0\r\n\
             X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nCookie: a=1\r\n\r\n"
        );

        let passed = passed(&request, "\r\n0\r\n\r\n").await;

        assert!(
            passed.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            "{passed}"
        );
        assert!(!passed.contains("trailer"), "{passed}");
        assert!(!passed.contains("6.6.6.6"), "{passed}");
    }
}

#[tokio::test]
async fn a_get_or_head_of_unknown_length_keeps_its_body() {
    for method in ["GET", "HEAD"] {
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        );

        let passed = passed(&request, "0\r\n\r\n").await;

        assert!(
            passed.contains("transfer-encoding: chunked\r\n"),
            "{passed}"
        );
        assert!(
            passed.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            "{passed}"
        );
    }
    let without = passed("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n\r\n").await;
    assert!(!without.contains("transfer-encoding"), "{without}");
}

#[tokio::test]
async fn a_get_over_http_2_keeps_its_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = before(listener.local_addr().unwrap()).await;
    let tcp = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = Request::get(format!("http://{}/", server.address));

    let (_response, mut body) = client
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    body.send_data(Bytes::from("hello"), true).unwrap();

    let (mut stream, _) = listener.accept().await.unwrap();
    let passed = read_until(&mut stream, "0\r\n\r\n").await;
    assert!(
        passed.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "{passed}"
    );
}
