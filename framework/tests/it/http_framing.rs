//! Tests of invalid HTTP requests, over real sockets.

use crate::{
    log::Log,
    server::raw,
    support::{PATIENCE, Recorder, Server, read_until},
    test_consumer::TestState,
};
use axum::middleware::map_request;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Limited;
use seaway::{
    Channels, HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection, Result,
    Scope, application_fn, from_service,
    protocol::{Body, Exchange, Http},
    routing::ProtocolTypeRouter,
};
use std::{convert::Infallible, future::IntoFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower::{Service, service_fn};

/// Responds to every request with `asked`, and records its method and target.
fn anything(
    recorder: &Recorder,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let recorder = recorder.clone();
    service_fn(move |request: Request<Body>| {
        recorder.record(format!("{} {}", request.method(), request.uri()));
        async {
            _ = request.into_body().to_bytes(1000).await;
            Ok(Response::new(Body::from("asked")))
        }
    })
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("no content")
}

#[tokio::test]
async fn an_invalid_head_is_rejected_before_the_application_and_closes_the_connection() {
    let recorder = Recorder::default();
    let server = Server::start(anything(&recorder)).await;
    let host = "Host: a\r\n";

    for (line, headers, expected) in [
        ("GET / HTTP/1.1", "", "400"),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n", "400"),
        ("GET / HTTP/1.1", "Host: a b\r\n", "400"),
        ("GET / HTTP/1.1", "Host: user@a\r\n", "400"),
        ("GET / HTTP/1.1", "Host: a/b\r\n", "400"),
        ("GET / HTTP/1.0", "Host: a\r\nHost: b\r\n", "400"),
        ("GET http://b/ HTTP/1.1", host, "400"),
        ("GET http://user@a/ HTTP/1.1", host, "400"),
        ("GET http://a/ HTTP/1.1", "", "400"),
        ("GET ftp://a/ HTTP/1.1", host, "400"),
        ("GET a HTTP/1.1", host, "400"),
        ("GET * HTTP/1.1", host, "400"),
        ("CONNECT a:80 HTTP/1.1", "Host: a:80\r\n", "501"),
        ("CONNECT / HTTP/1.1", host, "501"),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
            "501",
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nTransfer-Encoding: gzip\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nContent-Length: +1\r\n",
            "400",
        ),
        (
            "POST / HTTP/1.1",
            "Host: a\r\nContent-Length: 1, 1\r\n",
            "400",
        ),
        ("GET / HTTP/1.1", "Host: a\r\nX-Folded: a\r\n b\r\n", "400"),
        ("GET / HTTP/1.1", "Host : a\r\n", "400"),
    ] {
        let request = format!("{line}\r\n{headers}\r\n");
        let response = raw(server.address, request.as_bytes()).await;
        assert_eq!(status(&response), expected, "{request:?}: {response}");
    }

    assert_eq!(recorder.entries(), [""; 0]);
}

#[tokio::test]
async fn the_response_to_a_malformed_body_announces_the_end_of_the_connection() {
    let app = service_fn(async |request: Request<Body>| {
        let response = match request.into_body().to_bytes(1000).await {
            Ok(_) => Response::new(Body::from("read")),
            Err(error) => Rejection::from(error).into_response().map(Body::from),
        };
        Ok::<_, Infallible>(response)
    });
    let server = Server::start(app).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "z\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
    ] {
        let response = raw(server.address, format!("{head}{body}").as_bytes()).await;

        assert_eq!(status(&response), "400", "{body:?}: {response}");
        assert!(
            response.contains("connection: close\r\n"),
            "{body:?}: {response}"
        );
    }
}

#[tokio::test]
async fn a_valid_head_reaches_the_application() {
    let recorder = Recorder::default();
    let server = Server::start(anything(&recorder)).await;

    for (line, headers) in [
        ("GET / HTTP/1.0", ""),
        ("GET http://a/ HTTP/1.0", ""),
        ("GET /one HTTP/1.1", "Host: A.example:8000\r\n"),
        ("GET http://a/two HTTP/1.1", "Host: a:80\r\n"),
        ("OPTIONS * HTTP/1.1", "Host: [::1]\r\n"),
        ("GET / HTTP/1.1", "Host:\r\n"),
    ] {
        let request = format!("{line}\r\n{headers}Connection: close\r\n\r\n");
        let response = raw(server.address, request.as_bytes()).await;
        assert_eq!(status(&response), "200", "{request:?}: {response}");
    }

    assert_eq!(recorder.entries().len(), 6);
}

