//! Tests of `proxy`, over real sockets.

use crate::{
    log::Log,
    server::raw,
    support::{
        PATIENCE, Server, connect, echo, ended, next_close, next_text, read_until, send_text,
        try_connect,
    },
};
use axum::{
    Router,
    body::Body as AxumBody,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    routing::{any, get, post},
};
use futures_util::SinkExt;
use seaway::{
    Application, ApplicationExt, Proxy, Rejection, Scope, TrustedProxies, application_fn,
    from_service,
    protocol::{AllowedOrigins, Upgrade, WebSocket},
    proxy,
    routing::{PathRouter, ProtocolTypeRouter},
    serve,
};
use std::{future::IntoFuture, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener},
    sync::oneshot,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

/// Starts a server that passes everything to this one.
pub(crate) async fn before(upstream: SocketAddr) -> Server {
    passing_to(proxy(&format!("http://{upstream}"))).await
}

pub(crate) async fn passing_to(proxy: Proxy) -> Server {
    let app = ProtocolTypeRouter::new()
        .http(proxy.clone())
        .websocket(proxy);
    Server::start(app).await
}

/// A site that shows what it receives.
fn site() -> ProtocolTypeRouter {
    let pages = Router::new()
        .route("/seen", any(seen))
        .route("/echo", post(async |request: Request| request.into_body()))
        .route(
            "/moved",
            get(async || (StatusCode::FOUND, [(header::LOCATION, "/seen")])),
        )
        .route(
            "/same",
            get(async || (StatusCode::NOT_MODIFIED, [(header::ETAG, "\"a\"")])),
        )
        .route("/page", get(async || "a page"))
        .route("/film", get(film));
    ProtocolTypeRouter::new().http(from_service(pages))
}

/// Returns two bytes of six, as a client has asked.
async fn film(headers: HeaderMap) -> (StatusCode, [(HeaderName, &'static str); 2], &'static str) {
    assert_eq!(headers[header::RANGE], "bytes=2-3");
    assert_eq!(headers[header::IF_RANGE], "\"a\"");
    let range = (header::CONTENT_RANGE, "bytes 2-3/6");
    (
        StatusCode::PARTIAL_CONTENT,
        [range, (header::ETAG, "\"a\"")],
        "lm",
    )
}

/// Starts a server that sends this to each client once the head of a request has arrived, and
/// closes the connection.
async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    address
}

async fn seen(headers: HeaderMap, request: Request<AxumBody>) -> String {
    let mut lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    let line = format!("{} {}", request.method(), request.uri());
    let body = axum::body::to_bytes(request.into_body(), 1000)
        .await
        .unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    format!("{line}\n{}\n{body}", lines.join("\n"))
}

pub(crate) async fn ask(server: &Server, request: &str) -> String {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let head = head.replace('\n', "\r\n");
    raw(
        server.address,
        format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes(),
    )
    .await
}

#[tokio::test]
async fn a_request_passes_with_its_method_query_headers_and_body() {
    let site = Server::start(site()).await;
    let server = before(site.address).await;

    let response = ask(
        &server,
        "PUT /seen?a=%20b HTTP/1.1\nHost: shop.example\nCookie: a=1\nCookie: b=2\n\
         X-Forwarded-For: 10.0.0.1\nX_Forwarded_Proto: https\nIf-None-Match: \"x\"\n\
         Content-Length: 4\n\nahoy",
    )
    .await;

    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert_eq!(
        body,
        "PUT /seen?a=%20b\ncontent-length: 4\ncookie: a=1; b=2\nhost: shop.example\n\
         if-none-match: \"x\"\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: shop.example\n\
         x-forwarded-proto: http\nahoy"
    );
}

#[tokio::test]
async fn a_proxy_in_front_is_added_once_to_the_clients_that_it_states() {
    let site = Server::start(site()).await;
    for (is_behind, forwarded, passed) in [
        (true, "192.0.2.7", "192.0.2.7, 127.0.0.1"),
        (true, "192.0.2.7:4711", "192.0.2.7:4711, 127.0.0.1"),
        (
            true,
            "127.0.0.1, 192.0.2.7",
            "127.0.0.1, 192.0.2.7, 127.0.0.1",
        ),
        (false, "10.0.0.1, 192.0.2.7", "192.0.2.7"),
    ] {
        let proxy = proxy(&format!("http://{}", site.address));
        let proxy = if is_behind {
            proxy.behind_proxy()
        } else {
            proxy
        };
        let app = ProtocolTypeRouter::new().http(proxy);
        let server = Server::configured(app, |server| {
            server.trusted_proxies(TrustedProxies::new(["127.0.0.1"]))
        })
        .await;

        let request = format!("GET /seen HTTP/1.1\nHost: a\nX-Forwarded-For: {forwarded}\n\n");
        let response = ask(&server, &request).await;

        let line = format!("\nx-forwarded-for: {passed}\n");
        assert!(response.contains(&line), "{forwarded}: {response}");
    }
}

#[tokio::test]
async fn a_response_passes_with_its_status_and_headers() {
    let site = Server::start(site()).await;
    let server = before(site.address).await;

    let moved = ask(&server, "GET /moved HTTP/1.1\nHost: a").await;
    assert!(moved.starts_with("HTTP/1.1 302"), "{moved}");
    assert!(moved.contains("location: /seen\r\n"), "{moved}");
    let same = ask(&server, "GET /same HTTP/1.1\nHost: a").await;
    assert!(same.starts_with("HTTP/1.1 304"), "{same}");
    assert!(same.contains("etag: \"a\"\r\n"), "{same}");
    let head = ask(&server, "HEAD /page HTTP/1.1\nHost: a").await;
    assert!(head.contains("content-length: 6\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
    assert!(
        ask(&server, "GET /none HTTP/1.1\nHost: a")
            .await
            .starts_with("HTTP/1.1 404")
    );
}

#[test]
fn a_wrong_address_panics_where_it_is_written() {
    let (send, located) = std::sync::mpsc::channel();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains("127.0.0.1:8480") {
            _ = send.send(panic.location().unwrap().file().to_owned());
        }
        before(panic);
    }));

    let panicked = std::panic::catch_unwind(|| proxy("127.0.0.1:8480"));

    // The hook of the test harness again.
    _ = std::panic::take_hook();
    assert!(panicked.is_err());
    assert_eq!(located.recv().unwrap(), file!());
}

