//! Connections with every kind of ending, and what is left of them in the server: nothing.

use std::fmt;

use futures_util::{StreamExt, stream};
use seaway_tests::support::{
    RawClient, Server,
    raw::{self, text_frame},
    usage::{descriptors, resident_memory_kib},
    wait::{DEADLINE, POLL},
};
use tokio::{
    net::TcpSocket,
    time::{sleep, timeout},
};

/// The settings of the server: silent clients end within 3 s, slow ones are closed, and topics are
/// full when they are measured first.
const FLAGS: [&str; 12] = [
    "--heartbeat",
    "1",
    "--heartbeat-timeout",
    "2",
    "--close-timeout",
    "1",
    "--policy",
    "close",
    "--grace",
    "0.5",
    "--history",
    "20",
];

/// How many connections are open at once.
const AT_ONCE: usize = 128;

/// How much more memory the server may have at the end, in KiB: 100,000 connections that leave 50
/// bytes each leave more.
const MEMORY_KIB: u64 = 4 * 1024;

/// The receive buffer of a slow client, in bytes.
const RECEIVE_BUFFER: u32 = 4096;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A WebSocket, by the client's closing handshake.
    ClosingHandshake,
    /// A WebSocket, without a closing handshake (FIN).
    Closed,
    /// A WebSocket, by a reset.
    Reset,
    /// A WebSocket whose client is silent, until the heartbeat finds out.
    Silent,
    /// A WebSocket whose client sends bytes that are no frame.
    Garbage,
    /// A WebSocket whose client sends and reads nothing, until the policy closes it.
    Slow,
    /// A WebSocket whose consumer panics.
    Panic,
    /// A handshake that the consumer rejects in `connect`.
    Rejected,
    /// A handshake of a foreign origin.
    Foreign,
    /// An event stream that the client leaves.
    Stream,
    /// The event stream that replaces a WebSocket, left by the client.
    Fallback,
    /// A request with a body that is not sent to its end.
    HalfBody,
    /// A connection over HTTP/2, left after the SETTINGS.
    Http2,
    /// A request and its response.
    Page,
}

use Ending::*;

/// Each ending, and how many of 100 connections have it. Those that take seconds are the fewest.
const SHARES: [(Ending, usize); 14] = [
    (ClosingHandshake, 20),
    (Closed, 15),
    (Reset, 14),
    (Silent, 4),
    (Garbage, 8),
    (Slow, 1),
    (Panic, 2),
    (Rejected, 8),
    (Foreign, 4),
    (Stream, 8),
    (Fallback, 4),
    (HalfBody, 4),
    (Http2, 4),
    (Page, 4),
];

/// The paths of consumers: without a group, with one, and with a topic and a presence. Topics are
/// few, as each remembers its events.
fn path(number: usize) -> String {
    let room = number / 4 % 10;
    match number % 4 {
        0 => "/ws/echo".to_owned(),
        1 => format!("/ws/room/{room}"),
        2 => format!("/ws/topic/{room}"),
        _ => format!("/ws/presence/{room}?key={}", number % 1000),
    }
}

/// Opens connection `number`, and ends it.
async fn end(server: &Server, number: usize, ending: Ending) {
    let mut client = server.raw_client().await;
    match ending {
        ClosingHandshake => {
            let mut client = server.client(&path(number)).await;
            client.send("ahoy").await;
            assert_eq!(client.close().await, 1000);
        }
        Closed | Reset => {
            assert_eq!(client.upgrade(&path(number), "").await, 101);
            client.write(&text_frame(b"ahoy")).await;
            match ending {
                Closed => drop(client),
                _ => client.reset(),
            }
        }
        Silent => {
            assert_eq!(client.upgrade(&path(number), "").await, 101);
            client.hung_up().await;
        }
        Garbage => {
            assert_eq!(client.upgrade("/ws/echo", "").await, 101);
            client.write(&[0xff; 20]).await;
            assert_eq!(client.close_code().await.0, 1002);
        }
        Slow => overflow(server.port()).await,
        Panic => {
            assert_eq!(client.upgrade("/ws/panic", "").await, 101);
            client.write(&text_frame(b"ahoy")).await;
            assert_eq!(client.close_code().await.0, 1011);
        }
        Rejected => assert_eq!(client.upgrade("/ws/topic/1?since=x", "").await, 400),
        Foreign => {
            let origin = "Origin: http://evil.example\r\n";
            assert_eq!(client.upgrade("/ws/echo", origin).await, 403);
        }
        Stream => open(&mut client, &format!("/events/room/{}", number % 10)).await,
        Fallback => open(&mut client, &format!("/ws/room/{}", number % 10)).await,
        HalfBody => {
            let head = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell";
            client.write(head.as_bytes()).await;
        }
        Http2 => {
            let settings = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            client.write(settings).await;
            let mut received = Vec::new();
            assert!(client.read(&mut received).await, "SETTINGS of the server");
        }
        Page => assert_eq!(raw::get(server.port(), "/").await, Some(200)),
    }
}

/// Requests an event stream, and waits for the start of the response.
async fn open(client: &mut RawClient, path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n");
    client.write(head.as_bytes()).await;
    let mut received = Vec::new();
    let reading = client.read(&mut received);
    timeout(DEADLINE, reading).await.expect("a response");
    let start = String::from_utf8_lossy(&received);
    assert!(start.starts_with("HTTP/1.1 200"), "{start}");
}

