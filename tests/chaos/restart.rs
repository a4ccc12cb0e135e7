//! Rolling restarts without downtime: the new process serves the socket of the old one, while clients
//! reconnect and pages are requested.

use std::{
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use seaway_tests::support::{Client, Server, raw, wait::until};
use tokio::time::sleep;

/// The flags of the arena: clients return after 1.5 s to 3 s.
const FLAGS: [&str; 2] = ["--retry-after", "3"];
const RETRY_AFTER: Duration = Duration::from_secs(3);

/// The line of the arena's consumer in its `disconnect` hook.
const DISCONNECTED: &str = "an echoing client has disconnected";

/// How many percent of a process' clients may return within a second: evenly spread over 1.5 s, it
/// is 67.
const BUSIEST_PERCENT: usize = 85;

/// The fewest clients of a process for which that bound is above the fluctuations of chance.
const FEWEST: usize = 100;

/// The clients of the ordinary run: half of them are more than the fewest.
const CLIENTS: usize = 500;

/// What the clients saw.
#[derive(Default)]
struct Seen {
    open: AtomicUsize,
    /// When they reconnected.
    returns: Mutex<Vec<Instant>>,
    longest_gap: Mutex<Duration>,
    is_over: AtomicBool,
}

impl Seen {
    /// A client that reconnects after the time that the server asks for.
    async fn reconnect(self: Arc<Self>, port: u16) {
        let mut left: Option<Instant> = None;
        loop {
            let mut client = Client::connect(port, "/ws/echo").await;
            client.echoes("here").await;
            if let Some(left) = left {
                let mut longest = self.longest_gap.lock().expect("no panic");
                *longest = longest.max(left.elapsed());
                self.returns.lock().expect("no panic").push(Instant::now());
            }
            self.open.fetch_add(1, Relaxed);
            let (code, reason) = client.closed_within(Duration::from_secs(120)).await;
            left = Some(Instant::now());
            if self.is_over.load(Relaxed) {
                return;
            }
            self.open.fetch_sub(1, Relaxed);
            assert_eq!(code, 1012, "{reason}");
            let seconds = reason.strip_prefix("retry_after=").expect("a time");
            let wait = Duration::from_secs_f64(seconds.parse().expect("seconds"));
            sleep(wait).await;
        }
    }

    async fn are_open(&self, clients: usize) {
        until(
            "all clients to be connected",
            Duration::from_secs(60),
            async || (self.open.load(Relaxed) == clients).then_some(()),
        )
        .await;
    }

    async fn have_returned(&self, clients: usize) {
        until(
            "the clients of a stopped process to return",
            Duration::from_secs(60),
            async || (self.returns.lock().expect("no panic").len() >= clients).then_some(()),
        )
        .await;
    }

    /// Takes out when clients have returned.
    fn take_returns(&self) -> Vec<Instant> {
        std::mem::take(&mut self.returns.lock().expect("no panic"))
    }
}

/// Returns the largest number of clients that returned within any second.
fn busiest_second(returns: &[Instant]) -> usize {
    let within = |from: &Instant| {
        let second = *from..*from + Duration::from_secs(1);
        returns.iter().filter(|at| second.contains(*at)).count()
    };
    returns.iter().map(within).max().unwrap_or_default()
}

/// Requests a page again and again, each time on a new connection; returns how many responses it
/// got.
async fn requests(port: u16, seen: Arc<Seen>) -> usize {
    let mut count = 0;
    while !seen.is_over.load(Relaxed) {
        assert_eq!(
            raw::get(port, "/healthz").await,
            Some(200),
            "request {count}"
        );
        count += 1;
    }
    count
}

/// Stops a process, and checks that each of its clients was disconnected and has returned in time;
/// returns how many there were.
async fn stop(process: &mut Server, seen: &Seen, clients: usize) -> usize {
    process.terminate();
    let status = process.ended(Duration::from_secs(10)).await;
    let errors = process.errors();
    assert!(status.success(), "{status}: {errors}");
    assert!(!errors.contains("abort"), "a hook did not end: {errors}");
    let disconnected = errors.matches(DISCONNECTED).count();
    seen.have_returned(disconnected).await;
    seen.are_open(clients).await;

    let returns = seen.take_returns();
    assert_eq!(disconnected, returns.len(), "each `disconnect` hook ran");
    let busiest = busiest_second(&returns);
    println!("{busiest} of {disconnected} clients of a process returned in the busiest second");
    // The kernel divides the clients; at least one of two processes has enough.
    assert!(
        disconnected < FEWEST || busiest * 100 <= disconnected * BUSIEST_PERCENT,
        "{busiest} of {disconnected} clients returned within a second"
    );
    disconnected
}

/// Replaces both processes of a service, one after the other.
async fn roll(clients: usize) {
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let port = socket.local_addr().expect("an address").port();
    let mut one = Server::arena_on_socket(&socket, &FLAGS).await;
    let mut two = Server::arena_on_socket(&socket, &FLAGS).await;
    let seen = Arc::new(Seen::default());
    let running: Vec<_> = (0..clients)
        .map(|_| tokio::spawn(seen.clone().reconnect(port)))
        .collect();
    let requests = tokio::spawn(requests(port, seen.clone()));
    seen.are_open(clients).await;

    let (mut restarted, mut disconnected) = (Vec::new(), 0);
    for old in [&mut one, &mut two] {
        restarted.push(Server::arena_on_socket(&socket, &FLAGS).await);
        disconnected += stop(old, &seen, clients).await;
    }
    seen.is_over.store(true, Relaxed);
    let requests = requests.await.expect("requests that all succeeded");
    for process in &mut restarted {
        process.terminate();
    }
    for client in running {
        client.await.expect("a client that was served all the time");
    }
    let longest_gap = *seen.longest_gap.lock().expect("no panic");
    println!("{clients} clients: the longest gap {longest_gap:.2?}, {requests} requests");
    assert!(requests > 100, "{requests}");
    assert!(disconnected >= clients, "{disconnected} of {clients}");
    assert!(
        longest_gap < RETRY_AFTER + Duration::from_secs(1),
        "{longest_gap:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_refuses_no_connection_and_spreads_the_reconnects() {
    roll(CLIENTS).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: `cargo xtask soak`"]
async fn a_rolling_restart_of_two_thousand_clients_refuses_no_connection() {
    roll(2_000).await;
}