#[tokio::test]
async fn a_request_with_both_lengths_is_rejected_at_any_position() {
    let get = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
    let sized = "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let chunked = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        2\r\nhi\r\n0\r\n\r\n";
    let length_first = "POST /both HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
        Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let coding_first = "POST /both HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\
        content-length: 5\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

    for before in ["", get, sized, chunked] {
        for both in [length_first, coding_first] {
            for in_pieces in [false, true] {
                let recorder = Recorder::default();
                let server = Server::start(anything(&recorder)).await;
                let request = [before, both].concat();

                let responses = match in_pieces {
                    false => raw(server.address, request.as_bytes()).await,
                    true => raw_in_pieces(&server, request.as_bytes()).await,
                };

                let statuses: Vec<_> = responses
                    .match_indices("HTTP/1.1 ")
                    .map(|(at, _)| &responses[at + 9..at + 12])
                    .collect();
                let expected = match before {
                    "" => &["400"][..],
                    _ => &["200", "400"],
                };
                assert_eq!(statuses, expected, "{request:?}: {responses}");
                let asked = recorder.entries();
                assert!(
                    asked.iter().all(|entry| entry.ends_with("/first")),
                    "{asked:?}"
                );
            }
        }
    }
}

/// Sends each byte in a separate write.
async fn raw_in_pieces(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in request {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut response = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&response).into_owned()
}

/// A consumer that reads the whole request body.
struct Reader;

impl HttpConsumer for Reader {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let body = ctx.body().await?;
        ctx.response(body)
    }
}

/// A consumer that reads the request body in chunks.
struct PieceReader;

impl HttpConsumer for PieceReader {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        while ctx.next_chunk().await?.is_some() {}
        ctx.response("read")
    }
}

async fn read_by_hand(_: Scope<Http>, mut exchange: Exchange) -> Result<()> {
    let body = http_body_util::BodyExt::collect(exchange.take_body());
    let body = body.await?.to_bytes();
    Ok(exchange.respond(Response::new(body.into())).await?)
}

/// Returns an app with one route for each way to read a request body.
fn readers() -> ProtocolTypeRouter {
    let channels = Channels::in_memory();
    let axum = axum::Router::new()
        .route("/axum", axum::routing::post(async |body: Bytes| body))
        .route(
            "/result",
            axum::routing::post(async |request: Request<axum::body::Body>| {
                let body = Body::new(request.into_body()).to_bytes(100).await?;
                Result::<Bytes>::Ok(body)
            }),
        )
        .route_service("/consumer", Reader::application(&channels))
        .route_service("/pieces", PieceReader::application(&channels))
        .route_service(
            "/by-hand",
            ProtocolTypeRouter::new().http(application_fn(read_by_hand)),
        )
        .route_service(
            "/failing",
            ProtocolTypeRouter::new().http(from_service(service_fn(
                async |request: Request<Body>| {
                    let body = request.into_body().to_bytes(100).await?;
                    Result::<_>::Ok(Response::new(Body::from(body)))
                },
            ))),
        )
        .route(
            "/careless",
            axum::routing::post(async |request: Request<axum::body::Body>| {
                _ = Body::new(request.into_body()).to_bytes(100).await;
                "never mind"
            }),
        );
    ProtocolTypeRouter::new().http(from_service(axum))
}

#[tokio::test]
async fn a_malformed_or_incomplete_body_gets_400_with_every_way_to_read_it() {
    let server = Server::start(readers()).await;
    let chunked = "Transfer-Encoding: chunked";

    for path in ["axum", "result", "consumer", "pieces", "by-hand", "failing"] {
        for (length, body) in [
            (chunked, "x\r\nahoy\r\n0\r\n\r\n"),
            (chunked, "-1\r\nahoy\r\n0\r\n\r\n"),
            (chunked, "fffffffffffffffff\r\nahoy\r\n0\r\n\r\n"),
            (chunked, "4\r\nahoy0\r\n\r\n"),
            (chunked, "3\r\nahoy\r\n0\r\n\r\n"),
            (chunked, "4\r\nah"),
            (chunked, "4\r\nahoy\r\n"),
            ("Content-Length: 5", "ahoy"),
        ] {
            let request = format!("POST /{path} HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{body}");
            let response = half_closed(&server, &request).await;
            assert_eq!(status(&response), "400", "{request:?}: {response}");
        }
    }
}

