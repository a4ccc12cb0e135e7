//! Tests of the tower integration: axum inside Seaway, Seaway inside axum.

use crate::{
    log::Log,
    support::{Server, connect, echo, next_text, send_text, try_connect},
};
use axum::{
    Extension, Router,
    extract::Path,
    response::{IntoResponse, Redirect},
    routing::get,
};
use http::Request;
use http_body_util::BodyExt;
use seaway::{
    ApplicationExt, Channels, ClientAddr, HttpConsumer, HttpContext, HttpHandshake, HttpResponse,
    IntoHttpResponse, Rejection, Result, Scope, Session, WebSocketConsumer, application_fn,
    from_service,
    middleware::Provide,
    protocol::{Body, Exchange, Http, WebSocket},
    routing::{PathRouter, ProtocolTypeRouter},
};
use tower::{Service, ServiceExt};

async fn fetch<S, B>(app: &mut S, path: &str) -> (u16, String)
where
    S: Service<Request<Body>, Response = http::Response<B>, Error = std::convert::Infallible>,
    B: http_body::Body<Data = bytes::Bytes, Error: std::fmt::Debug>,
{
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.ready().await.unwrap().call(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn an_http_consumer_responds_with_what_axum_handlers_return() {
    let redirect = Redirect::to("/lots").into_response();

    let response = redirect.into_http_response().unwrap();

    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "/lots");
}

#[tokio::test]
async fn an_axum_router_serves_pages_and_gets_the_values_of_middleware() {
    let pages = Router::new()
        .route(
            "/hello/{name}",
            get(|Path(name): Path<String>| async move { format!("hello {name}") }),
        )
        .route(
            "/who",
            get(|Extension(who): Extension<&'static str>| async move { who }),
        );
    let mut app = ProtocolTypeRouter::new().http(from_service(pages).with(Provide("ana")));

    assert_eq!(fetch(&mut app, "/hello/bo").await, (200, "hello bo".into()));
    assert_eq!(fetch(&mut app, "/who").await, (200, "ana".into()));
    assert_eq!(fetch(&mut app, "/nowhere").await.0, 404);
}

#[tokio::test]
async fn a_page_that_extracts_a_session_without_the_middleware_responds_500() {
    let pages = Router::new().route("/", get(|_: Session| async { "a page" }));
    let mut app = ProtocolTypeRouter::new().http(from_service(pages));

    assert_eq!(fetch(&mut app, "/").await.0, 500);
}

#[tokio::test]
async fn a_page_that_panics_responds_500_and_is_logged_once() {
    let log = Log::listen();
    let page = async || -> &'static str { panic!("no page") };
    let pages = Router::new().route("/", get(page));
    let mut app = ProtocolTypeRouter::new().http(from_service(pages));

    assert_eq!(fetch(&mut app, "/").await.0, 500);

    let failures = log.lines("application");
    assert!(failures[0].contains("panicked: no page"), "{failures:?}");
    assert_eq!(failures.len(), 1, "{failures:?}");
}

#[tokio::test]
async fn sockets_and_pages_share_a_port() {
    let pages = Router::new().route("/", get(|| async { "a page" }));
    let app = ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(PathRouter::new().route("/ws/echo", echo()));
    let server = Server::start(app.clone()).await;

    let mut client = connect(server.address, "/ws/echo").await;
    send_text(&mut client, "ahoy").await;

    assert_eq!(next_text(&mut client).await, "ahoy");
    assert_eq!(fetch(&mut app.clone(), "/").await, (200, "a page".into()));
    assert_eq!(
        try_connect(server.address, "/ws/nowhere", &[]).await.err(),
        Some(404)
    );
}

#[tokio::test]
async fn an_app_without_pages_responds_426_if_it_has_websockets() {
    let mut sockets = ProtocolTypeRouter::new().websocket(echo());
    let mut nothing = ProtocolTypeRouter::new();

    assert_eq!(fetch(&mut sockets, "/").await.0, 426);
    assert_eq!(fetch(&mut nothing, "/").await.0, 404);
}

#[tokio::test]
async fn a_handshake_that_reaches_only_pages_is_logged_with_what_is_missing() {
    let log = Log::listen();
    let pages = Router::new().route("/ws", get(|| async { "a page" }));
    let mut app = ProtocolTypeRouter::new().http(from_service(pages));
    let mut handshake = async |path| {
        let request = Request::get(path)
            .header("upgrade", "websocket")
            .body(axum::body::Body::empty());
        app.call(request.unwrap()).await.unwrap().status().as_u16()
    };

    assert_eq!(handshake("/ws").await, 200);
    assert_eq!(handshake("/ws/chat").await, 404);

    let line = log.line("no WebSocket application is set");
    assert!(line.contains("/ws/chat") && line.contains("404"), "{line}");
    log.clear();
    let pages = PathRouter::new().route("/", application_fn(no_page));
    app = ProtocolTypeRouter::new().http(pages);
    let request = Request::get("/ws").header("upgrade", "websocket");
    let request = request.body(axum::body::Body::empty()).unwrap();
    assert_eq!(app.call(request).await.unwrap().status().as_u16(), 404);
    assert!(log.line("rejected a client").contains("path"));
}

async fn no_page(_: Scope<Http>, exchange: Exchange) -> Result<()> {
    Ok(exchange.respond(http::Response::new(Body::empty())).await?)
}

#[tokio::test]
async fn a_router_and_a_single_consumer_mount_inside_an_axum_app_under_axums_own_server() {
    let seaway = ProtocolTypeRouter::new().websocket(PathRouter::new().route("/in/echo", echo()));
    let app = Router::new()
        .route("/", get(|| async { "axum" }))
        .route_service("/single", echo())
        .fallback_service(seaway);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["/single", "/in/echo"] {
        let mut client = connect(address, path).await;
        send_text(&mut client, "ahoy").await;
        assert_eq!(next_text(&mut client).await, "ahoy", "{path}");
    }
    assert_eq!(
        try_connect(address, "/in/nowhere", &[]).await.err(),
        Some(404)
    );
}

#[tokio::test]
async fn under_axums_server_a_consumer_has_the_extensions_of_layers_and_no_client_address() {
    /// Sends a value of an axum layer, and whether it has an address.
    struct Observer(u8, bool);
    impl WebSocketConsumer for Observer {
        type Input = String;
        type Event = seaway::NoEvent;

        async fn connect(handshake: &mut seaway::Handshake) -> Result<Self, Rejection> {
            if handshake.headers().contains_key("x-address") {
                handshake.extract::<ClientAddr>().await?;
            }
            let address: Option<ClientAddr> = handshake.extract().await?;
            Ok(Self(*handshake.state()?, address.is_some()))
        }

        async fn opened(&mut self, ctx: &mut seaway::Context) -> Result<()> {
            Ok(ctx.send(format!("{} {}", self.0, self.1)).await?)
        }

        async fn receive(&mut self, _: &mut seaway::Context, _: String) -> Result<()> {
            Ok(())
        }
    }
    let sockets = PathRouter::new().route("/", Observer::application(&Channels::in_memory()));
    let app = Router::new()
        .fallback_service(sockets)
        .layer(Extension(7_u8));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });

    let mut client = connect(address, "/").await;
    let rejected = try_connect(address, "/", &[("x-address", "yes")]).await;

    assert_eq!(next_text(&mut client).await, "7 false");
    assert_eq!(rejected.err(), Some(500));
}

