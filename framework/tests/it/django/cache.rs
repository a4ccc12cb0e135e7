//! Tests of sessions in Django's cache, in a Redis behind a proxy that loses or adds replies.

use super::site::{KEY, Site};
use axum::{Router, routing::get};
use seaway::{
    django::{DjangoAuth, DjangoCache, DjangoDatabase, DjangoSession, DjangoSessions, SecretKeys},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use std::{
    future::IntoFuture,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);
const BOBS: &str = "bobs0session0bobs0session0bobs00";

/// What the proxy does with the next reply that holds a session.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Lose,
    Double,
}

/// What Redis and its proxy share.
#[derive(Default)]
struct Shared {
    fault: Mutex<Option<Fault>>,
    has_happened: Notify,
    /// With which error it refuses to read sessions.
    refusal: Mutex<Option<&'static str>>,
    commands: Mutex<Vec<String>>,
}

/// A Redis with a session for each key that ends with the key of its client, behind a proxy.
struct CacheServer {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl CacheServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, serving.clone()));
            }
        });
        Self {
            url,
            shared,
            accepting,
        }
    }

    /// Ends it, and closes its connections.
    fn stop(&self) {
        self.accepting.abort();
    }

    fn next(&self, fault: Fault) {
        *self.shared.fault.lock().unwrap() = Some(fault);
    }
}

async fn serve(socket: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let words = command(&mut socket).await?;
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        shared.commands.lock().unwrap().push(words.join(" "));
        let refusal = *shared.refusal.lock().unwrap();
        let reply = match (words[0], refusal) {
            ("GETRANGE", Some(error)) => format!("-{error}\r\n"),
            _ => reply(&words),
        };
        let fault = match words[0] {
            "GETRANGE" => shared.fault.lock().unwrap().take(),
            _ => None,
        };
        if fault != Some(Fault::Lose) {
            socket.write_all(reply.as_bytes()).await?;
        }
        if fault == Some(Fault::Double) {
            socket.write_all(reply.as_bytes()).await?;
        }
        if fault.is_some() {
            shared.has_happened.notify_one();
        }
    }
}

/// Reads one command.
async fn command(socket: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let count = number(socket).await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; number(socket).await? + 2];
        socket.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8(word).unwrap());
    }
    Ok(words)
}

/// Reads a line with a number after its kind.
async fn number(socket: &mut BufReader<TcpStream>) -> io::Result<usize> {
    let mut line = String::new();
    if socket.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line[1..].trim().parse().unwrap())
}

fn reply(words: &[&str]) -> String {
    let text = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    match words {
        ["HELLO", ..] => "%0\r\n".to_owned(),
        ["INFO", "replication"] => text("role:master\r\n"),
        ["INFO", ..] => text("redis_version:7.0.0\r\nrun_id:1\r\n"),
        ["PING", number] => text(number),
        ["CLIENT", "ID"] => ":1\r\n".to_owned(),
        ["CLIENT", "KILL", ..] => ":0\r\n".to_owned(),
        ["GETRANGE", key, ..] => text(&format!(r#"{{"cart": "of {}"}}"#, &key[key.len() - 32..])),
        _ => "+OK\r\n".to_owned(),
    }
}

/// A page that says what is in the cart of its client, or the kind of the error.
async fn cart(session: DjangoSession) -> String {
    match session.get::<String>("cart").await {
        Ok(cart) => cart.unwrap_or_else(|| "empty".to_owned()),
        Err(error) => format!("{:?}: {error:#}", error.kind()),
    }
}

async fn app(site: &Site, server: &CacheServer) -> ProtocolTypeRouter {
    let cache = DjangoCache::connect(&server.url).await.unwrap();
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let keys = SecretKeys::new(site.secret_key());
    let auth = DjangoAuth::new(keys, DjangoSessions::cache(cache), &database);
    let pages = Router::new().route("/cart", get(cart));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .with(auth)
}

/// Returns what the page says to the client with this session.
async fn cart_of(app: &ProtocolTypeRouter, key: &str) -> String {
    let client = TestClient::new(app);
    client.set_cookie("sessionid", key);
    let page = timeout(DEADLINE, client.get("/cart").into_future()).await;
    page.expect("in time").text().to_owned()
}

/// Waits until each client reads its own session.
async fn until_each_reads_its_own(app: &ProtocolTypeRouter) {
    let reading = async {
        for key in [KEY, BOBS] {
            while cart_of(app, key).await != format!("of {key}") {
                tokio::task::yield_now().await;
            }
        }
    };
    timeout(DEADLINE, reading).await.expect("a new connection");
}

#[tokio::test]
async fn no_client_gets_the_session_of_another_one_if_a_proxy_loses_or_adds_a_reply() {
    let (site, server) = (Site::new().await, CacheServer::start().await);
    let app = app(&site, &server).await;
    until_each_reads_its_own(&app).await;

    for fault in [Fault::Lose, Fault::Double] {
        server.next(fault);
        let later = async {
            if fault == Fault::Lose {
                server.shared.has_happened.notified().await;
            }
            cart_of(&app, BOBS).await
        };
        let (alices, bobs) = tokio::join!(cart_of(&app, KEY), later);

        for (key, cart) in [(KEY, &alices), (BOBS, &bobs)] {
            let is_own = *cart == format!("of {key}");
            assert!(is_own || cart.starts_with("Session: "), "{key}: {cart}");
        }
        let is_noticed = [&alices, &bobs].map(|cart| cart.contains("another command"));
        assert!(is_noticed.contains(&true), "{alices}, {bobs}");
        until_each_reads_its_own(&app).await;
    }
}

#[tokio::test]
async fn the_error_of_a_session_that_redis_does_not_read_yet_has_the_reason() {
    let (site, server) = (Site::new().await, CacheServer::start().await);
    let app = app(&site, &server).await;
    until_each_reads_its_own(&app).await;

    for refusal in [
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ] {
        *server.shared.refusal.lock().unwrap() = Some(refusal);

        let cart = cart_of(&app, KEY).await;

        assert!(cart.starts_with("Session: "), "{cart}");
        let (_, reason) = refusal.split_once(' ').expect("a code and a reason");
        assert!(cart.contains(reason), "{cart}");
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_from_a_cache_that_is_down_is_an_error_of_sessions() {
    let (site, server) = (Site::new().await, CacheServer::start().await);
    let app = app(&site, &server).await;
    until_each_reads_its_own(&app).await;

    server.stop();

    for _ in 0..2 {
        let mut cart = cart_of(&app, KEY).await;
        // The connection may not be closed yet.
        while cart == format!("of {KEY}") {
            tokio::task::yield_now().await;
            cart = cart_of(&app, KEY).await;
        }
        let expected = "Session: cannot read a session from Django's cache in Redis";
        assert!(cart.starts_with(expected), "{cart}");
    }
}

#[tokio::test]
async fn a_connection_to_redis_does_not_name_its_library_which_needs_a_permission() {
    let server = CacheServer::start().await;

    DjangoCache::connect(&server.url).await.unwrap();

    let commands = server.shared.commands.lock().unwrap();
    assert!(!commands.is_empty());
    let is_named = commands.iter().any(|command| command.contains("SETINFO"));
    assert!(!is_named, "{commands:?}");
}
