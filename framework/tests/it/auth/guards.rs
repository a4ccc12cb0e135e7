//! Guards of routes and routers.

use crate::auth_app::{Account, Accounts, Site, asking};
use axum::{Router, extract::OriginalUri, routing::get};
use seaway::{
    ApplicationExt, Channels, WebSocketConsumer, from_service,
    middleware::{Auth, RequireUser, Sessions},
    routing::ProtocolTypeRouter,
    session::MemoryStore,
    testing::HttpCommunicator,
};
use std::time::Duration;
use tower::ServiceExt;

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
async fn a_guard_of_an_axum_route_does_not_redirect_a_handshake() {
    let site = Site::new();
    let handshake = [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    assert_eq!(site.get("/crew", &handshake).await.status(), 401);
    assert_eq!(site.get("/crew", &[]).await.status(), 303);
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

#[tokio::test(start_paused = true)]
async fn a_guard_rejects_a_client_whose_user_is_not_loaded_in_time() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    site.accounts.hang();

    let mut socket = site.open("/members", &[("cookie", &ana)]).await;
    let mut page = site.ask("/members", &ana);
    let mut axum_page = site.ask("/crew", &ana);
    tokio::time::sleep(Duration::from_secs(11)).await;

    assert_eq!(socket.status().await, 503);
    assert_eq!(page.status().await, 503);
    assert_eq!(axum_page.status().await, 503);
}
