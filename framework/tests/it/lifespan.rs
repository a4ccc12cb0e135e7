//! Tests of the lifespan: startup before the first client, shutdown after the last.

use crate::support::{PATIENCE, Recorder, Server, connect, ended, next_close, next_text, trouble};
use axum::{Extension, Router, routing::get};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Close, Context, ErrorKind, Handshake, Lifespan, NoEvent, Rejection,
    Result, WebSocketConsumer, WorkerContext, from_service,
    middleware::Provide,
    protocol::WebSocket,
    routing::{ChannelNameRouter, PathRouter, ProtocolTypeRouter},
    serve, serve_workers,
    testing::WebSocketCommunicator,
    worker_fn,
};
use std::{
    future::{Ready, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

/// A value that a startup function returns, and a shutdown function closes.
#[derive(Clone)]
struct Database(Recorder);

impl Database {
    async fn close(self) {
        self.0.record("the database is closed");
    }
}

/// A second value, made from the first.
#[derive(Clone)]
struct Cache(&'static str);

fn open(recorder: &Recorder) -> impl FnOnce() -> Ready<Result<Database>> + Send + 'static {
    let recorder = recorder.clone();
    move || {
        recorder.record("the database is open");
        ready(Ok(Database(recorder)))
    }
}

/// A consumer that sends a value of the startup.
struct Greeter(Recorder);

impl WebSocketConsumer for Greeter {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let Database(recorder) = handshake.state()?;
        recorder.record("connect");
        Ok(Self(recorder.clone()))
    }
    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        let Cache(greeting) = *ctx.state()?;
        Ok(ctx.send(greeting).await?)
    }
    async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> {
        Ok(())
    }
    async fn disconnect(self, close: Close) {
        self.0.record(format!("disconnect {}", close.code));
    }
}

fn greeter() -> ProtocolTypeRouter {
    async fn page(Extension(Cache(greeting)): Extension<Cache>) -> &'static str {
        greeting
    }
    ProtocolTypeRouter::new()
        .http(from_service(Router::new().route("/", get(page))))
        .websocket(Greeter::application(&Channels::in_memory()))
}

async fn page(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("an response").unwrap();
    response
}

#[tokio::test]
async fn a_shutdown_function_is_called_only_at_the_shutdown() {
    let recorder = Recorder::default();
    let at_end = recorder.clone();
    let close = move || {
        at_end.record("called");
        std::future::ready(())
    };

    let running = Lifespan::new().on_shutdown(close).start().await.unwrap();
    assert!(recorder.entries().is_empty());
    running.stop().await;

    assert_eq!(recorder.entries(), ["called"]);
}

#[tokio::test]
async fn startup_values_are_in_every_scope_and_closed_after_the_drain() {
    let recorder = Recorder::default();
    let noted = recorder.clone();
    let server = Server::configured(greeter(), |server| {
        server
            .on_startup(open(&recorder))
            .on_shutdown(Database::close)
            .on_startup(async |_: Database| Ok(Cache("ahoy")))
            .on_shutdown(async move |Cache(greeting)| noted.record(format!("no more {greeting}")))
    })
    .await;

    assert!(page(server.address).await.ends_with("ahoy"));
    let mut client = connect(server.address, "/").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
    let stopped = server.stop();
    assert_eq!(next_close(&mut client).await.code, Close::AWAY);
    drop(client);

    ended(stopped).await;
    let expected = [
        "the database is open",
        "connect",
        "disconnect 1001",
        "no more ahoy",
        "the database is closed",
    ];
    assert_eq!(recorder.entries(), expected);
}

#[tokio::test]
async fn no_request_is_served_before_the_startup_is_done() {
    let recorder = Recorder::default();
    let (done, wait) = oneshot::channel::<()>();
    let opening = open(&recorder);
    let server = Server::configured(greeter(), |server| {
        server
            .on_startup(async || {
                _ = wait.await;
                opening().await
            })
            .on_startup(async || Ok(Cache("ahoy")))
    })
    .await;

    let address = server.address;
    let asking = tokio::spawn(async move { page(address).await });
    assert!(
        timeout(Duration::from_millis(50), recorder.wait_for(1))
            .await
            .is_err()
    );
    assert!(!asking.is_finished());
    done.send(()).unwrap();

    assert!(asking.await.unwrap().ends_with("ahoy"));
}

#[tokio::test]
async fn a_failed_startup_is_the_servers_error_and_stops_what_had_started() {
    let (recorder, address) = (Recorder::default(), free_address().await);
    let (never, again) = (recorder.clone(), recorder.clone());

    let outcome = serve(address, greeter())
        .on_startup(open(&recorder))
        .on_shutdown(Database::close)
        .on_shutdown(async move || again.record("the last is the first"))
        .on_startup(async || Err::<Cache, _>(trouble().into()))
        .on_shutdown(async move || never.record("never"))
        .await;

    let error = outcome.unwrap_err();
    assert_eq!(format!("{error:?}"), "the database is on fire");
    let expected = [
        "the database is open",
        "the last is the first",
        "the database is closed",
    ];
    assert_eq!(recorder.entries(), expected);
}

