//! One client that does not read, in a room of a thousand: what the others notice, what it costs
//! the server, and what the counters say.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use seaway_tests::support::{
    Server,
    usage::resident_memory_kib,
    wait::{DEADLINE, until},
};
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// The size of a measured message.
const SIZE: usize = 4_096;

/// The number and the size of the messages that fill the buffers of the stalled client: Linux keeps
/// up to 4 MiB for one connection (`net.ipv4.tcp_wmem`).
const FILLING: (u64, usize) = (90, 65_536);

/// The interval between two messages.
const EVERY: Duration = Duration::from_millis(50);

/// The receive buffer of the stalled client.
const RECEIVE_BUFFER: u32 = 4_096;

/// How much more memory the server may hold because of the stalled client, and by chance, in KiB.
fn most_memory_kib(policy: &str, noise: u64) -> u64 {
    match policy {
        // The consumer waits, and its mailbox has at most 4 MiB of encoded events, each of which may
        // be there as a value and as a frame too.
        "wait" => noise + 3 * 4_096,
        // Its queue has at most 64 KiB and one message more, and as much is being written.
        _ => noise + 256,
    }
}

type Socket = WebSocketStream<tokio::net::TcpStream>;

async fn open(port: u16, receive_buffer: Option<u32>) -> Socket {
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(size) = receive_buffer {
        socket.set_recv_buffer_size(size).unwrap();
    }
    let opening = async {
        let connection = socket.connect(([127, 0, 0, 1], port).into()).await;
        let connection = connection.expect("the server listens");
        connection.set_nodelay(true).unwrap();
        let url = format!("ws://127.0.0.1:{port}/ws/room/full");
        let request = url.into_client_request().unwrap();
        client_async(request, connection).await.expect("accepted").0
    };
    timeout(DEADLINE, opening).await.expect("in time")
}

/// Returns the number of a message and when it was sent.
fn read(text: &str) -> (u64, Duration) {
    let mut fields = text.split(' ');
    let mut next = || fields.next().and_then(|field| field.parse().ok());
    let number = next().expect("a number");
    (number, Duration::from_nanos(next().expect("a time")))
}

/// The room: one client that sends, and others that read all.
struct Room {
    port: u16,
    started: Instant,
    sender: Socket,
    sent: u64,
    received: Arc<AtomicU64>,
    delays: Arc<Mutex<Vec<Duration>>>,
    reading: JoinSet<()>,
}

impl Room {
    async fn open(port: u16) -> Self {
        Self {
            port,
            started: Instant::now(),
            sender: open(port, None).await,
            sent: 0,
            received: Arc::default(),
            delays: Arc::default(),
            reading: JoinSet::new(),
        }
    }

    /// Adds clients that read all.
    async fn add(&mut self, members: u64) {
        for _ in 0..members {
            let mut socket = open(self.port, None).await;
            let (received, delays) = (self.received.clone(), self.delays.clone());
            let (started, mut expected) = (self.started, self.sent);
            self.reading.spawn(async move {
                while let Some(Ok(message)) = socket.next().await {
                    let Message::Text(text) = message else {
                        continue;
                    };
                    let (number, sent) = read(&text);
                    assert_eq!(number, expected, "a healthy client has missed a message");
                    expected += 1;
                    let delay = started.elapsed().saturating_sub(sent);
                    delays.lock().unwrap().push(delay);
                    received.fetch_add(1, Relaxed);
                }
            });
        }
    }

    /// Sends messages at an interval, and waits until all members have them.
    async fn send(&mut self, count: u64, size: usize, every: Duration) {
        let expected = self.received.load(Relaxed) + count * self.reading.len() as u64;
        let padding = "x".repeat(size);
        let mut pace = interval(every);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..count {
            pace.tick().await;
            let now = self.started.elapsed().as_nanos();
            let text = format!("{} {now} {padding}", self.sent);
            self.sender.send(Message::text(text)).await.unwrap();
            self.sent += 1;
            // Its own copy, so that the sender is no slow client.
            self.sender.next().await.expect("open").expect("a message");
        }
        until("every message at every member", DEADLINE, async || {
            if let Some(Err(failed)) = self.reading.try_join_next() {
                std::panic::resume_unwind(failed.into_panic());
            }
            (self.received.load(Relaxed) == expected).then_some(())
        })
        .await;
    }

    /// Returns the 99th percentile of the delays of messages.
    async fn measured(&mut self, messages: u64) -> Duration {
        self.send(messages / 4, SIZE, EVERY).await;
        self.delays.lock().unwrap().clear();
        self.send(messages, SIZE, EVERY).await;
        let mut delays = self.delays.lock().unwrap();
        let rank = delays.len() * 99 / 100;
        *delays.select_nth_unstable(rank).1
    }
}