/// Sends a request and a FIN, and reads until the server closes the connection.
async fn half_closed(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut response)).await;
    _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&response).into_owned()
}

async fn limited(request: Request<axum::body::Body>) -> Request<axum::body::Body> {
    request.map(|body| axum::body::Body::new(Limited::new(body, 8)))
}

#[tokio::test]
async fn under_axums_server_a_body_that_cannot_be_read_is_the_clients_error() {
    let log = Log::listen();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new()
        .fallback_service(readers())
        .layer(map_request(limited));
    tokio::spawn(axum::serve(listener, app).into_future());

    for path in ["result", "consumer", "pieces", "failing"] {
        for (expected, length, body) in [
            (
                "400",
                "Transfer-Encoding: chunked",
                "x\r\nahoy\r\n0\r\n\r\n",
            ),
            ("413", "Content-Length: 9", "ahoy ahoy"),
            ("200", "Content-Length: 4", "ahoy"),
        ] {
            let request = format!(
                "POST /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{length}\r\n\r\n{body}"
            );
            let response = raw(address, request.as_bytes()).await;
            assert_eq!(status(&response), expected, "{request:?}: {response}");
        }
    }

    assert_eq!(log.complaints(), [""; 0]);
}

#[tokio::test]
async fn the_connection_is_closed_if_a_handler_ignores_a_malformed_body() {
    let server = Server::start(readers()).await;

    let request = b"POST /careless HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        x\r\nGET /careless HTTP/1.1\r\nHost: a\r\n\r\n";
    let response = raw(server.address, request).await;

    assert_eq!(status(&response), "200", "{response}");
    assert!(response.ends_with("never mind"), "{response}");
}

#[tokio::test]
async fn a_valid_body_is_read_in_every_way() {
    let server = Server::start(readers()).await;

    for path in ["axum", "result", "consumer", "pieces", "by-hand", "failing"] {
        for body in [
            "Content-Length: 4\r\n\r\nahoy",
            "Transfer-Encoding: Chunked\r\n\r\n2;note\r\nah\r\n02\r\noy\r\n0\r\nX-Sum: 7\r\n\r\n",
        ] {
            let request =
                format!("POST /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{body}");
            let response = raw(server.address, request.as_bytes()).await;
            assert_eq!(status(&response), "200", "{request:?}: {response}");
        }
    }
}

/// A consumer with the default methods.
struct Brewer;

impl HttpConsumer for Brewer {
    type Event = NoEvent;

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("brewed")
    }
}

/// A consumer with a method that is not accepted by default.
struct CoffeePot;

impl HttpConsumer for CoffeePot {
    type Event = NoEvent;

    const METHODS: &'static [Method] = &[Method::GET, Method::TRACE];

    async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self)
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        ctx.response("brewed")
    }
}

#[tokio::test]
async fn an_unknown_method_gets_405_unless_a_route_names_it() {
    let channels = Channels::in_memory();
    let app = axum::Router::new()
        .route("/page", axum::routing::get(async || "a page"))
        .route("/any", axum::routing::any(async || "anything"))
        .route_service("/brewer", Brewer::application(&channels))
        .route_service("/pot", CoffeePot::application(&channels));
    let server = Server::start(ProtocolTypeRouter::new().http(from_service(app))).await;

    for (line, expected) in [
        ("BREW /page", "405"),
        ("BREW /any", "200"),
        ("BREW /brewer", "405"),
        ("TRACE /brewer", "405"),
        ("DELETE /brewer", "200"),
        ("BREW /pot", "405"),
        ("TRACE /pot", "200"),
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let response = raw(server.address, request.as_bytes()).await;
        assert_eq!(status(&response), expected, "{line}: {response}");
        if expected == "405" {
            assert!(
                response.to_lowercase().contains("\r\nallow: get"),
                "{response}"
            );
        }
    }
}

