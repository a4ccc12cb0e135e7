//! Tests of restarts without downtime: the new process serves the socket of the old one, or the
//! same port.

use std::{
    fs,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use seaway_tests::support::{
    Client, Server, raw,
    wait::{DEADLINE, until},
};
use tokio::time::sleep;

/// The clients of both processes together.
const CLIENTS: usize = 500;

/// The flags of the arena: clients return after 1.5 s to 3 s.
const FLAGS: [&str; 2] = ["--retry-after", "3"];
const RETRY_AFTER: Duration = Duration::from_secs(3);

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

    async fn all_are_open(&self) {
        until(
            "all clients to be connected",
            Duration::from_secs(60),
            async || (self.open.load(Relaxed) == CLIENTS).then_some(()),
        )
        .await;
    }

    /// Returns the largest number of clients that returned within any second.
    fn busiest_second(&self) -> usize {
        let returns = self.returns.lock().expect("no panic");
        let within = |from: &Instant| {
            let second = *from..*from + Duration::from_secs(1);
            returns.iter().filter(|at| second.contains(*at)).count()
        };
        returns.iter().map(within).max().unwrap_or_default()
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_refuses_no_connection_and_spreads_the_reconnects() {
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let port = socket.local_addr().expect("an address").port();
    let mut one = Server::arena_on_socket(&socket, &FLAGS).await;
    let mut two = Server::arena_on_socket(&socket, &FLAGS).await;
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(seen.clone().reconnect(port)))
        .collect();
    let requests = tokio::spawn(requests(port, seen.clone()));
    seen.all_are_open().await;

    let mut restarted = Vec::new();
    for old in [&mut one, &mut two] {
        restarted.push(Server::arena_on_socket(&socket, &FLAGS).await);
        old.terminate();
        let status = old.ended(Duration::from_secs(10)).await;
        let errors = old.errors();
        assert!(status.success(), "{status}: {errors}");
        assert!(!errors.contains("abort"), "a hook did not end: {errors}");
        seen.all_are_open().await;
    }
    seen.is_over.store(true, Relaxed);
    let requests = requests.await.expect("requests that all succeeded");
    for process in &mut restarted {
        process.terminate();
    }
    for client in clients {
        client.await.expect("a client that was served all the time");
    }
    assert!(requests > 100, "{requests}");
    let longest_gap = *seen.longest_gap.lock().expect("no panic");
    assert!(
        longest_gap < RETRY_AFTER + Duration::from_secs(1),
        "{longest_gap:?}"
    );
    let returns = seen.returns.lock().expect("no panic").len();
    assert!(
        returns >= CLIENTS,
        "each was disconnected at least once: {returns}"
    );
    // Half a second's clients more than an even spread over 1.5 s.
    let busiest = seen.busiest_second();
    assert!(
        busiest < CLIENTS,
        "{busiest} of {CLIENTS} clients returned within a second"
    );
}

/// The requests of clients of a shared port.
#[derive(Default)]
struct Tries {
    answered: AtomicUsize,
    reset: AtomicUsize,
    is_over: AtomicBool,
}

impl Tries {
    /// Requests a page again and again, each time on a new connection.
    async fn repeat(self: Arc<Self>, port: u16) {
        let mut was_reset = false;
        while !self.is_over.load(Relaxed) {
            let is_answered = raw::get(port, "/healthz").await == Some(200);
            assert!(is_answered || !was_reset, "the new process is not there");
            was_reset = !is_answered;
            match is_answered {
                true => self.answered.fetch_add(1, Relaxed),
                false => self.reset.fetch_add(1, Relaxed),
            };
        }
    }

    async fn more_are_answered(&self, count: usize) {
        let expected = self.answered.load(Relaxed) + count;
        until("further responses", DEADLINE, async || {
            (self.answered.load(Relaxed) >= expected).then_some(())
        })
        .await;
    }
}

/// Returns whether Linux moves the connections of a listener that is closed to another one on its
/// port.
fn migrates() -> bool {
    let setting = fs::read_to_string("/proc/sys/net/ipv4/tcp_migrate_req");
    setting.is_ok_and(|setting| setting.trim() == "1")
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_port_replace_one_another_and_linux_may_reset_what_waits() {
    const CLIENTS: usize = 16;
    const RESTARTS: usize = 10;
    let mut old = Server::arena_on_shared_port(None).await;
    let port = old.port();
    let tries = Arc::new(Tries::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(tries.clone().repeat(port)))
        .collect();

    for _ in 0..RESTARTS {
        tries.more_are_answered(10 * CLIENTS).await;
        let new = Server::arena_on_shared_port(Some(port)).await;
        old.terminate();
        let status = old.ended(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}: {}", old.errors());
        old = new;
    }
    tries.more_are_answered(10 * CLIENTS).await;
    tries.is_over.store(true, Relaxed);
    for client in clients {
        client
            .await
            .expect("a client that is served after each reset");
    }

    let (answered, reset) = (tries.answered.load(Relaxed), tries.reset.load(Relaxed));
    println!("{answered} responses and {reset} resets over {RESTARTS} restarts");
    // Linux moves all but those in a few instructions of the TCP handshake.
    let most = if migrates() { 2 } else { CLIENTS * RESTARTS };
    assert!(reset <= most, "{reset} of at most {most}");
}