#[tokio::test]
async fn a_range_is_passed_with_its_206() {
    let site = Server::start(site()).await;
    let server = before(site.address).await;

    let request = "GET /film HTTP/1.1\nHost: a\nRange: bytes=2-3\nIf-Range: \"a\"";
    let part = ask(&server, request).await;

    assert!(part.starts_with("HTTP/1.1 206"), "{part}");
    assert!(part.contains("content-range: bytes 2-3/6\r\n"), "{part}");
    assert!(part.contains("content-length: 2\r\n"), "{part}");
    assert!(part.ends_with("\r\n\r\nlm"), "{part}");
}

#[tokio::test]
async fn a_length_beside_an_encoding_is_dropped() {
    let upstream = answering(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n0\r\n\r\n",
    )
    .await;

    let response = ask(&before(upstream).await, "GET / HTTP/1.1\nHost: a").await;

    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(!response.contains("content-length"), "{response}");
    assert!(response.contains("\r\nhello\r\n"), "{response}");
}

#[tokio::test]
async fn a_request_without_a_host_gets_400() {
    let site = Server::start(site()).await;
    let server = before(site.address).await;
    for (request, expected) in [
        ("GET /seen HTTP/1.0\r\n\r\n", "HTTP/1.0 400"),
        ("GET /seen HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.0 200"),
    ] {
        let response = raw(server.address, request.as_bytes()).await;

        assert!(response.starts_with(expected), "{response}");
        assert!(!response.contains("host: 127.0.0.1"), "{response}");
    }
}

#[tokio::test]
async fn a_101_to_a_request_that_is_no_handshake_gives_502() {
    let upstream =
        answering("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n")
            .await;

    let response = ask(&before(upstream).await, "GET / HTTP/1.1\nHost: a").await;

    assert!(response.starts_with("HTTP/1.1 502"), "{response}");
}