#[tokio::test]
async fn path_routers_mount_inside_an_axum_app_and_are_served_alone() {
    let sockets = PathRouter::<WebSocket>::new().route("/echo/{name}", echo());
    let pages = PathRouter::<Http>::new().route(
        "/hello/{name}",
        from_service(Router::new().fallback(async || "hello")),
    );
    let app = Router::new()
        .route("/", get(|| async { "axum" }))
        .nest_service("/ws", sockets.clone())
        .nest_service("/live", pages.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app.clone()).await });
    let mut client = connect(address, "/ws/echo/ana").await;
    send_text(&mut client, "ahoy").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
    for (path, status) in [("/ws/nowhere", 404), ("/live/hello/ana", 200)] {
        assert_eq!(
            try_connect(address, path, &[]).await.err(),
            Some(status),
            "{path}"
        );
    }

    assert_eq!(
        fetch(&mut pages.clone(), "/hello/ana").await,
        (200, "hello".into())
    );
    assert_eq!(fetch(&mut pages.clone(), "/nowhere").await.0, 404);
    assert_eq!(fetch(&mut sockets.clone(), "/echo/ana").await.0, 426);
    let server = Server::start(sockets).await;
    let mut client = connect(server.address, "/echo/ana").await;
    send_text(&mut client, "ahoy").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
}

