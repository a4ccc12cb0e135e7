//! Tests of the communicators: their limits and panic messages.

use crate::{
    support::{CloseRecorder, Recorder, echo},
    test_consumer::TestState,
};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Close, Context, Error, Handshake, NoEvent, Rejection, Result, Scope,
    WebSocketConsumer, application_fn,
    middleware::Provide,
    protocol::{RateLimit, Upgrade, WebSocket, WebSocketConfig},
    routing::{PathRouter, ProtocolTypeRouter},
    testing::{TestClient, WebSocketCommunicator},
};
use std::time::Duration;
use tokio::time::Instant;

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
        (
            "respond",
            "waited for an event and got 200 OK: here you are",
        ),
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

/// Opens a WebSocket to an echo with these limits.
fn open_limited(config: WebSocketConfig) -> WebSocketCommunicator {
    let app = echo().with(config).boxed();
    WebSocketCommunicator::open(&app, Request::get("/"))
}

#[tokio::test(start_paused = true)]
async fn a_test_client_that_exceeds_a_limit_after_the_server_has_closed_gets_no_second_close() {
    let app = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async move {
        let mut socket = upgrade.accept().await?;
        _ = socket.receive().await;
        socket.close(4000).await;
        Ok(())
    });
    let app = app.with(WebSocketConfig::new().max_message_size(4)).boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
    client.send("ahoy").await;
    client.send("ahoy!").await;

    assert_eq!(client.receive_close().await.code, 4000);
    let failed = failure(async move { _ = client.receive_close().await }).await;
    assert!(failed.contains("the application has ended"), "{failed}");
}

#[tokio::test(start_paused = true)]
async fn a_test_client_that_exceeds_a_limit_gets_the_close_of_a_server() {
    let config = WebSocketConfig::new;
    let limit = RateLimit::frames(1).burst(Duration::from_secs(2));
    let hour = Duration::from_secs(3600);
    let too_large = Close::new(Close::TOO_LARGE, "the message is larger than 4 bytes");
    let too_fast = Close::new(Close::POLICY, "the client sends too fast");
    let idle = Close::new(Close::AWAY, "the client was idle for too long");
    let old = Close::new(Close::AWAY, "the connection has reached its maximum age");
    for (config, messages, pause, expected) in [
        (
            config().max_message_size(4),
            &["ahoy", "ahoy!"][..],
            None,
            &too_large,
        ),
        (
            config().rate_limit(limit.close()),
            &["a", "b", "c"],
            None,
            &too_fast,
        ),
        (config().idle_timeout(hour), &["a"], Some(hour), &idle),
        (config().max_age(hour), &["a"], Some(hour), &old),
    ] {
        let mut client = open_limited(config);
        for message in messages {
            client.send(*message).await;
        }

        // The echo of what was allowed comes first.
        let allowed = match pause {
            Some(_) => messages.len(),
            None => messages.len() - 1,
        };
        for message in &messages[..allowed] {
            assert_eq!(client.receive_text().await, *message);
        }
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        assert_eq!(client.receive_close().await, *expected);
        client.disconnect().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_keeps_an_idle_test_client_open() {
    let mut client = open_limited(WebSocketConfig::new().idle_timeout(Duration::from_secs(60)));

    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(59)).await;
        client.send("a").await;
        assert_eq!(client.receive_text().await, "a");
    }

    client.receive_nothing().await;
    client.disconnect().await.unwrap();
}

#[tokio::test]
async fn disconnect_gets_the_code_of_a_limit_that_a_test_client_has_exceeded() {
    let recorder = Recorder::default();
    let app = CloseRecorder::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .with(WebSocketConfig::new().max_message_size(4))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    client.send("ahoy!").await;
    client.disconnect().await.unwrap();

    assert_eq!(recorder.entries(), ["1009"]);
}

#[tokio::test]
async fn a_test_that_did_not_expect_a_rejection_fails() {
    let app = PathRouter::<WebSocket>::new().boxed();
    let open = || WebSocketCommunicator::open(&app, Request::get("/nowhere"));
    let (mut waiting, closing) = (open(), open());

    let nothing = failure(async move { waiting.receive_nothing().await }).await;
    let closed = failure(async move { closing.disconnect().await.unwrap() }).await;

    let rejected = "but was rejected with 404 Not Found: no route has this path";
    let expected = format!("waited for nothing, {rejected}");
    assert!(nothing.starts_with(&expected), "{nothing}");
    let expected = format!("waited for the end of the connection, {rejected}");
    assert!(closed.starts_with(&expected), "{closed}");
}

