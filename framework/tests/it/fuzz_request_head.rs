//! A real server, and request heads of any bytes: each gets a response or none, never a failure.

use crate::support::{PATIENCE, Server, echo};
use http::Response;
use proptest::{collection::vec, prelude::*, sample::select};
use seaway::{
    Result, Scope, application_fn,
    protocol::{Body, Exchange, Http},
    routing::ProtocolTypeRouter,
};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::timeout,
};

const HANDSHAKE: &str = "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn page(_: Scope<Http>, exchange: Exchange) -> Result<()> {
    Ok(exchange.respond(Response::new(Body::from("page"))).await?)
}

/// Sends bytes, and closes the sending side; returns the status of the first response, if there is
/// one.
async fn status(address: SocketAddr, bytes: &[u8]) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has rejected the start of the bytes may have closed the connection.
    _ = stream.write_all(bytes).await;
    _ = stream.shutdown().await;
    let mut response = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    _ = read.expect("the server hangs up");
    let response = String::from_utf8_lossy(&response);
    let line = response.strip_prefix("HTTP/1.")?;
    Some(line.get(2..5)?.to_owned())
}

/// Any head: lines of a request and of a handshake, valid or not, doubled, missing or cut; or of
/// any bytes.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let line = select(
        &[
            "GET / HTTP/1.1\r\n",
            "GET /%zz?# HTTP/1.1\r\n",
            "GET * HTTP/1.1\r\n",
            "POST http://a/ HTTP/1.1\r\n",
            "CONNECT a:80 HTTP/1.1\r\n",
            "GET / HTTP/1.0\r\n",
            "GET / HTTP/3.0\r\n",
            "PRI * HTTP/2.0\r\n",
        ][..],
    );
    let line = prop_oneof![
        6 => line.prop_map(text),
        1 => vec(any::<u8>(), 0..20),
    ];
    let name = select(
        &[
            "Host",
            "Origin",
            "Cookie",
            "Connection",
            "Upgrade",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Version",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "Content-Length",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "Expect",
        ][..],
    );
    let value = prop_oneof![
        vec(any::<u8>(), 0..20),
        "[ -~]{0,30}".prop_map(String::into_bytes),
    ];
    let header =
        (name, value).prop_map(|(name, value)| [name.as_bytes(), b": ", &value, b"\r\n"].concat());
    let part = prop_oneof![
        4 => Just(text(HANDSHAKE)),
        2 => Just(text("Host: a\r\n")),
        6 => header,
        1 => vec(any::<u8>(), 0..20),
    ];
    let end = select(&["\r\n", "\r\n", "\n", ""][..]);
    let behind = vec(any::<u8>(), 0..20);
    (line, vec(part, 0..4), end, behind).prop_map(|(line, parts, end, behind)| {
        [line, parts.concat(), end.as_bytes().to_vec(), behind].concat()
    })
}

#[test]
fn any_head_gets_a_response_or_none_and_other_clients_are_served() {
    let runtime = Runtime::new().unwrap();
    let app = ProtocolTypeRouter::new()
        .http(application_fn(page))
        .websocket(echo());
    let server = runtime.block_on(Server::start(app));
    let valid = format!("GET / HTTP/1.1\r\n{HANDSHAKE}\r\n");
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(500)
    };

    proptest!(config, |(head in head())| {
        let status = runtime.block_on(status(server.address, &head));

        let is_expected = |status: &str| {
            ["101", "200"].contains(&status) || status.starts_with('4') || status == "501"
        };
        prop_assert!(status.as_deref().is_none_or(is_expected), "{:?}", status);
    });

    let opened = runtime.block_on(status(server.address, valid.as_bytes()));
    assert_eq!(opened.as_deref(), Some("101"));
}
