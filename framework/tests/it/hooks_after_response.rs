//! Tests of work after the response has started: streams, and `disconnect` hooks.

use crate::support::{Recorder, Server, ended, read_until};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use seaway::{
    ApplicationExt, Channels, Disconnect, Error, ErrorKind, HttpConsumer, HttpContext,
    HttpHandshake, HttpResponse, NoEvent, Rejection, Result, from_service,
    middleware::Provide,
    protocol::{Body, Http},
    routing::{PathRouter, ProtocolTypeRouter},
    testing::HttpCommunicator,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify};
use tower::{ServiceExt, service_fn};

/// The state that a test shares with its consumers.
#[derive(Clone, Default)]
struct TestState {
    recorder: Recorder,
    /// Lets one handler continue that has started a stream.
    go_on: Arc<Notify>,
    /// Lets one `disconnect` hook return.
    leave: Arc<Notify>,
}

impl TestState {
    fn pages(&self) -> PathRouter<Http> {
        PathRouter::new().route(
            "/{action}",
            TestConsumer::application(&Channels::in_memory()).with(Provide(self.clone())),
        )
    }

    fn app(&self) -> ProtocolTypeRouter {
        ProtocolTypeRouter::new().http(self.pages())
    }
}

/// A consumer that does what its path names, and has a slow `disconnect`.
struct TestConsumer {
    state: TestState,
    action: String,
}

impl HttpConsumer for TestConsumer {
    type Event = NoEvent;

    const KEEP_ALIVE: Duration = Duration::MAX;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self {
            state: handshake.state::<TestState>()?.clone(),
            action: handshake.param("action")?,
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        if self.action == "response" {
            return ctx.response("the response");
        }
        if self.action == "wait" {
            self.state.recorder.record("wait");
            std::future::pending::<()>().await;
        }
        let events = ctx.sse().await?;
        events.send("first").await?;
        if self.action == "ask" {
            let question = Request::get("/response").body(Body::empty()).unwrap();
            let response = self.state.app().oneshot(question).await.unwrap();
            let text = response.into_body().collect().await.unwrap().to_bytes();
            events.send(String::from_utf8_lossy(&text).as_ref()).await?;
        }
        self.state.go_on.notified().await;
        events.send("last").await?;
        match self.action.as_str() {
            "fail" => Err(Error::new(ErrorKind::Closed, "somebody else is gone").into()),
            _ => Ok(events.end()),
        }
    }

    async fn disconnect(self, _: Disconnect) {
        self.state
            .recorder
            .record(format!("{} leaves", self.action));
        self.state.leave.notified().await;
        self.state
            .recorder
            .record(format!("{} is gone", self.action));
    }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends a request, and reads until `end` has arrived.
async fn ask(stream: &mut TcpStream, path: &str, end: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    read_until(stream, end).await;
}

#[tokio::test]
async fn a_stream_that_requests_another_consumer_ends_neither() {
    let state = TestState::default();
    let server = Server::start(state.app()).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/ask", "the response").await;
    assert_eq!(state.recorder.wait_for(1).await, ["response leaves"]);
    state.leave.notify_one();
    assert_eq!(state.recorder.wait_for(2).await[1], "response is gone");

    state.go_on.notify_one();
    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_stream_continues_behind_middleware_that_polls_the_response_future_itself() {
    let state = TestState::default();
    let app = state.app();
    let pages = service_fn(move |request: Request<Body>| {
        let asked = FuturesUnordered::from_iter([app.clone().oneshot(request)]);
        async move { asked.into_future().await.0.expect("there is one") }
    });
    let server = Server::start(ProtocolTypeRouter::new().http(from_service(pages))).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/stream", "first").await;
    state.go_on.notify_one();

    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_closed_error_of_another_connection_does_not_disconnect_the_client() {
    let state = TestState::default();
    let server = Server::start(state.app()).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/fail", "first").await;
    state.go_on.notify_one();
    read_until(&mut client, "0\r\n\r\n").await;
    state.recorder.wait_for(1).await;
    ask(&mut client, "/stream", "first").await;
    state.leave.notify_one();
    assert_eq!(state.recorder.wait_for(2).await[1], "fail is gone");

    state.go_on.notify_one();
    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_started_disconnect_hook_finishes_after_the_server_has_stopped() {
    let state = TestState::default();
    let short = Duration::from_millis(50);
    let server = Server::configured(state.app(), |server| server.drain_timeout(short)).await;
    let mut client = connect(server.address).await;
    ask(&mut client, "/response", "the response").await;
    state.recorder.wait_for(1).await;

    ended(server.stop()).await;
    state.leave.notify_one();

    assert_eq!(state.recorder.wait_for(2).await[1], "response is gone");
}

#[tokio::test]
async fn disconnect_runs_before_the_server_ends_if_the_drain_timeout_drops_a_hook() {
    let state = TestState::default();
    let short = Duration::from_millis(50);
    let server = Server::configured(state.app(), |server| server.drain_timeout(short)).await;
    let mut client = connect(server.address).await;
    client
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    state.recorder.wait_for(1).await;

    let stopped = server.stop();
    state.recorder.wait_for(2).await;
    state.leave.notify_one();

    ended(stopped).await;
    let entries = state.recorder.entries();
    assert_eq!(entries, ["wait", "wait leaves", "wait is gone"]);
}

#[tokio::test]
async fn dropping_a_communicator_after_the_response_does_not_cancel_disconnect() {
    let state = TestState::default();
    let app = ApplicationExt::boxed(state.pages());
    let ask = || HttpCommunicator::open(&app, Request::get("/response").body("").unwrap());

    let (dropped, left) = (ask(), ask());
    state.recorder.wait_for(2).await;
    drop(dropped);
    let leaving = tokio::spawn(left.drop_connection());
    tokio::task::yield_now().await;
    state.leave.notify_waiters();

    leaving.await.unwrap().unwrap();
    let entries = state.recorder.wait_for(4).await;
    assert_eq!(entries[2..], ["response is gone", "response is gone"]);
}
