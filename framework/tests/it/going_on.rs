//! Tests of work after the response has started: streams, and `disconnect` hooks.

use crate::support::{Diary, PATIENCE, Server, read_until};
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::Request;
use http_body_util::BodyExt;
use seaway::{
    ApplicationExt, Channels, Close, Error, ErrorKind, HttpConsumer, HttpContext, HttpHandshake,
    NoEvent, Rejection, Reply, Result, from_service,
    middleware::Provide,
    protocol::{Body, Http},
    routing::{PathRouter, ProtocolTypeRouter},
    testing::HttpCommunicator,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Notify, time::timeout};
use tower::{ServiceExt, service_fn};

/// The state that a test shares with its consumers.
#[derive(Clone, Default)]
struct House {
    diary: Diary,
    /// Lets one handler continue that has started a stream.
    go_on: Arc<Notify>,
    /// Lets one `disconnect` hook return.
    leave: Arc<Notify>,
}

impl House {
    fn pages(&self) -> PathRouter<Http> {
        PathRouter::new().route(
            "/{wish}",
            Guest::application(&Channels::in_memory()).with(Provide(self.clone())),
        )
    }

    fn app(&self) -> ProtocolTypeRouter {
        ProtocolTypeRouter::new().http(self.pages())
    }
}

/// A consumer that does what its path names, and has a slow `disconnect`.
struct Guest {
    house: House,
    wish: String,
}

impl HttpConsumer for Guest {
    type Event = NoEvent;

    const KEEP_ALIVE: Duration = Duration::MAX;

    async fn connect(handshake: &mut HttpHandshake) -> Result<Self, Rejection> {
        Ok(Self {
            house: handshake.state::<House>()?.clone(),
            wish: handshake.param("wish")?,
        })
    }

    async fn handle(&mut self, ctx: &mut HttpContext) -> Result<Reply> {
        if self.wish == "answer" {
            return ctx.reply("the answer");
        }
        if self.wish == "wait" {
            self.house.diary.note("wait");
            std::future::pending::<()>().await;
        }
        let events = ctx.sse().await?;
        events.send("first").await?;
        if self.wish == "ask" {
            let question = Request::get("/answer").body(Body::empty()).unwrap();
            let answer = self.house.app().oneshot(question).await.unwrap();
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            events.send(String::from_utf8_lossy(&text).as_ref()).await?;
        }
        self.house.go_on.notified().await;
        events.send("last").await?;
        match self.wish.as_str() {
            "fail" => Err(Error::new(ErrorKind::Closed, "somebody else is gone")),
            _ => Ok(events.end()),
        }
    }

    async fn disconnect(self, _: Close) {
        self.house.diary.note(format!("{} leaves", self.wish));
        self.house.leave.notified().await;
        self.house.diary.note(format!("{} is gone", self.wish));
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
    let house = House::default();
    let server = Server::start(house.app()).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/ask", "the answer").await;
    assert_eq!(house.diary.wait_for(1).await, ["answer leaves"]);
    house.leave.notify_one();
    assert_eq!(house.diary.wait_for(2).await[1], "answer is gone");

    house.go_on.notify_one();
    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_stream_continues_behind_middleware_that_polls_the_response_future_itself() {
    let house = House::default();
    let app = house.app();
    let pages = service_fn(move |request: Request<Body>| {
        let asked = FuturesUnordered::from_iter([app.clone().oneshot(request)]);
        async move { asked.into_future().await.0.expect("there is one") }
    });
    let server = Server::start(ProtocolTypeRouter::new().http(from_service(pages))).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/stream", "first").await;
    house.go_on.notify_one();

    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_closed_error_of_another_connection_does_not_disconnect_the_client() {
    let house = House::default();
    let server = Server::start(house.app()).await;
    let mut client = connect(server.address).await;

    ask(&mut client, "/fail", "first").await;
    house.go_on.notify_one();
    read_until(&mut client, "0\r\n\r\n").await;
    house.diary.wait_for(1).await;
    ask(&mut client, "/stream", "first").await;
    house.leave.notify_one();
    assert_eq!(house.diary.wait_for(2).await[1], "fail is gone");

    house.go_on.notify_one();
    read_until(&mut client, "last").await;
}

#[tokio::test]
async fn a_started_disconnect_hook_finishes_after_the_server_has_stopped() {
    let house = House::default();
    let short = Duration::from_millis(50);
    let server = Server::configured(house.app(), |server| server.drain_timeout(short)).await;
    let mut client = connect(server.address).await;
    ask(&mut client, "/answer", "the answer").await;
    house.diary.wait_for(1).await;

    let stopped = timeout(PATIENCE, server.stop()).await;
    stopped.unwrap().unwrap().unwrap();
    house.leave.notify_one();

    assert_eq!(house.diary.wait_for(2).await[1], "answer is gone");
}

#[tokio::test]
async fn disconnect_runs_before_the_server_ends_if_the_drain_timeout_drops_a_hook() {
    let house = House::default();
    let short = Duration::from_millis(50);
    let server = Server::configured(house.app(), |server| server.drain_timeout(short)).await;
    let mut client = connect(server.address).await;
    client
        .write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    house.diary.wait_for(1).await;

    let stopped = server.stop();
    house.diary.wait_for(2).await;
    house.leave.notify_one();

    timeout(PATIENCE, stopped).await.unwrap().unwrap().unwrap();
    let entries = house.diary.entries();
    assert_eq!(entries, ["wait", "wait leaves", "wait is gone"]);
}

#[tokio::test]
async fn dropping_a_communicator_after_the_response_does_not_cancel_disconnect() {
    let house = House::default();
    let app = ApplicationExt::boxed(house.pages());
    let ask = || HttpCommunicator::open(&app, Request::get("/answer").body("").unwrap());

    let (dropped, left) = (ask(), ask());
    house.diary.wait_for(2).await;
    drop(dropped);
    let leaving = tokio::spawn(left.vanish());
    tokio::task::yield_now().await;
    house.leave.notify_waiters();

    leaving.await.unwrap().unwrap();
    let entries = house.diary.wait_for(4).await;
    assert_eq!(entries[2..], ["answer is gone", "answer is gone"]);
}