#[tokio::test]
async fn bodies_are_passed_on_piece_by_piece_in_both_directions() {
    let site = Server::start(site()).await;
    let server = before(site.address).await;
    let mut client = TcpStream::connect(server.address).await.unwrap();
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
        Expect: 100-continue\r\n\r\n";

    client.write_all(head).await.unwrap();
    read_until(&mut client, "HTTP/1.1 100").await;
    for piece in ["first", "other"] {
        let chunk = format!("5\r\n{piece}\r\n");
        client.write_all(chunk.as_bytes()).await.unwrap();
        read_until(&mut client, piece).await;
    }
    client.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_site_that_is_down_gives_502_and_is_used_again_once_it_runs() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let server = before(address).await;
    let request = "GET /page HTTP/1.1\nHost: a";
    assert!(ask(&server, request).await.starts_with("HTTP/1.1 502"));
    assert_eq!(try_connect(server.address, "/", &[]).await.err(), Some(502));

    let listener = TcpListener::bind(address).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = serve(listener, site()).stop_on(async {
        _ = stopped.await;
    });
    let running = tokio::spawn(running.into_future());
    assert!(ask(&server, request).await.ends_with("a page"));

    // Its connections are closed with it.
    drop(stop);
    running.await.unwrap().unwrap();
    assert!(ask(&server, request).await.starts_with("HTTP/1.1 502"));
}

#[tokio::test]
async fn a_site_that_does_not_continue_gives_504_and_a_broken_response_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let limit = Duration::from_millis(100);
    let server = passing_to(proxy(&upstream).response_timeout(limit)).await;
    for (answer, expected) in [
        (&b""[..], "HTTP/1.1 504"),
        (b"HTTP/1.1 ", "HTTP/1.1 504"),
        (b"nonsense\r\n\r\n", "HTTP/1.1 502"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
            "HTTP/1.1 200",
        ),
    ] {
        let asking = ask(&server, "GET / HTTP/1.1\nHost: a");
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            // Until the proxy closes it.
            _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let (response, ()) = timeout(PATIENCE, async { tokio::join!(asking, answering) })
            .await
            .expect("the proxy gives up");
        assert!(response.starts_with(expected), "{answer:?}: {response}");
    }
}

#[tokio::test]
async fn a_websocket_is_passed_through() {
    let sockets = echo().with(AllowedOrigins::any());
    let site = Server::start(ProtocolTypeRouter::new().websocket(sockets)).await;
    let server = before(site.address).await;

    // The origin is checked by the server behind.
    let headers = [("origin", "https://elsewhere.example")];
    let mut client = try_connect(server.address, "/", &headers).await.unwrap();
    send_text(&mut client, "ahoy").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
    send_text(&mut client, &"x".repeat(300_000)).await;
    assert_eq!(next_text(&mut client).await.len(), 300_000);

    let frame = CloseFrame {
        code: 4000.into(),
        reason: "bye".into(),
    };
    client.send(Message::Close(Some(frame))).await.unwrap();
    assert_eq!(next_close(&mut client).await.code, 4000);
}

#[tokio::test]
async fn allowed_origins_around_a_proxy_reject_other_pages_than_those() {
    let sockets = echo().with(AllowedOrigins::any());
    let site = Server::start(ProtocolTypeRouter::new().websocket(sockets)).await;
    let sockets = PathRouter::<WebSocket>::new()
        .fallback(proxy(&format!("http://{}", site.address)))
        .with(AllowedOrigins::list(["https://app.example"]));
    let server = Server::start(ProtocolTypeRouter::new().websocket(sockets)).await;
    let open = |headers: &'static [_]| try_connect(server.address, "/", headers);

    let foreign = open(&[("origin", "https://elsewhere.example")]).await;
    let listed = open(&[("origin", "https://app.example")]).await;
    let program = open(&[]).await;

    assert_eq!(foreign.err(), Some(403));
    assert_eq!(listed.err(), None);
    assert_eq!(program.err(), None);
}

#[tokio::test]
async fn a_websocket_that_the_site_rejects_or_ends_is_rejected_or_ended() {
    let members = application_fn(async |_: Scope<WebSocket>, upgrade: Upgrade| {
        Ok(upgrade
            .reject(Rejection::from_status(StatusCode::FORBIDDEN))
            .await?)
    });
    let site = Server::start(ProtocolTypeRouter::new().websocket(members)).await;
    let server = before(site.address).await;
    assert_eq!(try_connect(server.address, "/", &[]).await.err(), Some(403));

    let site = Server::start(ProtocolTypeRouter::new().websocket(echo())).await;
    let server = before(site.address).await;
    let mut client = connect(server.address, "/").await;
    let stopped = site.stop();
    assert_eq!(next_close(&mut client).await.code, 1001);
    drop(client);
    ended(stopped).await;
}

