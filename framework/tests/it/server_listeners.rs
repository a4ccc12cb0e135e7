//! Tests of listeners: Unix sockets, and listeners of a user's own.

use crate::{
    log::Log,
    support::{PATIENCE, echo, eventually},
};
use axum::{Router, routing::get};
use seaway::{
    Accepted, ClientAddr, ErrorKind, Listener, Result, Serve, bind_tcp, from_service,
    routing::ProtocolTypeRouter, serve,
};
use std::{future::IntoFuture, io, net::SocketAddr, path::PathBuf, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{client_async, tungstenite::Message};

async fn page(client: Option<ClientAddr>) -> String {
    client.map_or("nowhere".to_owned(), |client| client.0.to_string())
}

async fn strict(ClientAddr(client): ClientAddr) -> String {
    client.to_string()
}

fn app() -> ProtocolTypeRouter {
    let pages = Router::new()
        .route("/", get(page))
        .route("/strict", get(strict));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(echo())
}

/// A running server, and the means to stop it.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), seaway::Error>>,
}

fn start(listener: impl Listener) -> Running {
    run(serve(listener, app()))
}

fn run(server: Serve<ProtocolTypeRouter>) -> Running {
    let (stop, stopped) = oneshot::channel();
    let serving = server.stop_on(async { _ = stopped.await });
    let task = tokio::spawn(serving.into_future());
    Running { stop, task }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        let stopped = timeout(PATIENCE, self.task).await;
        stopped.expect("the server stops").unwrap().unwrap();
    }
}

/// A Unix socket in the temporary folder, removed at the end.
struct Path(PathBuf);

impl Path {
    fn new(name: &str) -> Self {
        let name = format!("seaway-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        _ = std::fs::remove_file(&path);
        Self(path)
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        _ = std::fs::remove_file(&self.0);
    }
}

/// Requests a page, closes the sending side, and reads the response.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut response = String::new();
    let read = timeout(PATIENCE, stream.read_to_string(&mut response)).await;
    read.expect("a response").unwrap();
    response
}

/// Sends a message over a WebSocket, and closes it.
async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut client, _) = client_async("ws://a/", stream).await.unwrap();
    let message = Message::text("ahoy");
    futures_util::SinkExt::send(&mut client, message.clone())
        .await
        .unwrap();
    let echoed = timeout(PATIENCE, futures_util::StreamExt::next(&mut client)).await;
    assert_eq!(echoed.expect("an echo").unwrap().unwrap(), message);
    client.close(None).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_serves_pages_and_websockets_of_clients_without_an_address() {
    let path = Path::new("unix");
    let log = Log::listen();
    let server = start(UnixListener::bind(&path.0).unwrap());
    let connect = || UnixStream::connect(&path.0);

    let page = ask(connect().await.unwrap(), "/").await;
    assert!(
        page.starts_with("HTTP/1.1 200 OK") && page.ends_with("nowhere"),
        "{page}"
    );
    let strict = ask(connect().await.unwrap(), "/strict").await;
    assert!(strict.starts_with("HTTP/1.1 500"), "{strict}");
    talk(connect().await.unwrap()).await;

    server.stop().await;
    assert!(connect().await.is_err(), "the listener is closed");
    for line in ["listening", "stopping: closing WebSockets"] {
        let line = log.line(line);
        assert!(line.contains(path.0.to_str().unwrap()), "{line}");
    }
}

#[tokio::test]
async fn max_connections_counts_the_connections_of_all_listeners_and_not_the_listeners() {
    let log = Log::listen();
    let paths = [Path::new("first"), Path::new("second")];
    let [first, second] = [0, 1].map(|index: usize| UnixListener::bind(&paths[index].0).unwrap());
    let server = run(serve(first, app()).listen(second).max_connections(1));
    for path in &paths {
        let page = ask(UnixStream::connect(&path.0).await.unwrap(), "/").await;
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    }
    log.clear();
    let open = UnixStream::connect(&paths[0].0).await.unwrap();
    let (open, _) = client_async("ws://a/", open).await.unwrap();

    let waiting = UnixStream::connect(&paths[1].0).await.unwrap();
    let waiting = tokio::spawn(async { ask(waiting, "/").await });
    // One line of each listener.
    eventually(|| (log.lines("reached `max_connections`").len() == 2).then_some(())).await;
    assert!(!waiting.is_finished());
    drop(open);

    let page = waiting.await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_binds_an_address_queues_more_clients_than_128() {
    let log = Log::listen();
    let server = run(serve("127.0.0.1:0", app()).max_connections(1));
    let line = eventually(|| log.lines("listening").pop()).await;
    let (_, port) = line.split_once("127.0.0.1:").unwrap();
    let port = port.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();

    let mut clients = Vec::new();
    for number in 0..300 {
        let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
        clients.push(connected.unwrap_or_else(|_| {
            panic!("client {number} is not queued; is net.core.somaxconn below 300?")
        }));
    }

    assert!(clients.iter().all(Result::is_ok));
    drop(clients);
    server.stop().await;
}

#[tokio::test]
async fn a_listener_is_bound_to_the_first_address_that_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = (taken.local_addr().unwrap(), taken);
    let free: SocketAddr = "127.0.0.1:0".parse().unwrap();

    let bound = bind_tcp(&[taken.0, free][..]).await.unwrap();
    assert_ne!(bound.local_addr().unwrap(), taken.0);

    let error = bind_tcp(taken.0).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(
        text.starts_with(&format!("cannot listen on {}: ", taken.0)),
        "{text}"
    );
    let source = std::error::Error::source(&error).and_then(|error| error.downcast_ref());
    let system: &io::Error = source.expect("an error of the operating system");
    assert_eq!(
        system.raw_os_error(),
        TcpListener::bind(taken.0).await.unwrap_err().raw_os_error()
    );
    assert!(system.raw_os_error().is_some());
    let converted = seaway::Error::from(error);
    assert_eq!(format!("{converted:#}"), text, "it says the reason once");
}

