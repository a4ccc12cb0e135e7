//! What a stream and its POSTs carry.

use super::{Client, Site, get};
use crate::support::Echo;
use http::Request;
use seaway::{
    ApplicationExt, Channels, OpensOverHttp, Result, WebSocketConsumer,
    consumer::SseFallback,
    protocol::{Http, WebSocket},
    routing::PathRouter,
    testing::{HttpCommunicator, WebSocketCommunicator},
};

#[tokio::test]
async fn a_consumer_cannot_tell_a_stream_from_a_websocket() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let whole = PathRouter::<WebSocket>::new().nest("/ws", site.sockets.clone());
    let mut bo = WebSocketCommunicator::open(&whole.boxed(), Request::get("/ws/lobby"));
    assert_eq!(bo.status().await, 101);

    assert_eq!(ana.post("ahoy\nthere").await.status(), 204);
    assert_eq!(bo.receive_text().await, "ahoy\nthere");
    assert_eq!(ana.receive().await, "ahoy\nthere");
    bo.send("hello").await;
    assert_eq!(ana.receive().await, "hello");
}

#[tokio::test]
async fn the_head_is_that_of_a_stream_with_the_headers_of_the_handshake() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;

    let head = ana.stream.response().await;

    for (name, value) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-cache"),
        ("x-accel-buffering", "no"),
        ("set-cookie", "seen=1"),
    ] {
        assert_eq!(head.headers()[name], value);
    }
}

#[tokio::test]
async fn a_post_reaches_its_connection_from_any_process() {
    let site = Site::new();
    let mut ana = Client::open(&site.process()).await;
    let other = site.process();

    let request = Request::post("/ws/lobby");
    let posted = ana.post_with(&other, request, "from afar").await;

    assert_eq!(posted.status(), 204);
    assert_eq!(ana.receive().await, "from afar");
    let large = "x".repeat(100_000);
    let request = Request::post("/ws/lobby");
    let posted = ana.post_with(&other, request, large.clone()).await;
    assert_eq!(posted.status(), 204);
    assert_eq!(ana.receive().await, large);
}

#[tokio::test]
async fn a_rejected_handshake_is_the_response() {
    let site = Site::new();
    let request = get("/ws/closed").body("").unwrap();

    let response = HttpCommunicator::request(&site.process(), request)
        .await
        .unwrap();

    assert_eq!(response.status(), 403);
    assert_eq!(response.body(), "for members");
}

#[tokio::test]
async fn response_hooks_run_for_the_stream_as_for_a_handshake() {
    struct Stamp<A>(A);
    impl<P: OpensOverHttp, A: seaway::Application<P>> seaway::Application<P> for Stamp<A> {
        async fn call(&self, scope: seaway::Scope<P>, mut to: P::Connection) -> Result<()> {
            let hook = |head: &mut http::response::Parts| {
                head.headers.append("x-stamp", "1".parse().unwrap());
            };
            P::on_response(
                &mut to,
                Box::new(move |head| {
                    hook(head);
                    Box::pin(async { Ok(()) })
                }),
            );
            self.0.call(scope, to).await
        }
    }
    let site = Site::new();
    let fallback = SseFallback::new(&site.channels);
    let inside = ApplicationExt::<WebSocket>::with(Stamp(site.sockets.clone()), fallback);
    let outside = Stamp(PathRouter::<Http>::new().nest("/ws", inside));
    let app = ApplicationExt::<Http>::boxed(outside);

    let mut ana = Client::open(&app).await;

    let stamps = ana
        .stream
        .response()
        .await
        .headers()
        .get_all("x-stamp")
        .iter()
        .count();
    assert_eq!(stamps, 2);
}

#[tokio::test]
async fn other_requests_get_the_allowed_methods() {
    let app = Site::new().process();
    for (method, status) in [("GET", 426), ("HEAD", 405), ("DELETE", 405)] {
        let request = Request::builder().method(method).uri("/ws/lobby").body("");
        let response = HttpCommunicator::request(&app, request.unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), status, "{method}");
    }
}

#[tokio::test]
async fn bytes_from_a_consumer_that_echoes_arrive_line_by_line() {
    let channels = Channels::in_memory();
    let app = Echo::application(&channels).with(SseFallback::new(&channels));
    let mut ana = Client::open(&app.boxed()).await;

    ana.post("data: x\n\nevent: close\n").await;

    assert_eq!(ana.receive().await, "data: x\n\nevent: close\n");
}
