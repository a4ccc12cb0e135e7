//! Attacks by clients that stall: in a head, in a body, between requests, or when reading the
//! response. The server's timeouts must close their connections.

use super::{
    http2::{
        DATA, END_HEADERS, END_STREAM, GET, HEADERS, PING, POST, PREFACE, SETTINGS, WHOLE,
        WINDOW_UPDATE, frame, hello,
    },
    shape::assert_unharmed,
    target::Target,
};
use futures_util::future::join_all;
use seaway_tests::support::{RawClient, wait::DEADLINE};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{interval, timeout},
};

/// The timeouts of the server, in seconds. An idle HTTP/2 client has 5 s more to close by itself.
const LIMITS: [&str; 8] = [
    "--head-timeout",
    "0.5",
    "--body-timeout",
    "0.5",
    "--write-timeout",
    "0.5",
    "--idle-timeout",
    "0.5",
];

/// The interval at which a client repeats its bytes, far shorter than the timeouts.
const REPEAT: Duration = Duration::from_millis(20);

/// The bytes that a client sends at once, and those that it then repeats; none if it sends nothing
/// more.
pub struct Stall {
    pub name: &'static str,
    start: Vec<u8>,
    repeat: Vec<u8>,
    reads: bool,
}

/// Runs all concurrently, on a server with short timeouts.
pub async fn examine() {
    let mut target = Target::start(&LIMITS).await;
    let (stalls, port) = (stalls(), target.port());
    let attacks = join_all(stalls.iter().map(|stall| stall.end(port)));

    let ends = target.serves_others_during("slow clients", attacks).await;

    let connected = stalls.iter().zip(ends).filter(|(_, has_ended)| !has_ended);
    let connected = connected.map(|(stall, _)| format!("still connected: {}", stall.name));
    assert_unharmed(connected.collect(), target).await;
}

impl Stall {
    fn new(name: &'static str, start: impl Into<Vec<u8>>, repeat: impl Into<Vec<u8>>) -> Self {
        Self {
            name,
            start: start.into(),
            repeat: repeat.into(),
            reads: true,
        }
    }

    /// Returns whether the server closes the connection.
    async fn end(&self, port: u16) -> bool {
        let mut client = RawClient::connect(port).await;
        client.write(&self.start).await;
        let (mut incoming, mut outgoing) = client.into_inner().into_split();
        let write = async {
            let mut pause = interval(REPEAT);
            // An empty write never fails.
            while outgoing.write_all(&self.repeat).await.is_ok() {
                pause.tick().await;
            }
        };
        let read = async {
            let mut received = Vec::new();
            // A reset also ends the connection.
            _ = incoming.read_to_end(&mut received).await;
        };
        let end = async {
            tokio::select! {
                () = write => {}
                () = read, if self.reads => {}
            }
        };
        timeout(DEADLINE, end).await.is_ok()
    }
}

#[rustfmt::skip]
pub fn stalls() -> Vec<Stall> {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /body HTTP/1.1\r\nHost: a\r\n";
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let request = |headers: Vec<u8>| [hello(), headers].concat();
    let open = frame(HEADERS, END_HEADERS, 1, POST);
    let no_window = frame(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]);
    vec![
        Stall::new("nothing at all", "", ""),
        Stall::new("a letter", "G", ""),
        Stall::new("a request line", "GET / HTTP/1.1\r\n", ""),
        Stall::new("a head without its end", "GET / HTTP/1.1\r\nHost: a\r\n", ""),
        Stall::new("a page, and then nothing", get, ""),
        Stall::new("a page, and then half a request", format!("{get}GET"), ""),
        Stall::new("half a handshake", "GET /ws/echo HTTP/1.1\r\nUpgrade: websocket\r\n", ""),
        Stall::new("letters of a method, one by one", "", "G"),
        Stall::new("letters of a target, one by one", "GET /", "x"),
        Stall::new("letters of a name, one by one", "GET / HTTP/1.1\r\n", "x"),
        Stall::new("letters of a value, one by one", "GET / HTTP/1.1\r\nX: ", "x"),
        Stall::new("headers, one by one", "GET / HTTP/1.1\r\n", "X: y\r\n"),
        Stall::new("empty lines, one by one", "", "\r\n"),
        Stall::new("letters of a second request, one by one", get, "G"),
        Stall::new("a body that does not begin", format!("{post}Content-Length: 9\r\n\r\n"), ""),
        Stall::new("half a body", format!("{post}Content-Length: 9\r\n\r\nhell"), ""),
        Stall::new("half a chunk", format!("{chunked}5\r\nhel"), ""),
        Stall::new("half a chunk's size", format!("{chunked}5"), ""),
        Stall::new("chunks without an end", format!("{chunked}5\r\nhello\r\n"), ""),
        Stall::new("half a trailer", format!("{chunked}0\r\nX: "), ""),
        Stall::new("an expected body", format!("{post}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"), ""),
        Stall { reads: false, ..Stall::new("responses that are not read", "", get.repeat(1_000)) },
        Stall::new("a letter of the preface of HTTP/2", "P", ""),
        Stall::new("PRI", "PRI", ""),
        Stall::new("half the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", ""),
        Stall::new("all but the end of the preface", &PREFACE[..PREFACE.len() - 1], ""),
        Stall::new("the preface of HTTP/2", PREFACE, ""),
        Stall::new("HTTP/2 without a request", hello(), ""),
        Stall::new("HTTP/2 pings without a request", hello(), frame(PING, 0, 0, [7; 8])),
        Stall::new("HTTP/2 settings without a request", hello(), frame(SETTINGS, 0, 0, [])),
        Stall::new("HTTP/2 window updates without a request", hello(), frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1])),
        Stall::new("an answered HTTP/2 request, and then pings", request(frame(HEADERS, WHOLE, 1, GET)), frame(PING, 0, 0, [7; 8])),
        Stall::new("HTTP/2 headers without their end", request(frame(HEADERS, END_STREAM, 1, GET)), ""),
        Stall::new("an HTTP/2 body that does not begin", request(open.clone()), ""),
        Stall::new("half an HTTP/2 body, and then pings", [request(open.clone()), frame(DATA, 0, 1, "hell")].concat(), frame(PING, 0, 0, [7; 8])),
        Stall::new("empty data without an end", request(open), frame(DATA, 0, 1, "")),
        Stall::new("an HTTP/2 response without a window", [request(no_window), frame(HEADERS, WHOLE, 1, GET)].concat(), frame(PING, 0, 0, [7; 8])),
    ]
}
