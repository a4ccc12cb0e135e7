//! Tests of the panic messages of the communicators.

use crate::test_consumer::TestState;
use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Handshake, NoEvent, Rejection, Result, WebSocketConsumer,
    protocol::WebSocket, routing::PathRouter, testing::WebSocketCommunicator,
};

/// Returns the panic message of a failing test.
async fn failure(test: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(test).await.unwrap_err().into_panic();
    *panic.downcast::<String>().expect("it says why")
}

#[tokio::test(start_paused = true)]
async fn a_timeout_reports_the_line_and_how_time_passed() {
    let state = TestState::new();
    let mut client = state.open("hang");
    let line = line!() + 1;
    let failed = failure(async move { _ = client.status().await }).await;

    let expected = "waited 5s of paused time (if it takes longer, open the request, and let time pass with tokio::time::sleep) \
        for a response, at ";
    assert!(failed.starts_with(expected), "{failed}");
    assert!(failed.contains(&format!("{}:{line}:", file!())), "{failed}");
}

#[tokio::test]
async fn waiting_for_an_event_reports_what_arrived_instead() {
    for (action, expected) in [
        ("one event", "waited for an event, but the stream has ended"),
        ("reply", "waited for an event and got 200 OK: here you are"),
        (
            "fail",
            "waited for an event and got 500 Internal Server Error: \
             the database is on fire",
        ),
    ] {
        let mut client = TestState::new().open(action);
        let failed = failure(async move {
            assert_eq!(client.receive_event().await.data, "ahoy");
            client.receive_event().await;
        });

        let failed = failed.await;

        assert!(failed.starts_with(expected), "{failed}");
        assert!(failed.contains(file!()), "{failed}");
    }
}

/// A consumer that needs the path parameter `room`.
struct Doorkeeper;

impl WebSocketConsumer for Doorkeeper {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        handshake.param::<String>("room").map(|_| Self)
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn receiving_on_a_rejected_websocket_reports_the_rejection() {
    let app = PathRouter::<WebSocket>::new()
        .route("/room", Doorkeeper::application(&Channels::in_memory()))
        .boxed();
    for (path, expected) in [
        (
            "/nowhere",
            "waited for a message, but was rejected with 404 Not Found: no route has this path",
        ),
        (
            "/room",
            "waited for a message, but was rejected with 500 Internal Server Error: no path parameter \
             \"room\" among []; route this application in a PathRouter under a path with {room} (in an \
             axum app, nest_service",
        ),
    ] {
        let mut client = WebSocketCommunicator::open(&app, Request::get(path));

        let failed = failure(async move { _ = client.receive_text().await }).await;

        assert!(failed.starts_with(expected), "{failed}");
        assert!(failed.contains(file!()), "{failed}");
    }
}
