//! Who may open a stream, and send to it.

use super::{Client, Site, get};
use http::Request;
use seaway::{
    ApplicationExt,
    consumer::SseFallback,
    protocol::{AllowedOrigins, Http},
    routing::PathRouter,
    testing::HttpCommunicator,
};

#[tokio::test(start_paused = true)]
async fn an_id_is_a_secret() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    assert_eq!(ana.id.len(), 32);

    // The names of a consumer's channel, of a queue and of a group are no ids.
    let zeros = "0".repeat(32);
    for id in [&*zeros, "memory!1", "thumbnails", "room.lobby"] {
        let request = Request::post("/ws/lobby").header("seaway-connection", id);
        let response = HttpCommunicator::request(&ana.app, request.body("x").unwrap());
        assert_eq!(response.await.unwrap().status(), 404, "{id}");
    }
    let without = Request::post("/ws/lobby").body("x").unwrap();
    let without = HttpCommunicator::request(&ana.app, without).await.unwrap();
    assert_eq!(without.status(), 400);
    ana.post("mine").await;
    assert_eq!(ana.receive().await, "mine");
}

#[tokio::test(start_paused = true)]
async fn a_large_message_for_an_invented_id_is_refused_before_it_is_read() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    ana.id = "0".repeat(32);

    assert_eq!(ana.post_endless().await.status(), 404);
}

#[tokio::test]
async fn pages_of_other_origins_open_nothing_and_send_nothing() {
    let site = Site::new();
    let app = site.process();
    for (name, value, status) in [
        ("origin", "https://evil.example", 403),
        ("origin", "https://a.example", 200),
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
    ] {
        let request = get("/ws/lobby").header(name, value).body("").unwrap();
        let mut stream = HttpCommunicator::open(&app, request);
        assert_eq!(stream.status().await, status, "{name}: {value}");
    }

    let ana = Client::open(&app).await;
    for (origin, status) in [
        ("https://evil.example", 403),
        ("null", 403),
        ("https://a.example", 204),
    ] {
        let request = Request::post("/ws/lobby").header("host", "a.example");
        let request = request.header("origin", origin);
        let posted = ana.post_with(&app, request, "x").await;
        assert_eq!(posted.status(), status, "{origin}");
    }
}

#[tokio::test]
async fn the_page_that_opened_a_stream_may_send_to_it() {
    let site = Site::new();
    let origins = AllowedOrigins::list(["https://app.example"]);
    let sockets = site.sockets.clone().with(origins);
    let app = sockets.with(SseFallback::new(&site.channels));
    let app = PathRouter::<Http>::new().nest("/ws", app).boxed();
    let ana = Client::open_with(
        &app,
        get("/ws/lobby").header("origin", "https://app.example"),
    )
    .await;

    for (origin, status) in [("https://app.example", 204), ("https://evil.example", 403)] {
        let request = Request::post("/ws/lobby").header("host", "a.example");
        let request = request.header("origin", origin);
        assert_eq!(
            ana.post_with(&app, request, "x").await.status(),
            status,
            "{origin}"
        );
    }
}

#[tokio::test]
async fn a_page_behind_a_proxy_that_changes_the_host_may_send_to_its_stream() {
    let site = Site::new();
    let origins = AllowedOrigins::list(["https://app.example"]);
    let sockets = site.sockets.clone().with(origins);
    let app = sockets.with(SseFallback::new(&site.channels));
    let app = PathRouter::<Http>::new().nest("/ws", app).boxed();
    // A browser states no origin in a GET of the same origin, and always in a POST.
    let opening = get("/ws/lobby").header("sec-fetch-site", "same-origin");
    let ana = Client::open_with(&app, opening).await;

    for (origin, fetch_site, status) in [
        ("https://app.example", "same-origin", 204),
        ("https://evil.app.example", "same-site", 403),
        ("https://evil.example", "cross-site", 403),
    ] {
        let request = Request::post("/ws/lobby").header("host", "upstream:8000");
        let request = request.header("origin", origin);
        let request = request.header("sec-fetch-site", fetch_site);
        let posted = ana.post_with(&app, request, "x").await;
        assert_eq!(posted.status(), status, "{origin}");
    }
}
