//! Tests of `proxy`, over real sockets.

use crate::{
    server::raw,
    support::{
        PATIENCE, Server, connect, echo, next_close, next_text, read_until, send_text, try_connect,
    },
};
use axum::{
    Router,
    body::Body as AxumBody,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    routing::{any, get, post},
};
use futures_util::SinkExt;
use seaway::{
    ApplicationExt, Proxy, Rejection, Scope, TrustedProxies, application_fn, from_service,
    protocol::{AllowedOrigins, Upgrade, WebSocket},
    proxy,
    routing::ProtocolTypeRouter,
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
async fn before(upstream: SocketAddr) -> Server {
    passing_to(proxy(&format!("http://{upstream}"))).await
}

async fn passing_to(proxy: Proxy) -> Server {
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
        .route("/page", get(async || "a page"));
    ProtocolTypeRouter::new().http(from_service(pages))
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

async fn ask(server: &Server, request: &str) -> String {
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
    timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
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