#[tokio::test]
async fn connect_reaches_the_application_if_it_is_allowed() {
    let recorder = Recorder::default();
    let server = Server::configured(anything(&recorder), |server| server.allow_connect()).await;

    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n";
    stream.write_all(request).await.unwrap();

    let response = read_until(&mut stream, "\r\n\r\n").await;
    assert_eq!(status(&response), "200", "{response}");
    assert_eq!(recorder.entries(), ["CONNECT a:80"]);
    let response = raw(server.address, b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(status(&response), "400", "{response}");
}

#[tokio::test]
async fn over_http_2_host_and_authority_must_agree_and_connect_is_rejected() {
    let recorder = Recorder::default();
    let server = Server::start(anything(&recorder)).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();

    for (method, uri, hosts, expected) in [
        (Method::GET, "http://a/", vec![], 200),
        (Method::GET, "http://a:80/", vec!["A"], 200),
        (Method::GET, "http://a/", vec!["b"], 400),
        (Method::GET, "http://a/", vec!["a", "a"], 400),
        (Method::CONNECT, "a:80", vec![], 501),
    ] {
        let mut request = Request::builder().method(method).uri(uri);
        for host in &hosts {
            request = request.header("host", *host);
        }
        let (response, _) = client
            .send_request(request.body(()).unwrap(), true)
            .unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        assert_eq!(response.status(), expected, "{uri} {hosts:?}");
    }

    assert_eq!(recorder.entries().len(), 2);
    connection.abort();
}

#[tokio::test]
async fn the_limit_on_the_head_size_is_exact() {
    for limit in [100, 8 * 1024, 64 * 1024, 100 * 1024] {
        let recorder = Recorder::default();
        let server = Server::configured(anything(&recorder), |server| server.max_head_size(limit));
        let server = server.await;
        for (size, expected) in [(limit, "200"), (limit + 1, "431")] {
            let start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Giant: ";
            let giant = "x".repeat(size - start.len() - 4);
            let request = format!("{start}{giant}\r\n\r\n");
            assert_eq!(request.len(), size);

            let response = raw(server.address, request.as_bytes()).await;
            assert_eq!(status(&response), expected, "{size} of {limit}: {response}");
        }
    }
}

#[tokio::test]
async fn a_head_over_http_2_that_is_too_large_gets_431() {
    let recorder = Recorder::default();
    let server = Server::start(anything(&recorder)).await;
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();

    for (size, expected) in [(60 * 1024, 200), (65 * 1024, 431)] {
        let request = Request::get("http://a/").header("x-giant", "x".repeat(size));
        let request = request.body(()).unwrap();
        let (response, _) = client.send_request(request, true).unwrap();
        let response = timeout(PATIENCE, response).await.unwrap().unwrap();
        assert_eq!(response.status(), expected, "{size}");
    }
    connection.abort();
}

#[tokio::test]
async fn an_ipv4_client_of_a_dual_stack_listener_has_an_ipv4_address() {
    let address = application_fn(|scope: Scope<Http>, exchange: Exchange| async move {
        let client = scope.client.unwrap().ip().to_string();
        Ok(exchange.respond(Response::new(Body::from(client))).await?)
    });
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = ProtocolTypeRouter::new().http(address);
    let server = tokio::spawn(seaway::serve(listener, app).into_future());

    let get = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let over_ipv4 = raw(([127, 0, 0, 1], port).into(), get).await;
    let over_ipv6 = raw(([0, 0, 0, 0, 0, 0, 0, 1u16], port).into(), get).await;

    assert!(over_ipv4.ends_with("\r\n\r\n127.0.0.1"), "{over_ipv4}");
    assert!(over_ipv6.ends_with("\r\n\r\n::1"), "{over_ipv6}");
    server.abort();
}

#[tokio::test]
async fn a_consumer_with_a_malformed_body_is_disconnected_with_1006() {
    let state = TestState::new();
    let server = Server::start(ProtocolTypeRouter::new().http(state.pages())).await;

    let request = b"POST /?action=read+body HTTP/1.1\r\nHost: a\r\n\
        Transfer-Encoding: chunked\r\n\r\nx\r\n";
    let response = raw(server.address, request).await;

    assert_eq!(
        status(&response),
        StatusCode::BAD_REQUEST.as_str(),
        "{response}"
    );
    assert_eq!(
        state.recorder.wait_for(2).await,
        ["connect", "disconnect ClientLeft"]
    );
}