/// Sends messages whose echoes it does not read, until the server has closed the connection.
async fn overflow(port: u16) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(RECEIVE_BUFFER).expect("a size");
    let stream = socket.connect(([127, 0, 0, 1], port).into()).await;
    let mut client = RawClient::from(stream.expect("the server listens"));
    assert_eq!(client.upgrade("/ws/echo", "").await, 101);
    let message = text_frame(&[b'x'; 60_000]);
    let sending = async { while client.write(&message).await {} };
    timeout(DEADLINE, sending).await.expect("it is closed");
}

/// What a server holds for its connections, the one that asks for it included.
#[derive(Clone, Copy)]
struct Held {
    connections: u64,
    websockets: u64,
    mailboxes: u64,
    memberships: u64,
    tasks: u64,
    descriptors: usize,
}

impl Held {
    async fn by(server: &mut Server) -> Self {
        let metrics = server.metrics().await;
        let gauge = |name: &str| metrics.get(name).copied().unwrap_or_default() as u64;
        Self {
            connections: gauge("seaway_connections_open"),
            websockets: gauge("seaway_websockets_open"),
            mailboxes: gauge("seaway_mailboxes_open"),
            memberships: gauge("seaway_group_members"),
            tasks: gauge("tokio_alive_tasks"),
            descriptors: descriptors(server.pid()),
        }
    }

    /// Returns what it holds at rest: the connection that has asked before may not have ended yet.
    async fn at_rest(server: &mut Server) -> Self {
        let mut least = Self::by(server).await;
        for _ in 0..20 {
            sleep(POLL).await;
            let now = Self::by(server).await;
            if now.is_within(least) {
                least = now;
            }
        }
        least
    }

    fn is_within(self, other: Self) -> bool {
        self.connections <= other.connections
            && self.websockets <= other.websockets
            && self.mailboxes <= other.mailboxes
            && self.memberships <= other.memberships
            && self.tasks <= other.tasks
            && self.descriptors <= other.descriptors
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            websockets,
            mailboxes,
            memberships,
            tasks,
            descriptors,
        } = self;
        write!(
            f,
            "{connections} connections, {websockets} WebSockets, {mailboxes} mailboxes, \
             {memberships} memberships, {tasks} tasks, {descriptors} descriptors"
        )
    }
}

/// Opens and ends this many connections.
async fn run(server: &Server, connections: usize) {
    let endings: Vec<Ending> = SHARES
        .iter()
        .flat_map(|(ending, share)| std::iter::repeat_n(*ending, *share))
        .collect();
    assert_eq!(endings.len(), 100);
    // 37 and 100 have no common divisor: all endings follow one another.
    let all = (0..connections).map(|number| end(server, number, endings[number * 37 % 100]));
    stream::iter(all).buffer_unordered(AT_ONCE).count().await;
}

/// Waits until the server holds what it held at the start.
async fn returns_to(start: Held, server: &mut Server) {
    let mut last = start;
    let returning = async {
        loop {
            last = Held::by(server).await;
            if last.is_within(start) {
                return;
            }
            sleep(POLL).await;
        }
    };
    let returned = timeout(2 * DEADLINE, returning).await;
    assert!(returned.is_ok(), "at the start {start:?}, now {last:?}");
}

/// Opens connections with all endings, and compares what the server holds before and after.
async fn check(warm_up: usize, connections: usize) {
    let mut server = Server::arena_with(&FLAGS).await;
    let start = Held::at_rest(&mut server).await;
    let member = server.client("/ws/room/1").await;
    let with_member = Held::at_rest(&mut server).await;
    assert_eq!(
        (with_member.mailboxes, with_member.memberships),
        (start.mailboxes + 1, start.memberships + 1),
        "the gauges count: {with_member:?}"
    );
    assert!(with_member.tasks > start.tasks && with_member.descriptors > start.descriptors);
    drop(member);

    // Threads, buffers of threads, histories of topics and the allocator's pools remain.
    run(&server, warm_up).await;
    returns_to(start, &mut server).await;
    let before_kib = resident_memory_kib(server.pid());
    let [accepted, unsent] = [count(&server, ACCEPTED).await, count(&server, UNSENT).await];
    run(&server, connections).await;
    returns_to(start, &mut server).await;

    let share = |endings: &[Ending]| -> usize {
        let shares = SHARES.iter().filter(|(ending, _)| endings.contains(ending));
        shares.map(|(_, share)| share).sum()
    };
    let websockets = [
        ClosingHandshake,
        Closed,
        Reset,
        Silent,
        Garbage,
        Slow,
        Panic,
    ];
    let expected = connections / 100 * share(&websockets);
    assert_eq!(count(&server, ACCEPTED).await - accepted, expected);
    let slow = connections / 100 * share(&[Slow]);
    assert!(
        count(&server, UNSENT).await - unsent >= slow,
        "slow clients were closed"
    );
    let after_kib = resident_memory_kib(server.pid());
    println!(
        "{connections} connections: {before_kib} KiB of memory before, {after_kib} KiB after; {start:?}"
    );
    assert!(after_kib <= before_kib + MEMORY_KIB, "memory has grown");
}

/// The counter of accepted handshakes.
const ACCEPTED: &str = r#"seaway_websocket_handshakes_total{status="101"}"#;

/// The counter of messages that the policy for slow clients has discarded.
const UNSENT: &str = r#"seaway_websocket_messages_dropped_total{reason="closed"}"#;

async fn count(server: &Server, counter: &str) -> usize {
    server.metrics().await[counter] as usize
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_connections_leave_nothing_behind_however_they_end() {
    check(1_000, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: `cargo xtask soak`"]
async fn a_hundred_thousand_connections_leave_nothing_behind_however_they_end() {
    check(10_000, 100_000).await;
}