/// A handshake after whose rejection the connection ends.
pub(crate) const HANDSHAKE: &str = "GET /python/chat/lobby HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\
    Connection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn a_rejected_handshake_has_the_headers_and_the_body_of_the_site() {
    for (answer, status, passed, body) in [
        (
            "HTTP/1.1 403 Forbidden\r\nX-Reason: no\r\nKeep-Alive: timeout=5\r\n\
             Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"a\": 1}",
            "403",
            &["x-reason: no", "content-type: application/json"][..],
            "{\"a\": 1}",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: /accounts/login/\r\nSet-Cookie: a=1\r\n\
             Set-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
            "302",
            &[
                "location: /accounts/login/",
                "set-cookie: a=1",
                "set-cookie: b=2",
            ],
            "",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\
             Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n0\r\n\r\n",
            "401",
            &["www-authenticate: Basic"],
            "3\r\nwho\r\n0\r\n\r\n",
        ),
    ] {
        let log = Log::listen();
        let server = before(answering(answer).await).await;

        let response = raw(server.address, HANDSHAKE.as_bytes()).await;

        let line = log.line("the server behind rejected the handshake");
        assert!(line.contains(status), "{line}");
        let (head, received) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
        for line in passed {
            assert!(head.contains(line), "{head}");
        }
        assert!(!head.contains("keep-alive"), "{head}");
        assert_eq!(received, body);
    }
}

#[tokio::test]
async fn a_passed_websocket_opens_with_the_headers_of_the_site_and_of_middleware() {
    let site = answering(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Both: site\r\n\
         Set-Cookie: a=1\r\n\r\n",
    );
    let site = proxy(&format!("http://{}", site.await));
    let sockets = application_fn(move |scope: Scope<WebSocket>, mut upgrade: Upgrade| {
        let site = site.clone();
        async move {
            for (name, value) in [("x-both", "own"), ("x-own", "yes"), ("set-cookie", "b=2")] {
                let value = HeaderValue::from_static(value);
                upgrade.headers_mut().append(name, value);
            }
            site.call(scope, upgrade).await
        }
    });
    let server = Server::start(ProtocolTypeRouter::new().websocket(sockets)).await;

    let response = raw(server.address, HANDSHAKE.as_bytes()).await;

    assert!(response.starts_with("HTTP/1.1 101"), "{response}");
    for line in [
        "x-both: site",
        "x-own: yes",
        "set-cookie: a=1",
        "set-cookie: b=2",
    ] {
        assert!(response.contains(line), "{line} in {response}");
    }
    assert!(!response.contains("x-both: own"), "{response}");
}

#[tokio::test]
async fn the_body_of_a_rejected_handshake_is_streamed() {
    const LENGTH: usize = 3_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = before(listener.local_addr().unwrap()).await;
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, "\r\n\r\n").await;
        let head = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {LENGTH}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'x'; LENGTH]).await.unwrap();
    };

    let (response, ()) = tokio::join!(raw(server.address, HANDSHAKE.as_bytes()), answering);

    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    assert_eq!(body.len(), LENGTH);
}

#[tokio::test]
async fn a_response_that_is_none_to_a_handshake_gives_502() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhey",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    ] {
        let server = before(answering(answer).await).await;

        let response = raw(server.address, HANDSHAKE.as_bytes()).await;

        assert!(response.starts_with("HTTP/1.1 502"), "{answer} {response}");
    }
}

#[tokio::test]
async fn a_site_may_listen_on_a_unix_socket() {
    let name = format!("seaway-proxy-{}.sock", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(serve(listener, site()).into_future());
    let server = passing_to(proxy(&format!("unix:{}", path.display()))).await;

    let response = ask(&server, "GET /page HTTP/1.1\nHost: a").await;
    _ = std::fs::remove_file(&path);
    assert!(response.ends_with("a page"), "{response}");
}