/// Returns the number of the next message, or how the connection has ended.
async fn next(socket: &mut Socket) -> Result<u64, Option<u16>> {
    loop {
        match timeout(DEADLINE, socket.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => return Ok(read(&text).0),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    members: u64,
    messages: u64,
    /// How often it is measured, each time without the stalled client and with it.
    rounds: usize,
}

struct Figures {
    without: Duration,
    with: Duration,
    memory_kib: u64,
}

/// Measures a room of this size under a policy.
async fn measure(policy: &str, effort: Effort) -> Figures {
    let (mut without, mut with, mut memory_kib) = (Vec::new(), Vec::new(), 0);
    for _ in 0..effort.rounds {
        let mut server = Server::arena_with(&["--policy", policy]).await;
        let mut room = Room::open(server.port()).await;
        room.add(effort.members).await;
        without.push(room.measured(effort.messages).await);
        let usual_kib = resident_memory_kib(server.pid());

        let mut server = Server::arena_with(&["--policy", policy]).await;
        let mut room = Room::open(server.port()).await;
        let stalled = open(server.port(), Some(RECEIVE_BUFFER)).await;
        let (count, size) = FILLING;
        room.send(count, size, Duration::from_millis(5)).await;
        room.add(effort.members).await;
        with.push(room.measured(effort.messages).await);
        let grown_kib = resident_memory_kib(server.pid()).saturating_sub(usual_kib);
        memory_kib = memory_kib.max(grown_kib);
        check_counters(policy, &server, stalled, &mut room).await;
    }
    for figures in [&mut without, &mut with] {
        figures.sort_unstable();
    }
    let middle = effort.rounds / 2;
    Figures {
        without: without[middle],
        with: with[middle],
        memory_kib,
    }
}

/// Compares the counters with what the stalled client receives once it reads.
async fn check_counters(policy: &str, server: &Server, mut stalled: Socket, room: &mut Room) {
    let healthy = room.reading.len() + 1;
    if policy == "close" {
        // The server gives it some seconds to read the close frame.
        until("the end of the stalled connection", DEADLINE, async || {
            let open = server.metrics().await["seaway_websockets_open"] as usize;
            (open == healthy).then_some(())
        })
        .await;
        let mut received = 0;
        let end = loop {
            match next(&mut stalled).await {
                Ok(number) => assert_eq!(number, received, "a gap before the end"),
                Err(end) => break end,
            }
            received += 1;
        };
        assert!(received < room.sent, "nothing was too much for it");
        assert!(matches!(end, Some(1013) | None), "{end:?}");
        return;
    }
    let metrics = server.metrics().await;
    let count = |reason| {
        let name = format!(r#"seaway_websocket_messages_dropped_total{{reason="{reason}"}}"#);
        metrics.get(&name).copied().unwrap_or_default() as u64
    };
    let [oldest, newest] = ["oldest", "newest"].map(count);
    let dropped = oldest + newest;
    assert_eq!(oldest > 0, policy == "drop-oldest", "{policy}: {oldest}");
    assert_eq!(newest > 0, policy == "drop-newest", "{policy}: {newest}");
    let open = metrics["seaway_websockets_open"] as usize;
    assert_eq!(open, healthy + 1, "{policy}: it stays connected");

    let mut numbers = Vec::new();
    for _ in 0..room.sent - dropped {
        numbers.push(next(&mut stalled).await.expect("an open connection"));
    }
    room.send(1, SIZE, EVERY).await;

    let after = next(&mut stalled).await;
    assert_eq!(
        after,
        Ok(room.sent - 1),
        "{policy}: the count of drops is right"
    );
    assert!(numbers.is_sorted(), "{policy}: out of order");
    assert_eq!(numbers.first(), Some(&0), "{policy}");
    let has_last = numbers.last() == Some(&(room.sent - 2));
    assert_eq!(has_last, policy != "drop-newest", "{policy}");
}

/// By how much the stalled client may increase the delay of the others: so many times, and by so
/// much more; and by how much the memory of two processes differs without it.
struct Tolerance {
    times: f64,
    more: Duration,
    noise_kib: u64,
}

async fn check(effort: Effort, tolerance: Tolerance) {
    for policy in ["close", "drop-oldest", "drop-newest", "wait"] {
        let figures = measure(policy, effort).await;
        println!(
            "{policy}: p99 of {} clients {:.2?} without a stalled one, {:.2?} with it; {} KiB more \
             memory",
            effort.members, figures.without, figures.with, figures.memory_kib
        );
        let most_kib = most_memory_kib(policy, tolerance.noise_kib);
        assert!(figures.memory_kib <= most_kib, "{policy}: too much memory");
        let most = figures.without.mul_f64(tolerance.times) + tolerance.more;
        assert!(figures.with <= most, "{policy}: the others are held up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_does_not_delay_others() {
    let effort = Effort {
        members: 100,
        messages: 40,
        rounds: 1,
    };
    // The machine of an ordinary run is busy. Clients that are held up would wait for seconds.
    let tolerance = Tolerance {
        times: 20.0,
        more: Duration::from_millis(200),
        noise_kib: 8 * 1_024,
    };
    check(effort, tolerance).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: `cargo xtask soak`"]
async fn one_of_a_thousand_clients_that_does_not_read_does_not_delay_others() {
    let effort = Effort {
        members: 1_000,
        messages: 100,
        rounds: 3,
    };
    let tolerance = Tolerance {
        times: 1.10,
        more: Duration::from_millis(3),
        noise_kib: 1_024,
    };
    check(effort, tolerance).await;
}
