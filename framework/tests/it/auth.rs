//! Tests of authentication: login, logout, guards, and a user's WebSockets.

use crate::{
    auth_app::{Account, Accounts, Site, asking, cookie},
    support::eventually,
};
use axum::{Router, extract::OriginalUri, routing::get};
use seaway::{
    ApplicationExt, Channels, Close, WebSocketConsumer, from_service,
    middleware::{Auth, RequireUser, Sessions},
    routing::ProtocolTypeRouter,
    session::{
        Expiry, Key, MemoryStore, SameSite,
        time::{Duration as Span, OffsetDateTime},
    },
    testing::HttpCommunicator,
};
use std::time::Duration;
use tower::ServiceExt;

#[tokio::test]
async fn a_login_on_a_page_applies_to_pages_and_websockets() {
    let site = Site::new();
    let ana = site.log_in("ana").await;

    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");
    assert_eq!(site.who(&ana).await.1, "ana");
    assert_eq!(site.get("/me", &[]).await.status(), 401);
    assert_eq!(site.get("/perhaps", &[]).await.body(), "nobody");
    assert_eq!(site.who("").await.1, "nobody");
}

#[tokio::test]
async fn a_wrong_password_fails_the_login() {
    let site = Site::new();

    let page = site.get("/login/ana/sesame", &[]).await;

    assert_eq!(page.body(), "wrong name or password");
    assert_eq!(cookie(&page), None);
}

#[tokio::test]
async fn a_logout_closes_only_the_websockets_of_its_session() {
    let site = Site::new();
    let (here, there, bo) = (
        site.log_in("ana").await,
        site.log_in("ana").await,
        site.log_in("bo").await,
    );
    let (mut first, _) = site.who(&here).await;
    let (mut second, _) = site.who(&here).await;
    let (mut elsewhere, _) = site.who(&there).await;
    let (mut other, _) = site.who(&bo).await;

    let page = site.get("/logout", &[("cookie", &here)]).await;

    assert!(
        cookie(&page).unwrap().ends_with('='),
        "the cookie is taken back"
    );
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    }
    for socket in [&mut elsewhere, &mut other] {
        socket.send("still here").await;
        assert_eq!(socket.receive_text().await, "still here");
    }
    assert_eq!(site.get("/me", &[("cookie", &here)]).await.status(), 401);
    assert_eq!(site.get("/me", &[("cookie", &there)]).await.body(), "ana");
}