#[tokio::test]
async fn a_unix_client_that_never_sends_does_not_delay_the_shutdown() {
    let path = Path::new("silent");
    let server = start(UnixListener::bind(&path.0).unwrap());
    let silent = UnixStream::connect(&path.0).await.unwrap();
    ask(UnixStream::connect(&path.0).await.unwrap(), "/").await;

    server.stop().await;

    drop(silent);
}

/// A listener of streams in memory, whose clients have an address.
struct Memory(mpsc::Receiver<io::Result<DuplexStream>>);

impl Listener for Memory {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.0.recv().await {
            Some(stream) => {
                let client: SocketAddr = "[::ffff:192.0.2.7]:80".parse().unwrap();
                Ok(Accepted::new(stream?, Some(client)))
            }
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<String> {
        Ok("memory".to_owned())
    }
}

#[tokio::test]
async fn a_listener_of_ones_own_serves_any_stream() {
    let (clients, listener) = mpsc::channel(8);
    let server = start(Memory(listener));
    let connect = async || {
        let (ours, theirs) = duplex(4096);
        clients.send(Ok(theirs)).await.unwrap();
        ours
    };

    let page = ask(connect().await, "/").await;
    assert!(page.ends_with("192.0.2.7:80"), "{page}");
    talk(connect().await).await;

    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn accepting_continues_after_an_error() {
    let (clients, listener) = mpsc::channel(8);
    let server = start(Memory(listener));
    let (ours, theirs) = duplex(4096);
    clients
        .send(Err(io::ErrorKind::ConnectionAborted.into()))
        .await
        .unwrap();
    clients
        .send(Err(io::Error::other("too many open files")))
        .await
        .unwrap();
    clients.send(Ok(theirs)).await.unwrap();
    let start = tokio::time::Instant::now();

    let page = ask(ours, "/").await;

    assert!(page.ends_with("192.0.2.7:80"), "{page}");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    server.stop().await;
}

/// A listener without an address.
struct Nowhere;

impl Listener for Nowhere {
    async fn accept(&mut self) -> io::Result<Accepted> {
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<String> {
        Err(io::Error::other("it is closed"))
    }
}

#[tokio::test]
async fn a_listener_without_an_address_is_not_served() {
    let served = serve(Nowhere, app()).stop_on(std::future::pending()).await;

    assert!(format!("{:?}", served.unwrap_err()).contains("it is closed"));
}

/// A listener that keeps its own handles of the sockets that it has accepted.
struct Watched(TcpListener, mpsc::Sender<socket2::Socket>);

impl Listener for Watched {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, client) = self.0.accept().await?;
        let stream = stream.into_std()?;
        _ = self.1.send(stream.try_clone()?.into()).await;
        Ok(Accepted::from_tcp(TcpStream::from_std(stream)?, client))
    }

    fn local_addr(&self) -> io::Result<String> {
        Listener::local_addr(&self.0)
    }
}

#[tokio::test]
async fn a_tcp_connection_is_probed_while_it_is_silent() {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let (accepted, mut sockets) = mpsc::channel(1);
    let server = start(Watched(tcp, accepted));
    let mut client = TcpStream::connect(address).await.unwrap();

    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();

    let socket = sockets.recv().await.unwrap();
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 60);
    assert_eq!(socket.tcp_keepalive_interval().unwrap().as_secs(), 15);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
    server.stop().await;
}

/// A listener that panics once a client has arrived.
struct Broken(TcpListener);

impl Listener for Broken {
    async fn accept(&mut self) -> io::Result<Accepted> {
        Listener::accept(&mut self.0).await?;
        panic!("out of order")
    }

    fn local_addr(&self) -> io::Result<String> {
        Listener::local_addr(&self.0)
    }
}

#[tokio::test]
async fn a_listener_that_panics_ends_the_server_with_an_error() {
    let log = Log::listen();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let server = start(Broken(tcp));

    let _client = TcpStream::connect(address).await.unwrap();

    let served = timeout(PATIENCE, server.task).await;
    let error = served.expect("the server stops").unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::User);
    assert!(format!("{error:#}").contains("out of order"), "{error:#}");
    let line = log.line("a listener panicked; stopping");
    assert!(line.contains("out of order"), "{line}");
}
