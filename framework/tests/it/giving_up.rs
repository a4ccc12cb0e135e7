//! Tests of clients that do not read their stream.

use crate::support::{Diary, PATIENCE, Server, read_until};
use bytes::Bytes;
use http::{Request, Response};
use seaway::{
    Application, ApplicationExt, BoxApplication, Channels, Close, HttpConsumer, HttpContext,
    HttpHandshake, NoEvent, Rejection, Reply, Result, Scope, Serve, application_fn, from_service,
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
struct House {
    diary: Diary,
    /// Lets one `disconnect` hook return.
    leave: Arc<Notify>,
}

impl House {
    fn talker(&self) -> BoxApplication<Http> {
        let talker = Talker::application(&Channels::in_memory());
        ApplicationExt::boxed(talker.with(Provide(self.clone())))
    }

    fn app(&self) -> ProtocolTypeRouter {
        ProtocolTypeRouter::new().http(self.talker())
    }
}

/// How long a client may read nothing.
const STALLED: Duration = Duration::from_millis(50);

/// A consumer that sends without pauses, with a short send timeout.
struct Talker(House);

impl HttpConsumer for Talker {
    type Event = NoEvent;

    const SEND_TIMEOUT: Duration = STALLED;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<House>()?.clone()))
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Reply> {
        let body = ctx.stream(Response::new(())).await?;
        while body.send(vec![b'x'; 10_000]).await.is_ok() {}
        Ok(body.end())
    }

    async fn disconnect(self, close: Close) {
        self.0.diary.note(format!("disconnect {}", close.code));
        self.0.leave.notified().await;
        self.0.diary.note("gone");
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
fn written_down(app: BoxApplication<Http>, diary: Diary) -> BoxApplication<Http> {
    let pages = from_service(ProtocolTypeRouter::new().http(app));
    let written_down = move |scope: Scope<Http>, exchange: Exchange| {
        let (pages, diary) = (pages.clone(), diary.clone());
        async move {
            pages.call(scope, exchange).await?;
            diary.wait_for(1).await;
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
        let house = House::default();
        let app = match between {
            "a log" => logged(house.talker()),
            "a service" => written_down(house.talker(), house.diary.clone()),
            "a task" => apart(house.talker()),
            _ => house.talker(),
        };
        let app = ProtocolTypeRouter::new().http(app);
        let limited = |server: Serve<_>| server.max_connections(1).write_timeout(STALLED);
        let server = Server::configured(app, limited).await;
        house.leave.notify_one();

        let _deaf = ask(server.address).await;
        let mut next = ask(server.address).await;

        read_until(&mut next, "xxx").await;
        let entries = house.diary.entries();
        assert_eq!(entries[..2], ["disconnect 1006", "gone"], "{between}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_2_only_the_stalled_stream_is_reset() {
    for between in ["nothing", "a task"] {
        let house = House::default();
        let app = match between {
            "a task" => apart(house.talker()),
            _ => house.talker(),
        };
        let app = ProtocolTypeRouter::new().http(app);
        let server = Server::configured(app, |server| server.write_timeout(STALLED)).await;
        let stream = TcpStream::connect(server.address).await.unwrap();
        let mut deaf = h2::client::Builder::new();
        let deaf = deaf.initial_window_size(0).handshake::<_, Bytes>(stream);
        let (mut client, connection) = deaf.await.unwrap();
        let connection = tokio::spawn(connection);
        house.leave.notify_one();

        for _ in 0..2 {
            let request = Request::get("http://a/").body(()).unwrap();
            let (answer, _) = client.send_request(request, true).unwrap();
            let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
            let ended = timeout(PATIENCE, answer.into_body().data()).await;
            let ended = ended.unwrap_or_else(|_| panic!("{between}: not cut off"));
            assert!(ended.expect("no end in good order").is_err());
            house.leave.notify_one();
        }

        let entries = house.diary.wait_for(4).await;
        assert_eq!(entries[0], "disconnect 1006", "{between}");
        connection.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_client_is_disconnected_before_disconnect_finishes() {
    let house = House::default();
    let server = Server::start(house.app()).await;
    let mut deaf = ask(server.address).await;
    house.diary.wait_for(1).await;

    let mut heard = Vec::new();
    let heard = timeout(PATIENCE, deaf.read_to_end(&mut heard)).await;

    _ = heard.expect("the connection breaks");
    assert_eq!(house.diary.entries(), ["disconnect 1006"]);
    house.leave.notify_one();
    house.diary.wait_for(2).await;
}

#[tokio::test]
async fn an_abandoned_inner_stream_does_not_close_the_outer_connection() {
    let house = House::default();
    let forgetful = {
        let house = house.clone();
        move |_: Scope<Http>, exchange: Exchange| {
            let house = house.clone();
            async move {
                let question = Request::new(Body::empty());
                let _unread = house.app().oneshot(question).await.unwrap();
                house.diary.wait_for(2).await;
                exchange.respond(Response::new("here you are".into())).await
            }
        }
    };
    let app = ProtocolTypeRouter::new().http(application_fn(forgetful));
    let server = Server::start(app).await;
    house.leave.notify_one();

    let mut client = ask(server.address).await;

    read_until(&mut client, "here you are").await;
    assert_eq!(house.diary.entries(), ["disconnect 1006", "gone"]);
}