#[tokio::test]
async fn a_websocket_that_reads_its_user_later_is_closed_at_logout() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let mut cut = site.open("/late", &[("cookie", &ana)]).await;
    for _ in 0..2 {
        cut.send("who?").await;
        assert_eq!(cut.receive_text().await, "ana");
    }
    site.channels.disconnect_user("ana").await.unwrap();
    assert_eq!(cut.receive_close().await.code, Close::UNAUTHORIZED);

    let mut late = site.open("/late", &[("cookie", &ana)]).await;
    for _ in 0..2 {
        late.send("who?").await;
        assert_eq!(late.receive_text().await, "ana");
    }
    site.get("/logout", &[("cookie", &ana)]).await;
    assert_eq!(late.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn an_open_websocket_can_log_out_but_not_log_in() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let (mut socket, _) = site.who(&ana).await;

    socket.send("log in").await;
    let response = socket.receive_text().await;
    assert!(response.contains("log in in an HTTP handler"), "{response}");
    socket.send("log out").await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn a_handshake_can_log_in_with_or_without_a_session_and_a_logout_closes_its_websocket() {
    let site = Site::new();
    let anonymous = cookie(&site.get("/note", &[]).await).unwrap();

    for headers in [&[][..], &[("cookie", anonymous.as_str())]] {
        let mut socket = site.open("/who?login=ana", headers).await;
        let ana = cookie(socket.reply().await).expect("a cookie on the 101");
        assert_eq!(socket.receive_text().await, "ana");
        assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");

        site.get("/logout", &[("cookie", &ana)]).await;

        assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn anonymous_session_values_survive_a_login_and_those_of_another_user_do_not() {
    let site = Site::new();
    let anonymous = cookie(&site.get("/note", &[]).await).unwrap();

    let page = site
        .get("/login/ana/open%20sesame", &[("cookie", &anonymous)])
        .await;
    let ana = cookie(&page).unwrap();
    let noted = async |cookie: &str| site.get("/noted", &[("cookie", cookie)]).await.into_body();
    assert_eq!(noted(&ana).await, "kept");
    let page = site
        .get("/login/bo/open%20sesame", &[("cookie", &ana)])
        .await;
    let bo = cookie(&page).unwrap();

    assert_ne!(anonymous, ana);
    assert_ne!(ana, bo);
    assert_eq!(noted(&bo).await, "");
    assert_eq!(site.get("/me", &[("cookie", &bo)]).await.body(), "bo");
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn guards_redirect_anonymous_requests_to_the_login_and_reject_unauthorized_users() {
    let site = Site::new();
    let (ana, root) = (site.log_in("ana").await, site.log_in("root").await);

    let page = site.get("/members?tab=2&x=a%20b", &[]).await;
    assert_eq!(page.status(), 303);
    assert_eq!(
        page.headers()["location"],
        "/login?next=%2Fmembers%3Ftab%3D2%26x%3Da%2520b"
    );
    assert_eq!(site.handshake_status("/members", &[]).await, 401);
    assert_eq!(
        site.get("/members", &[("cookie", &ana)]).await.body(),
        "ana"
    );
    assert_eq!(site.get("/staff", &[]).await.status(), 401);
    assert_eq!(site.get("/staff", &[("cookie", &ana)]).await.status(), 403);
    assert_eq!(
        site.handshake_status("/staff", &[("cookie", &ana)]).await,
        403
    );
    assert_eq!(
        site.get("/staff", &[("cookie", &root)]).await.body(),
        "root"
    );
    assert_eq!(
        site.handshake_status("/staff", &[("cookie", &root)]).await,
        101
    );
}

#[tokio::test]
async fn a_guard_protects_routes_of_an_axum_app() {
    let site = Site::new();
    let (ana, root) = (site.log_in("ana").await, site.log_in("root").await);

    let page = site.get("/crew?x=1", &[]).await;
    assert_eq!(page.status(), 303);
    assert_eq!(page.headers()["location"], "/login?next=%2Fcrew%3Fx%3D1");
    assert_eq!(site.get("/crew", &[("cookie", &ana)]).await.body(), "ana");
    assert_eq!(site.get("/bridge", &[]).await.status(), 401);
    assert_eq!(site.get("/bridge", &[("cookie", &ana)]).await.status(), 403);
    assert_eq!(
        site.get("/bridge", &[("cookie", &root)]).await.body(),
        "root"
    );

    let form = |accept| asking("/crew", &[("accept", accept)]).method("POST");
    let page = site.request(form("text/html,*/*")).await;
    assert_eq!(
        (
            page.status().as_u16(),
            page.headers()["location"].to_str().unwrap()
        ),
        (303, "/login")
    );
    assert_eq!(site.request(form("application/json")).await.status(), 401);
}

#[tokio::test]
async fn the_redirect_after_login_includes_prefixes_that_routers_stripped() {
    /// The outer router strips `outer` around the app, and the inner one `/inner` inside it.
    async fn way_back(members: RequireUser<Account>, outer: Option<&str>) -> String {
        let channels = Channels::in_memory();
        let crew = Router::new()
            .route("/crew", get(|| async { "in" }))
            .route_layer(members);
        let state = ProtocolTypeRouter::new()
            .http(from_service(Router::new().nest("/inner", crew)))
            .with(Auth::new(Accounts::of(&[])))
            .with(Sessions::new(MemoryStore::default(), &channels));
        let request = asking(&format!("{}/inner/crew?x=1", outer.unwrap_or("")), &[]);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let app = match outer {
            Some(outer) => Router::new().nest_service(outer, state),
            None => Router::new().fallback_service(state),
        };
        let page = app.oneshot(request).await.unwrap();
        assert_eq!(page.status(), 303);
        page.headers()["location"].to_str().unwrap().to_owned()
    }
    let members = || RequireUser::<Account>::new().redirect_to("/login");

    let inside = way_back(members(), None).await;
    let around = members().original_uri::<OriginalUri>();
    let around = way_back(around, Some("/outer")).await;

    assert_eq!(inside, "/login?next=%2Finner%2Fcrew%3Fx%3D1");
    assert_eq!(around, "/login?next=%2Fouter%2Finner%2Fcrew%3Fx%3D1");
}

#[tokio::test]
async fn disconnect_user_closes_all_websockets_of_a_user() {
    let site = Site::new();
    let (here, there, bo) = (
        site.log_in("ana").await,
        site.log_in("ana").await,
        site.log_in("bo").await,
    );
    let (mut first, _) = site.who(&here).await;
    let (mut second, _) = site.who(&there).await;
    let (mut other, _) = site.who(&bo).await;

    site.channels.disconnect_user("ana").await.unwrap();

    for socket in [&mut first, &mut second] {
        let close = socket.receive_close().await;
        assert_eq!((close.code, close.reason()), (4401, "log in again"));
    }
    other.send("still here").await;
    assert_eq!(other.receive_text().await, "still here");
}

#[tokio::test(start_paused = true)]
async fn a_recheck_closes_the_websockets_of_a_banned_user() {
    let site = Site::with(
        |auth| auth.recheck(Duration::from_secs(60)),
        |sessions| sessions,
    );
    let (ana, bo) = (site.log_in("ana").await, site.log_in("bo").await);
    let (mut banned, _) = site.who(&ana).await;
    let (mut careful, _) = site.who(&bo).await;

    site.accounts.ban("ana");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(banned.receive_close().await.code, Close::UNAUTHORIZED);
    careful.send("still here").await;
    assert_eq!(careful.receive_text().await, "still here");

    site.accounts.set_password("bo", "another");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(careful.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &bo)]).await.status(), 401);
}

#[tokio::test]
async fn a_client_without_cookies_sends_a_token_in_a_header_or_as_a_subprotocol() {
    let site = Site::with(
        |auth| {
            auth.tokens(
                |token| async move { Ok(token.strip_prefix("token-of-").map(str::to_owned)) },
            )
        },
        |sessions| sessions,
    );
    let bearer = ("authorization", "Bearer token-of-ana");
    let offer = ("sec-websocket-protocol", "bearer, token-of-ana");

    assert_eq!(site.get("/me", &[bearer]).await.body(), "ana");
    assert_eq!(
        site.get("/me", &[("authorization", "Bearer stolen")])
            .await
            .status(),
        401
    );
    assert_eq!(site.get("/me?token=token-of-ana", &[]).await.status(), 401);
    assert_eq!(
        site.get("/me", &[offer]).await.status(),
        401,
        "a page offers no subprotocols"
    );
    let mut socket = site.open("/members", &[offer]).await;
    assert_eq!(
        socket.reply().await.headers()["sec-websocket-protocol"],
        "bearer"
    );
    assert_eq!(socket.receive_text().await, "ana");
    site.channels.disconnect_user("ana").await.unwrap();
    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_has_precedence_over_the_cookie() {
    let site = Site::with(
        |auth| {
            auth.tokens(
                |token| async move { Ok(token.strip_prefix("token-of-").map(str::to_owned)) },
            )
        },
        |sessions| sessions,
    );
    let ana = site.log_in("ana").await;

    let page = site
        .get(
            "/me",
            &[("cookie", &ana), ("authorization", "Bearer token-of-bo")],
        )
        .await;
    assert_eq!(page.body(), "bo");
    let page = site
        .get(
            "/me",
            &[("cookie", &ana), ("authorization", "Bearer nonsense")],
        )
        .await;
    assert_eq!(page.status(), 401);
}

#[tokio::test]
async fn the_cookie_has_safe_attributes_by_default() {
    let site = Site::new();
    let page = site.get("/note", &[]).await;
    let line = page.headers()["set-cookie"].to_str().unwrap();
    for attribute in [
        "session=",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=12",
    ] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
    assert!(!line.contains("Domain"), "{line}");

    let site = Site::with(
        |auth| auth,
        |sessions| {
            sessions
                .cookie_name("id")
                .path("/members")
                .domain("site.example")
                .same_site(SameSite::Strict)
                .secure(false)
                .http_only(false)
                .expiry(Expiry::OnSessionEnd)
        },
    );
    let page = site.get("/note", &[]).await;
    let line = page.headers()["set-cookie"].to_str().unwrap();
    for attribute in [
        "id=",
        "SameSite=Strict",
        "Path=/members",
        "Domain=site.example",
    ] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
    for attribute in ["HttpOnly", "Secure", "Max-Age", "Expires"] {
        assert!(!line.contains(attribute), "{attribute} in {line}");
    }
}

#[tokio::test]
async fn a_session_expires_at_its_date() {
    let past = Expiry::AtDateTime(OffsetDateTime::now_utc() - Span::seconds(1));
    let site = Site::with(|auth| auth, |sessions| sessions.expiry(past));

    let ana = site.log_in("ana").await;

    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn requests_renew_a_session_that_expires_on_inactivity() {
    let expiry = Expiry::OnInactivity(Span::seconds(30));
    let site = Site::with(|auth| auth, |sessions| sessions.expiry(expiry));
    let ana = site.log_in("ana").await;
    let start = std::time::Instant::now();

    // The cookie is renewed once a tenth of the period has passed.
    loop {
        let page = site.get("/me", &[("cookie", &ana)]).await;
        assert_eq!(page.body(), "ana");
        if cookie(&page).is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }

    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "it was fresh enough"
    );
}

#[tokio::test]
async fn a_session_keeps_an_expiry_of_its_own() {
    let site = Site::new();

    let first = site.get("/briefly", &[]).await;
    let brief = cookie(&first).unwrap();
    let second = site.get("/note", &[("cookie", &brief)]).await;

    for page in [&first, &second] {
        let line = page.headers()["set-cookie"].to_str().unwrap();
        let (_, age) = line.split_once("Max-Age=").expect("an age");
        let age: u64 = age.split(';').next().unwrap().parse().unwrap();
        assert!((590..=600).contains(&age), "{line}");
    }
}

#[tokio::test]
async fn signed_and_private_cookies_identify_their_session() {
    let key = Key::from(&[7; 64]);
    let plain = Site::new().log_in("ana").await;
    for site in [
        Site::with(|auth| auth, |sessions| sessions.signed(key.clone())),
        Site::with(|auth| auth, |sessions| sessions.private(key.clone())),
    ] {
        let ana = site.log_in("ana").await;

        assert_eq!(site.who(&ana).await.1, "ana");
        assert!(ana.len() > plain.len(), "the value is protected: {ana}");
    }
}

#[tokio::test]
async fn middleware_guards_a_whole_router() {
    let channels = Channels::in_memory();
    let accounts = Accounts::of(&["ana"]);
    let pages = Router::new().route("/", get(|| async { "in" }));

    let app = ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(crate::support::Echo::application(&channels))
        .with(RequireUser::<Account>::new())
        .with(Auth::new(accounts))
        .with(Sessions::new(MemoryStore::default(), &channels));

    let pages = app.get::<seaway::protocol::Http>().unwrap().clone().boxed();
    let page = asking("/", &[]).body(String::new()).unwrap();
    let page = HttpCommunicator::request(&pages, page).await.unwrap();
    assert_eq!(page.status(), 401);
    let sockets = app.get::<seaway::protocol::WebSocket>().unwrap();
    let mut socket = seaway::testing::WebSocketCommunicator::open(sockets, asking("/", &[]));
    assert_eq!(socket.status().await, 401);
}

#[tokio::test]
async fn a_logout_ends_a_long_poll_with_401_and_ends_a_stream() {
    let site = Site::new();
    let (ana, bo) = (site.log_in("ana").await, site.log_in("bo").await);
    let mut poll = site.ask("/waiting/poll", &ana);
    let mut stream = site.ask("/waiting/stream", &ana);
    let mut other = site.ask("/waiting/stream", &bo);
    assert_eq!(stream.receive_event().await.data, "ana");
    assert_eq!(other.receive_event().await.data, "bo");
    // Both observe their session now.
    tokio::task::yield_now().await;

    site.get("/logout", &[("cookie", &ana)]).await;

    assert_eq!(poll.status().await, 401);
    assert_eq!(stream.receive().await, None);
    let waiting = tokio::time::timeout(Duration::ZERO, other.receive());
    assert!(waiting.await.is_err(), "another session's stream goes on");
    assert_eq!(site.channels.undecodable(), 0);
}

#[tokio::test]
async fn disconnect_user_ends_a_long_poll_and_a_stream() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let mut poll = site.ask("/waiting/poll", &ana);
    let mut stream = site.ask("/waiting/stream", &ana);
    assert_eq!(stream.receive_event().await.data, "ana");
    tokio::task::yield_now().await;

    site.channels.disconnect_user("ana").await.unwrap();

    assert_eq!(poll.status().await, 401);
    assert_eq!(stream.receive().await, None);
}

#[tokio::test]
async fn a_request_that_reads_its_user_later_is_ended_at_logout() {
    for logs_out in [false, true] {
        let site = Site::new();
        let ana = site.log_in("ana").await;
        let mut poll = site.ask("/late-poll", &ana);
        let mut stream = site.ask("/late-stream", &ana);
        assert_eq!(stream.receive_event().await.data, "ana");
        let is_watched = || {
            let groups = site.local.groups();
            groups.iter().any(|group| site.local.members(group) == 2)
        };
        eventually(|| is_watched().then_some(())).await;

        if logs_out {
            site.get("/logout", &[("cookie", &ana)]).await;
        } else {
            site.channels.disconnect_user("ana").await.unwrap();
        }

        assert_eq!(poll.status().await, 401);
        assert_eq!(stream.receive().await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recheck_ends_the_stream_of_a_banned_user() {
    let minute = Duration::from_secs(60);
    let site = Site::with(|auth| auth.recheck(minute), |sessions| sessions);
    let ana = site.log_in("ana").await;
    let mut stream = site.ask("/waiting/stream", &ana);
    assert_eq!(stream.receive_event().await.data, "ana");

    site.accounts.ban("ana");
    tokio::time::sleep(minute).await;

    let rest = async { while stream.receive().await.is_some() {} };
    rest.await;
}