#[test]
fn a_clone_of_a_path_router_gets_no_routes_of_the_other() {
    let first = PathRouter::<WebSocket>::new().route("/one", echo());
    let second = first.clone().route("/two", echo());

    // The same path twice is a mistake, so the second router has both routes, and the first one.
    _ = first.route("/two", echo());
    let twice = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        second.route("/one", echo())
    }));
    assert!(twice.is_err());
}

#[tokio::test]
async fn seaways_server_serves_a_plain_axum_app() {
    let app = Router::new()
        .route("/", get(|| async { "axum" }))
        .route_service("/ws", echo());
    let server = Server::start(app).await;

    let mut client = connect(server.address, "/ws").await;
    send_text(&mut client, "ahoy").await;

    assert_eq!(next_text(&mut client).await, "ahoy");
}

/// A consumer that greets the name in the path.
struct Greeter(String);

impl HttpConsumer for Greeter {
    type Event = seaway::NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.param("name")?))
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        match self.0.as_str() {
            "nobody" => Err(seaway::Error::user("nobody is here").into()),
            "panic" => panic!("in an HTTP consumer"),
            name => ctx.response(format!("hello {name}")),
        }
    }
}

#[tokio::test]
async fn an_http_consumer_responds_or_fails_with_500() {
    let greeter = Greeter::application(&Channels::in_memory());
    let mut app = ProtocolTypeRouter::new().http(PathRouter::new().route("/hello/{name}", greeter));

    assert_eq!(
        fetch(&mut app, "/hello/ana").await,
        (200, "hello ana".into())
    );
    assert_eq!(fetch(&mut app, "/hello/nobody").await.0, 500);
    assert_eq!(fetch(&mut app, "/hello/panic").await.0, 500);
}

#[tokio::test]
async fn a_page_that_panics_responds_500_and_affects_no_other_request() {
    let pages = Router::new().route("/", get(|| async { "fine" })).route(
        "/panic",
        get(|| async {
            if true {
                panic!("in a page")
            }
        }),
    );
    let app = ProtocolTypeRouter::new().http(from_service(pages));

    assert_eq!(fetch(&mut app.clone(), "/panic").await.0, 500);
    assert_eq!(fetch(&mut app.clone(), "/").await, (200, "fine".into()));
}

#[tokio::test]
async fn a_request_may_wait_for_an_event() {
    use serde::{Deserialize, Serialize};
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type", rename = "news")]
    struct News {
        text: String,
    }

    impl seaway::Event for News {}
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Other {
        Stray { number: u32 },
    }

    impl seaway::Event for Other {}
    struct Next;
    impl HttpConsumer for Next {
        type Event = News;
        async fn connect(handshake: &mut HttpHandshake<News>) -> Result<Self, Rejection> {
            handshake.join("news").await?;
            Ok(Next)
        }
        async fn handle(&mut self, ctx: &mut HttpContext<News>) -> Result<HttpResponse> {
            // An event of another type is skipped.
            let anonymous = ctx.channels().group::<Other>("news")?;
            anonymous.send(&Other::Stray { number: 1 }).await?;
            // It receives its own event too, as it has joined.
            let text = "extra".into();
            let news = ctx.channels().group("news")?;
            news.send(&News { text }).await?;
            match ctx.next_event().await? {
                Some(event) => ctx.response(event.text.clone()),
                None => ctx.response("the server stops"),
            }
        }
    }
    let channels = Channels::in_memory();
    let mut app = ProtocolTypeRouter::new().http(Next::application(&channels));

    assert_eq!(fetch(&mut app, "/").await, (200, "extra".into()));
    assert_eq!(channels.undecodable(), 1);
}

#[tokio::test]
async fn a_path_router_inside_a_nested_axum_app_matches_what_axum_leaves_of_the_path() {
    let room = application_fn(async |scope: Scope<Http>, exchange: Exchange| {
        let room: String = scope.param("room").unwrap_or_default();
        Ok(exchange
            .respond(http::Response::new(Body::from(room)))
            .await?)
    });
    let rooms = PathRouter::<Http>::new().route("/rooms/{room}", room);
    let pages = Router::new().nest_service("/app/live", rooms);
    let mut app = PathRouter::<Http>::new().nest("/app", from_service(pages));

    let room = fetch(&mut app, "/app/live/rooms/7").await;
    let elsewhere = fetch(&mut app, "/app/live/abc/rooms/7").await;

    assert_eq!(room, (200, "7".into()));
    assert_eq!(elsewhere.0, 404);
}