#[tokio::test]
async fn a_test_that_expects_a_rejection_may_end_afterwards() {
    let app = PathRouter::<WebSocket>::new().boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/nowhere"));

    assert_eq!(client.status().await, 404);
    client.disconnect().await.unwrap();
}

/// A consumer whose `connect` does not return.
struct Hanging;

/// Records that it is dropped.
struct DropRecorder(Recorder);

impl Drop for DropRecorder {
    fn drop(&mut self) {
        self.0.record("dropped");
    }
}

impl WebSocketConsumer for Hanging {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let recorder = handshake.state::<Recorder>()?.clone();
        recorder.record("connecting");
        let _dropped = DropRecorder(recorder);
        std::future::pending().await
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_client_that_drops_the_connection_abandons_the_handshake() {
    let recorder = Recorder::default();
    let app = Hanging::application(&Channels::in_memory())
        .with(Provide(recorder.clone()))
        .boxed();
    let client = WebSocketCommunicator::open(&app, Request::get("/"));
    recorder.wait_for(1).await;
    let began = Instant::now();

    client.drop_connection().await.unwrap();

    assert_eq!(recorder.entries(), ["connecting", "dropped"]);
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "`connect` does not time out"
    );
}

/// A consumer whose `disconnect` fails as its client has asked for.
struct Failing(String);

impl WebSocketConsumer for Failing {
    type Input = String;
    type Event = NoEvent;

    async fn connect(_: &mut Handshake) -> Result<Self, Rejection> {
        Ok(Self(String::new()))
    }
    async fn receive(&mut self, ctx: &mut Context, message: String) -> Result<()> {
        self.0 = message;
        Ok(ctx.send("noted").await?)
    }
    async fn disconnect(self, _: Close) {
        match &*self.0 {
            "panic" => panic!("no ink"),
            "hang" => std::future::pending().await,
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_disconnect_is_the_result_of_the_application() {
    for (message, expected) in [
        ("panic", "no ink"),
        (
            "hang",
            "a consumer's disconnect took too long and was dropped",
        ),
    ] {
        let app = Failing::application(&Channels::in_memory()).boxed();
        let mut client = WebSocketCommunicator::open(&app, Request::get("/"));
        client.send(message).await;
        assert_eq!(client.receive_text().await, "noted");

        let error = client.disconnect().await.unwrap_err();

        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn waiting_on_an_application_that_has_failed_reports_its_error() {
    let app = application_fn(|_: Scope<WebSocket>, upgrade: Upgrade| async {
        drop(upgrade.accept().await?);
        Err(Error::user(std::io::Error::other("the database is on fire")).into())
    });
    let mut client = WebSocketCommunicator::open(&app.boxed(), Request::get("/"));

    let failed = failure(async move { _ = client.receive().await }).await;

    let expected = "waited for a message, but the application has ended: ";
    assert!(failed.starts_with(expected), "{failed}");
    assert!(failed.contains("the database is on fire"), "{failed}");
}

#[tokio::test]
async fn a_path_without_a_slash_is_reported() {
    let router = || ProtocolTypeRouter::new().websocket(echo());
    let failed = failure(async move { _ = TestClient::new(&router()).websocket("login") }).await;
    assert_eq!(failed, "\"login\" is not a path: start it with '/'");

    let request = || Request::get("login");
    let failed = failure(async move { _ = TestClient::new(&router()).open_websocket(request()) });
    assert_eq!(failed.await, "\"login\" is not a path: start it with '/'");

    let failed = failure(async move { _ = TestClient::new(&router()).websocket("ws/login") }).await;
    assert_eq!(failed, "\"ws/login\" is not a path: start it with '/'");

    let failed = failure(async move { _ = TestClient::new(&router()).websocket("/a b") }).await;
    assert!(
        failed.starts_with("the path \"/a b\" is malformed: "),
        "{failed}"
    );
}
