//! Tests of the test client: cookies, JSON, and login without a password.

use crate::auth_app::{Account, Accounts, Site};
use axum::{Json, Router, routing::post};
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    HttpResponse, NoEvent, Rejection, Result, Session, User, WebSocketConsumer, from_service,
    http::{HeaderValue, Method, Request, header},
    middleware::{Auth, Sessions},
    protocol::{Http, WebSocket},
    routing::{PathRouter, ProtocolTypeRouter},
    session::MemoryStore,
    testing::TestClient,
};
use serde::{Deserialize, Serialize};

#[tokio::test]
async fn cookies_are_kept_between_requests_and_websockets() {
    let site = Site::new();
    let ana = TestClient::new(&site.app);

    ana.get("/login/ana/open%20sesame").await;

    assert_eq!(ana.get("/me").await.text(), "ana");
    let mut socket = ana.websocket("/who");
    assert_eq!(socket.receive_text().await, "ana");
    assert_eq!(ana.clone().get("/me").await.text(), "ana");
    assert_eq!(TestClient::new(&site.app).get("/me").await.status(), 401);

    ana.get("/logout").await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(ana.cookie("session"), None);
    assert_eq!(ana.get("/me").await.status(), 401);
}

#[tokio::test]
async fn a_client_logs_in_without_a_password() {
    let site = Site::new();
    let (ana, bo) = (TestClient::new(&site.app), TestClient::new(&site.app));

    ana.log_in_as(&site.accounts.get("ana")).await;
    bo.log_in_as(&site.accounts.get("bo")).await;

    assert_eq!(ana.get("/me").await.text(), "ana");
    assert_eq!(bo.get("/me").await.text(), "bo");
    let mut socket = ana.websocket("/who");
    assert_eq!(socket.receive_text().await, "ana");
    ana.log_in_as(&site.accounts.get("bo")).await;
    assert_eq!(ana.get("/me").await.text(), "bo");
}

#[tokio::test]
async fn a_login_without_pages_goes_through_the_websockets() {
    let app =
        guarded(ProtocolTypeRouter::new().websocket(Name::application(&Channels::in_memory())));
    let ana = TestClient::new(&app);

    ana.log_in_as(&accounts().get("ana")).await;

    assert_eq!(ana.websocket("/").receive_text().await, "ana");
}

#[tokio::test]
async fn a_login_names_the_path_that_auth_is_around() {
    let channels = Channels::in_memory();
    let sessions = Sessions::new(MemoryStore::default(), &channels);
    let members = Name::application(&channels)
        .with(Auth::new(accounts()))
        .with(sessions.clone());
    let pages = from_service(Router::new())
        .with(Auth::new(accounts()))
        .with(sessions);
    let app = ProtocolTypeRouter::new()
        .http(PathRouter::<Http>::new().nest("/members", pages))
        .websocket(PathRouter::<WebSocket>::new().nest("/members", members));
    let ana = TestClient::new(&app);

    ana.log_in_at("/members", &accounts().get("ana")).await;

    assert_eq!(ana.websocket("/members").receive_text().await, "ana");
    let elsewhere = TestClient::new(&app);
    let failed = tokio::spawn(async move { elsewhere.log_in_as(&accounts().get("ana")).await });
    let failed = failed.await.unwrap_err().into_panic();
    let failed = failed.downcast::<String>().unwrap();
    assert!(failed.starts_with("no Auth with users of type"), "{failed}");
    assert!(
        failed.contains("saw the request for /, which got 404"),
        "{failed}"
    );
    assert!(failed.contains(file!()), "{failed}");
}

#[tokio::test]
async fn a_login_without_sessions_fails_and_names_what_is_missing() {
    let app = ProtocolTypeRouter::new()
        .http(from_service(Router::new()))
        .with(Auth::new(accounts()));
    let ana = TestClient::new(&app);

    let failed = tokio::spawn(async move { ana.log_in_as(&accounts().get("ana")).await });

    let failed = failed.await.unwrap_err().into_panic();
    let failed = failed.downcast::<String>().unwrap();
    assert!(
        failed.contains("wrap Auth in the middleware Sessions"),
        "{failed}"
    );
}

