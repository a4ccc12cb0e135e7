//! Tests of restarts on a port that the old and the new process share. `chaos/restart.rs` has those
//! on one socket.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use seaway_tests::support::{
    Server, raw,
    wait::{DEADLINE, until},
};

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
