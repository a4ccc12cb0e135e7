//! Tests of clients that do not read their stream.

use crate::support::{PATIENCE, Recorder, Server, read_until};
use bytes::Bytes;
use http::{Request, Response};
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Disconnect, HttpConsumer, HttpContext,
    HttpHandshake, HttpResponse, NoEvent, Rejection, Result, Scope, Serve, application_fn,
    from_service,
    middleware::Provide,
    protocol::{Body, Exchange, Http},
    routing::ProtocolTypeRouter,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tower::{ServiceExt, service_fn};

/// The state that a test shares with its consumers.
#[derive(Clone, Default)]
struct TestState {
    recorder: Recorder,
    /// Lets one `disconnect` hook return.
    leave: Arc<Notify>,
}

impl TestState {
    fn flooding(&self) -> BoxApplication<Http> {
        let flooding = FloodingConsumer::application(&Channels::in_memory());
        ApplicationExt::boxed(flooding.with(Provide(self.clone())))
    }

    fn app(&self) -> ProtocolTypeRouter {
        ProtocolTypeRouter::new().http(self.flooding())
    }
}

/// How long a client may read nothing.
const STALLED: Duration = Duration::from_millis(50);

/// A consumer that sends without pauses, with a short send timeout.
struct FloodingConsumer(TestState);

impl HttpConsumer for FloodingConsumer {
    type Event = NoEvent;

    const SEND_TIMEOUT: Duration = STALLED;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<TestState>()?.clone()))
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> {
        let body = ctx.stream(Response::new(())).await?;
        while body.send(vec![b'x'; 10_000]).await.is_ok() {}
        Ok(body.end())
    }

    async fn disconnect(self, end: Disconnect) {
        self.0.recorder.record(format!("disconnect {end:?}"));
        self.0.leave.notified().await;
        self.0.recorder.record("gone");
    }
}

async fn ask(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream
}

/// Wraps an app like middleware that logs each outcome and returns `Ok`.
fn logged(app: BoxApplication<Http>) -> BoxApplication<Http> {
    let logged = move |scope: Scope<Http>, exchange: Exchange| {
        let app = app.clone();
        async move {
            _ = app.call(scope, exchange).await;
            Ok(())
        }
    };
    ApplicationExt::boxed(application_fn(logged))
}

/// Wraps an app like middleware that does some work after each request.
fn written_down(app: BoxApplication<Http>, recorder: Recorder) -> BoxApplication<Http> {
    let pages = from_service(ProtocolTypeRouter::new().http(app));
    let written_down = move |scope: Scope<Http>, exchange: Exchange| {
        let (pages, recorder) = (pages.clone(), recorder.clone());
        async move {
            pages.call(scope, exchange).await?;
            recorder.wait_for(1).await;
            Ok(())
        }
    };
    ApplicationExt::boxed(application_fn(written_down))
}

/// Wraps an app like middleware that spawns a task for each request.
fn apart(app: BoxApplication<Http>) -> BoxApplication<Http> {
    let app = ProtocolTypeRouter::new().http(app);
    let pages = service_fn(move |request: Request<Body>| {
        let serving = tokio::spawn(app.clone().oneshot(request));
        async move { serving.await.unwrap() }
    });
    ApplicationExt::boxed(from_service(pages))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_releases_its_connection_permit_behind_any_middleware() {
    for between in ["nothing", "a log", "a service", "a task"] {
        let state = TestState::default();
        let app = match between {
            "a log" => logged(state.flooding()),
            "a service" => written_down(state.flooding(), state.recorder.clone()),
            "a task" => apart(state.flooding()),
            _ => state.flooding(),
        };
        let app = ProtocolTypeRouter::new().http(app);
        let limited = |server: Serve<_>| server.max_connections(1).write_timeout(STALLED);
        let server = Server::configured(app, limited).await;
        state.leave.notify_one();

        let _deaf = ask(server.address).await;
        let mut next = ask(server.address).await;

        read_until(&mut next, "xxx").await;
        let entries = state.recorder.wait_for(2).await;
        assert_eq!(entries[..2], ["disconnect ClientLeft", "gone"], "{between}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_only_the_stalled_stream_is_reset() {
    for between in ["nothing", "a task"] {
        let state = TestState::default();
        let app = match between {
            "a task" => apart(state.flooding()),
            _ => state.flooding(),
        };
        let app = ProtocolTypeRouter::new().http(app);
        // Before the consumer gives up by itself.
        let server = Server::configured(app, |server| server.write_timeout(STALLED / 2)).await;
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut deaf = h2::client::Builder::new();
        let deaf = deaf.initial_window_size(0).handshake::<_, Bytes>(stream);
        let (mut client, connection) = deaf.await.unwrap();
        let connection = tokio::spawn(connection);
        state.leave.notify_one();

        for _ in 0..2 {
            let request = Request::get("http://a/").body(()).unwrap();
            let (response, _) = client.send_request(request, true).unwrap();
            let response = timeout(PATIENCE, response).await.unwrap().unwrap();
            let ended = timeout(PATIENCE, response.into_body().data()).await;
            let ended = ended.unwrap_or_else(|_| panic!("{between}: not aborted"));
            assert!(ended.expect("no end in good order").is_err());
            state.leave.notify_one();
        }

        let entries = state.recorder.wait_for(4).await;
        assert_eq!(entries[0], "disconnect ClientLeft", "{between}");
        connection.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_is_disconnected_before_disconnect_finishes() {
    let state = TestState::default();
    let server = Server::start(state.app()).await;
    let mut deaf = ask(server.address).await;
    state.recorder.wait_for(1).await;

    let mut received = Vec::new();
    let received = timeout(PATIENCE, deaf.read_to_end(&mut received)).await;

    _ = received.expect("the connection breaks");
    assert_eq!(state.recorder.entries(), ["disconnect ClientLeft"]);
    state.leave.notify_one();
    state.recorder.wait_for(2).await;
}

#[tokio::test]
async fn an_abandoned_inner_stream_does_not_close_the_outer_connection() {
    let state = TestState::default();
    let forgetful = {
        let state = state.clone();
        move |_: Scope<Http>, exchange: Exchange| {
            let state = state.clone();
            async move {
                let question = Request::new(Body::empty());
                let _unread = state.app().oneshot(question).await.unwrap();
                state.recorder.wait_for(2).await;
                let response = Response::new("here you are".into());
                Ok(exchange.respond(response).await?)
            }
        }
    };
    let app = ProtocolTypeRouter::new().http(application_fn(forgetful));
    let server = Server::start(app).await;
    state.leave.notify_one();

    let mut client = ask(server.address).await;

    read_until(&mut client, "here you are").await;
    assert_eq!(state.recorder.entries(), ["disconnect ClientLeft", "gone"]);
}
