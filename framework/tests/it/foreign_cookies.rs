//! Tests with cookies of other applications on the same host, which must not hide ours.

use crate::auth_app::{Site, asking};
use axum::{Router, routing::get};
use http::{HeaderValue, Request, header::COOKIE};
use seaway::{
    Channels, Context, Cookies, Handshake, NoEvent, Rejection, Result, WebSocketConsumer,
    from_service, middleware::Sessions, routing::ProtocolTypeRouter, testing::TestClient,
};

/// Returns a `Cookie` header with our cookie, and another application's before or behind it.
fn line(before: &[u8], ours: &str, behind: &[u8]) -> HeaderValue {
    let line = [before, ours.as_bytes(), behind].concat();
    HeaderValue::from_bytes(&line).unwrap()
}

#[tokio::test]
async fn a_foreign_cookie_with_any_bytes_does_not_log_a_user_out() {
    let site = Site::new();
    let ours = site.log_in("ana").await;
    for (before, behind) in [
        (&b"name=Zo\xeb; "[..], &b""[..]),
        (b"", b"; name=Zo\xeb"),
        (b"name=Zo%EB; ", b""),
        (b"\xff; =; ;; ", b"; \xfe\xff=\xff"),
    ] {
        let cookies = line(before, &ours, behind);

        let page = site.request(asking("/me", &[]).header(COOKIE, &cookies));
        assert_eq!(page.await.body(), "ana", "{cookies:?}");

        let mut socket = site.knock(asking("/who", &[]).header(COOKIE, &cookies));
        assert_eq!(socket.status().await, 101, "{cookies:?}");
        assert_eq!(socket.receive_text().await, "ana");
    }
}

#[tokio::test]
async fn the_first_of_two_session_cookies_counts() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let bo = site.log_in("bo").await;
    for (first, second, expected) in [(&ana, &bo, "ana"), (&bo, &ana, "bo")] {
        let both = format!("{first}; {second}");

        let page = site.get("/me", &[("cookie", &both)]).await;
        assert_eq!(page.body(), expected);
        assert_eq!(site.who(&both).await.1, expected);
    }
}

/// Sends a cookie by each means by which a consumer reads it.
struct Theme(String);

impl WebSocketConsumer for Theme {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let cookies: Cookies = handshake.extract().await?;
        let of_scope = handshake
            .scope()
            .cookies()
            .find(|one| one.name() == "theme");
        let found = [
            cookies.get("theme").map(str::to_owned),
            handshake.cookie("theme"),
            of_scope.map(|one| one.value().to_owned()),
        ];
        Ok(Self(format!("{found:?}")))
    }
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.as_str()).await?)
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_first_cookie_of_a_name_counts_wherever_it_is_read() {
    let page = async |cookies: Cookies| cookies.get("theme").unwrap_or_default().to_owned();
    let app = ProtocolTypeRouter::new()
        .http(from_service(Router::new().route("/", get(page))))
        .websocket(Theme::application(&Channels::in_memory()));
    let client = TestClient::new(&app);
    let both = "theme=dark; lang=da; theme=light; Theme=blue";

    let page = client.get("/").header("cookie", both).await;
    let mut socket = client.open_websocket(Request::get("/").header(COOKIE, both));

    assert_eq!(page.text(), "dark");
    let all = r#"[Some("dark"), Some("dark"), Some("dark")]"#;
    assert_eq!(socket.receive_text().await, all);
}

#[tokio::test]
async fn a_session_cookie_with_the_host_prefix_is_set_and_read_under_that_name() {
    for (sessions, name) in [
        (
            Sessions::host_prefix as fn(Sessions) -> Sessions,
            "__Host-session",
        ),
        (
            |sessions| sessions.cookie_name("shop").host_prefix(),
            "__Host-shop",
        ),
        (
            |sessions| sessions.host_prefix().cookie_name("shop"),
            "__Host-shop",
        ),
        (
            |sessions| sessions.host_prefix().cookie_name("__Host-id"),
            "__Host-id",
        ),
    ] {
        let site = Site::with(|auth| auth, sessions);
        let ana = TestClient::new(&site.app);

        ana.log_in_as(&site.accounts.get("ana")).await;

        assert!(ana.cookie(name).is_some(), "{name}: {ana:?}");
        assert_eq!(ana.get("/me").await.text(), "ana");
    }
}

#[test]
#[should_panic(expected = "__Host- needs secure(true)")]
fn the_host_prefix_needs_a_secure_cookie() {
    Site::with(|auth| auth, |sessions| sessions.host_prefix().secure(false));
}

#[tokio::test]
async fn a_percent_encoded_name_is_another_name() {
    let site = Site::new();
    let ours = site.log_in("ana").await;
    let disguised = ours.replacen("session", "%73ession", 1);

    let page = site.get("/perhaps", &[("cookie", &disguised)]).await;

    assert_eq!(page.body(), "nobody");
}
