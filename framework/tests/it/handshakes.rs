//! Tests of the handshake: what `connect` reads from the request, and how it rejects.

use crate::support::echo;
use http::{HeaderValue, Request, StatusCode, header};
use seaway::{
    ApplicationExt, Channels, Context, Handshake, NoEvent, Rejection, Result, Scope,
    WebSocketConsumer,
    protocol::{AllowedOrigins, Http, WebSocketConfig},
    testing::WebSocketCommunicator,
};
use std::time::Duration;

/// A consumer that sends what `connect` has read.
struct Doorkeeper(String);

impl WebSocketConsumer for Doorkeeper {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        if handshake.cookie("banned").is_some() {
            return Err(Rejection::new(StatusCode::FORBIDDEN, "you again"));
        }
        let name: String = handshake.query("name")?;
        let age: u8 = handshake.query("age")?;
        let chosen = handshake.choose_subprotocol(&["v2", "v1"]);
        let theme = handshake.cookie("theme").unwrap_or_default();
        let seen = format!("{name} {age} {chosen:?} {theme}");
        handshake
            .response_headers_mut()
            .insert("x-seen", HeaderValue::from_static("yes"));
        Ok(Self(seen))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.as_str()).await?)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

fn knock(request: http::request::Builder) -> WebSocketCommunicator {
    let app = Doorkeeper::application(&Channels::in_memory()).boxed();
    WebSocketCommunicator::open(&app, request)
}

#[tokio::test]
async fn connect_reads_query_cookies_and_subprotocols_and_sets_headers() {
    let mut client = knock(
        Request::get("/?age=30&name=Ana+Bo%20%C3%A5")
            .header(header::COOKIE, "theme=dark%20blue; other=1")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "v1, v2"),
    );

    let response = client.response().await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["x-seen"], "yes");
    assert_eq!(response.headers()["sec-websocket-protocol"], "v2");
    assert_eq!(
        client.receive_text().await,
        "Ana Bo \u{e5} 30 Some(\"v2\") dark blue"
    );
}

#[tokio::test]
async fn invalid_utf_8_in_a_header_does_not_hide_other_values() {
    let bytes = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    let mut client = knock(
        Request::get("/?age=30&name=a")
            .header(
                header::COOKIE,
                bytes(b"name=Zo\xeb; theme=dark; theme=light"),
            )
            .header(header::SEC_WEBSOCKET_PROTOCOL, bytes(b"\xff, v1")),
    );

    assert_eq!(client.receive_text().await, "a 30 Some(\"v1\") dark");
}

#[tokio::test]
async fn a_rejection_has_the_consumers_status_and_text() {
    let mut client = knock(Request::get("/?name=a&age=1").header(header::COOKIE, "banned=1"));

    let response = client.response().await;
    assert_eq!(response.status(), 403);
    assert_eq!(response.body(), "you again");
    client.drop_connection().await.unwrap();
}

#[tokio::test]
async fn a_missing_or_malformed_parameter_is_a_400_that_names_it() {
    for (path, culprit) in [("/?age=1", "name"), ("/?name=a&age=x", "age")] {
        let mut client = knock(Request::get(path));

        let response = client.response().await;
        assert_eq!(response.status(), 400);
        assert!(response.body().contains(culprit), "{}", response.body());
    }
}

#[test]
fn an_optional_parameter_may_be_missing_but_not_malformed() {
    let (head, ()) = Request::get("/?age=30&name=&x=a+b")
        .body(())
        .unwrap()
        .into_parts();
    let scope = Scope::<Http>::new(head);

    assert_eq!(scope.query_opt("age").unwrap(), Some(30_u8));
    assert_eq!(scope.query_opt::<u8>("height").unwrap(), None);
    let malformed = scope.query_opt::<u8>("name").unwrap_err();
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    assert_eq!(scope.raw_query("x").as_deref(), Some("a b"));
    assert_eq!(scope.param_opt::<u8>("room").unwrap(), None);
}

#[tokio::test]
async fn a_foreign_origin_is_rejected_before_connect() {
    let from = |origin| {
        Request::get("/")
            .header(header::HOST, "chat.example")
            .header(header::ORIGIN, origin)
    };
    let open = echo().boxed();
    let listed = echo()
        .with(WebSocketConfig::new())
        .with(AllowedOrigins::list(["https://app.example"]))
        .with(WebSocketConfig::new())
        .boxed();
    for (app, origin, status) in [
        (&open, "https://chat.example", 101),
        (&open, "https://evil.example", 403),
        (&open, "null", 403),
        (&listed, "https://app.example", 101),
        (&listed, "https://chat.example", 403),
    ] {
        let mut client = WebSocketCommunicator::open(app, from(origin));
        assert_eq!(client.status().await, status, "{origin}");
    }
}

/// A consumer whose `connect` fails as its path names.
struct Misbehaving;

impl WebSocketConsumer for Misbehaving {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        match handshake.scope().head.uri.path() {
            "/panic" => panic!("in connect"),
            "/hang" => std::future::pending().await,
            "/join" => drop(handshake.join("no group/name").await?),
            "/state" => drop(handshake.state::<Duration>()?.to_owned()),
            _ => {}
        }
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_of_connect_has_its_status() {
    let app = Misbehaving::application(&Channels::in_memory()).boxed();
    for (path, status) in [("/", 101), ("/join", 400), ("/state", 500), ("/panic", 500)] {
        let mut client = WebSocketCommunicator::open(&app, Request::get(path));
        assert_eq!(client.status().await, status, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connect_that_times_out_responds_503() {
    let config = WebSocketConfig::new().connect_timeout(Duration::from_secs(2));
    let app = Misbehaving::application(&Channels::in_memory())
        .with(config)
        .boxed();
    let before = tokio::time::Instant::now();

    let mut client = WebSocketCommunicator::open(&app, Request::get("/hang"));

    assert_eq!(client.status().await, 503);
    assert_eq!(before.elapsed().as_secs(), 2);
}