#[tokio::test]
async fn the_port_is_not_open_before_the_startup_is_done() {
    let address = free_address().await;

    let outcome = serve(address.clone(), greeter())
        .on_startup(async move || match TcpStream::connect(address).await {
            Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        })
        .await;

    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Io, "rejected");
}

#[tokio::test]
async fn a_panic_during_startup_is_an_error() {
    let outcome = Lifespan::new()
        .on_startup(async || -> Result<Cache> { panic!("out of paper") })
        .start()
        .await;

    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("out of paper"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_stops_what_had_started() {
    let recorder = Recorder::default();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();

    let outcome = serve(taken.local_addr().unwrap(), greeter())
        .on_startup(open(&recorder))
        .on_shutdown(Database::close)
        .await;

    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(
        recorder.entries(),
        ["the database is open", "the database is closed"]
    );
}

#[tokio::test]
async fn a_stop_during_the_startup_ends_it_and_stops_what_had_started() {
    let recorder = Recorder::default();
    let (begun, begins) = oneshot::channel();

    let server = serve("127.0.0.1:0", greeter())
        .on_startup(open(&recorder))
        .on_shutdown(Database::close)
        .on_startup(async || {
            begun.send(()).unwrap();
            std::future::pending::<Result<()>>().await
        })
        .stop_on(async { begins.await.unwrap() })
        .into_future();

    timeout(PATIENCE, server).await.unwrap().unwrap();
    assert_eq!(
        recorder.entries(),
        ["the database is open", "the database is closed"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_hook_that_hangs_or_panics_does_not_prevent_the_others() {
    let recorder = Recorder::default();
    let running = Lifespan::new()
        .on_startup(open(&recorder))
        .on_shutdown(Database::close)
        .on_shutdown(async || std::future::pending().await)
        .on_shutdown(async || panic!("out of paper"))
        .on_shutdown(async || std::future::pending().await)
        .start()
        .await
        .unwrap();

    let before = tokio::time::Instant::now();
    running.stop().await;

    assert_eq!(before.elapsed().as_secs(), 20, "twice the default limit");
    assert_eq!(recorder.entries()[1], "the database is closed");
}

#[tokio::test(start_paused = true)]
async fn a_part_keeps_the_shutdown_timeout_that_it_sets_itself() {
    let hangs = || Lifespan::new().on_shutdown(async || std::future::pending().await);
    let seconds = Duration::from_secs;
    let running = Lifespan::new()
        .and(hangs().shutdown_timeout(seconds(2)))
        .and(hangs())
        .on_shutdown(async || std::future::pending().await)
        .shutdown_timeout(seconds(30))
        .start()
        .await
        .unwrap();

    let before = tokio::time::Instant::now();
    running.stop().await;

    assert_eq!(before.elapsed(), seconds(2 + 30 + 30));
}

#[tokio::test(start_paused = true)]
async fn workers_of_their_own_have_a_shutdown_timeout() {
    let channels = Channels::in_memory();
    let job = async |_: WorkerContext, _: NoEvent| Ok(());
    let workers = ChannelNameRouter::new().route("jobs", worker_fn(&channels, job));
    let (began, beginning) = oneshot::channel();

    serve_workers(&channels, workers)
        .on_shutdown(async move || {
            began.send(tokio::time::Instant::now()).unwrap();
            std::future::pending().await
        })
        .shutdown_timeout(Duration::from_secs(3))
        .stop_on(tokio::time::sleep(Duration::from_secs(1)))
        .await
        .unwrap();

    assert_eq!(beginning.await.unwrap().elapsed().as_secs(), 3);
}

#[tokio::test]
async fn a_missing_value_is_an_error_at_startup() {
    let outcome = Lifespan::new()
        .on_shutdown(async |_: Cache| {})
        .start()
        .await;

    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.to_string().contains("Cache"), "{error}");
}

#[tokio::test]
async fn another_server_can_start_and_stop_a_lifespan() {
    let recorder = Recorder::default();
    let lifespan = Lifespan::new()
        .on_startup(open(&recorder))
        .on_shutdown(Database::close);
    let part = Lifespan::new().on_startup(async |_: Database| Ok(Cache("ahoy")));
    let running = lifespan.and(part).start().await.unwrap();
    let inside = Router::new()
        .nest_service("/live", greeter())
        .layer(running.provide());
    let server = Server::start(inside).await;

    let mut client = connect(server.address, "/live").await;
    assert_eq!(next_text(&mut client).await, "ahoy");
    drop(client);
    timeout(PATIENCE, server.stop())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(running.get::<Cache>().unwrap().0, "ahoy");
    running.stop().await;

    assert_eq!(recorder.entries().pop().unwrap(), "the database is closed");
}

#[tokio::test]
async fn a_test_can_provide_startup_values_without_a_server() {
    let running = Lifespan::new()
        .on_startup(open(&Recorder::default()))
        .on_startup(async || Ok(Cache("ahoy")))
        .start()
        .await
        .unwrap();
    let app = PathRouter::<WebSocket>::new()
        .route("/", Greeter::application(&Channels::in_memory()))
        .with(running.provide())
        .with(Provide(Cache("overruled by what is inside")))
        .boxed();
    let mut client = WebSocketCommunicator::open(&app, Request::get("/"));

    assert_eq!(client.receive_text().await, "ahoy");
    running.stop().await;
}

async fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