#[tokio::test]
async fn values_are_sent_and_received_as_json() {
    let app = ProtocolTypeRouter::new()
        .http(from_service(
            Router::new().route("/sum", post(sum)).fallback(echo),
        ))
        .websocket(Adder::application(&Channels::in_memory()));
    let client = TestClient::new(&app);
    let terms = Terms { a: 2, b: 3 };

    let response = client.post("/sum").json(&terms).await;
    assert_eq!(response.json::<Sum>(), Sum { sum: 5 });
    assert_eq!(response.header("content-type"), Some("application/json"));
    let mut socket = client.websocket("/");
    socket.send_json(&terms).await;
    assert_eq!(socket.receive_json::<Sum>().await, Sum { sum: 5 });

    let form = client
        .post("/")
        .form(&[("name", "Zo\u{eb} & co"), ("a", "1")])
        .await;
    assert_eq!(form.text(), "POST name=Zo%C3%AB%20%26%20co&a=1");
    let put = client
        .request(Method::PUT, "/")
        .header("x-a", "1")
        .body("as it is")
        .await;
    assert_eq!(put.text(), "PUT as it is");
}

#[tokio::test]
async fn the_events_of_a_stream_are_json_and_its_cookie_is_kept() {
    let app = ProtocolTypeRouter::new()
        .http(Feed::application(&Channels::in_memory()))
        .websocket(Cookie::application(&Channels::in_memory()));
    let client = TestClient::new(&app);

    let mut feed = client.get("/").open();
    assert_eq!(feed.receive_event().await.json::<Sum>(), Sum { sum: 7 });

    assert_eq!(client.cookie("feed").as_deref(), Some("1"));
    let mut socket = client.websocket("/");
    assert_eq!(socket.receive_text().await, "feed=1");
    let request = Request::get("/").header("cookie", "feed=2");
    let mut socket = client.open_websocket(request);
    assert_eq!(socket.receive_text().await, "feed=2");
    client.set_cookie("feed", "3");
    let mut socket = client.websocket("/");
    assert_eq!(socket.receive_text().await, "feed=3");
}

fn accounts() -> Accounts {
    Accounts::of(&["ana"])
}

fn guarded(app: ProtocolTypeRouter) -> ProtocolTypeRouter {
    let sessions = Sessions::new(MemoryStore::default(), &Channels::in_memory());
    app.with(Auth::new(accounts())).with(sessions)
}

async fn sum(Json(terms): Json<Terms>) -> Json<Sum> {
    Json(Sum {
        sum: terms.a + terms.b,
    })
}

async fn echo(method: Method, body: String) -> String {
    format!("{method} {body}")
}

#[derive(Serialize, Deserialize)]
struct Terms {
    a: u32,
    b: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Sum {
    sum: u32,
}

struct Adder;

impl WebSocketConsumer for Adder {
    type Input = seaway::Json<Terms>;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self)
    }
    async fn receive(&mut self, ctx: &mut Context, terms: Self::Input) -> Result<()> {
        let sum = terms.0.a + terms.0.b;
        Ok(ctx.send(seaway::Json(Sum { sum })).await?)
    }
}

/// Sends the name of its user.
struct Name(String);

impl WebSocketConsumer for Name {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let user: User<Account> = handshake.extract().await?;
        _ = handshake.extract::<Session>().await?;
        Ok(Self(user.name.clone()))
    }
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.as_str()).await?)
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

/// Sends its `Cookie` header.
struct Cookie(String);

impl WebSocketConsumer for Cookie {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let cookie = handshake.headers().get(header::COOKIE);
        Ok(Self(
            cookie
                .map_or("", |cookie| cookie.to_str().unwrap())
                .to_owned(),
        ))
    }
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.as_str()).await?)
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

/// Streams one event, and sets a cookie.
struct Feed;

impl HttpConsumer for Feed {
    type Event = NoEvent;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        let cookie = HeaderValue::from_static("feed=1");
        handshake
            .response_headers_mut()
            .append(header::SET_COOKIE, cookie);
        Ok(Self)
    }
    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let events = ctx.sse().await?;
        events.send(r#"{"sum":7}"#).await?;
        ctx.next_event().await?;
        Ok(events.end())
    }
}

#[tokio::test]
async fn a_content_type_replaces_that_of_the_json_before_it() {
    let show = |headers: axum::http::HeaderMap| async move {
        let types = headers.get_all(header::CONTENT_TYPE).iter();
        let types: Vec<_> = types
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        Json(types)
    };
    let app = ProtocolTypeRouter::new().http(from_service(Router::new().route("/", post(show))));
    let request = TestClient::new(&app).post("/").json(&1);

    let response = request
        .header("content-type", "application/vnd.api+json")
        .await;

    assert_eq!(response.json::<Vec<String>>(), ["application/vnd.api+json"]);
}
