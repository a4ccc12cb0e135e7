//! The server under attack, and its invariants.

use seaway_tests::support::{
    Client, RawClient, Server, raw,
    usage::{descriptors, peak_memory_kib},
    wait::{DEADLINE, until},
};
use std::{cell::Cell, future::Future};

/// Limits of the server, on which the tables rely.
pub const MAX_MESSAGE: usize = 70_000;
pub const MAX_BODY: usize = 1_000;

/// The growth of the server's peak memory that one test may cause, in KiB. A client costs a head, a
/// body or a message; this is enough for all clients of a test at once, but not for the bytes of a
/// flood.
const GROWTH_KIB: u64 = 32 * 1024;

/// The bytes that the server may log in one test: clients must not be able to fill a disk.
const LOG: usize = 64 * 1024;

/// A real server, and a client that remains connected.
pub struct Target {
    server: Server,
    witness: Client,
    descriptors: usize,
    memory_kib: u64,
}

impl Target {
    /// Starts an arena with these flags besides the limits above.
    pub async fn start(flags: &[&str]) -> Self {
        let (message, body) = (MAX_MESSAGE.to_string(), MAX_BODY.to_string());
        let limits = ["--max-message-size", &message, "--max-body-size", &body];
        let mut server = Server::arena_with(&[&limits, flags].concat()).await;
        let mut witness = server.client("/ws/echo").await;
        witness.echoes("at the start").await;
        let pid = server.pid();
        Self {
            witness,
            descriptors: descriptors(pid),
            memory_kib: peak_memory_kib(pid),
            server,
        }
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    pub async fn client(&self) -> RawClient {
        self.server.raw_client().await
    }

    /// Opens a WebSocket that echoes.
    pub async fn socket(&self) -> RawClient {
        let mut client = self.client().await;
        assert_eq!(client.upgrade("/ws/echo", "").await, 101);
        client
    }

    /// Checks that the connected client gets its echo and nothing else, and that a new one gets its
    /// page.
    ///
    /// # Panics
    /// If one of them does not; the message names the previous shape.
    pub async fn serves_others(&mut self, before: &str) {
        self.witness.echoes(before).await;
        let page = raw::get(self.port(), "/healthz").await;
        assert_eq!(page, Some(200), "a page after: {before}");
    }

    /// Runs an attack, and repeatedly checks meanwhile that other clients are served.
    pub async fn serves_others_during<T>(
        &mut self,
        name: &str,
        attack: impl Future<Output = T>,
    ) -> T {
        let is_over = Cell::new(false);
        let attack = async {
            let outcome = attack.await;
            is_over.set(true);
            outcome
        };
        let others = async {
            while !is_over.get() {
                self.serves_others(name).await;
            }
        };
        let (outcome, ()) = tokio::join!(attack, others);
        outcome
    }

    /// Returns the violated invariants at the end: other clients are served, no connection is
    /// leaked, memory and log are bounded, and the server's own code has neither panicked nor
    /// failed.
    pub async fn harm(mut self) -> Vec<String> {
        self.serves_others("the last shape").await;
        let pid = self.server.pid();
        until(
            "all connections but one to be closed",
            DEADLINE,
            async || (descriptors(pid) <= self.descriptors).then_some(()),
        )
        .await;
        let mut harm = Vec::new();
        let growth = peak_memory_kib(pid) - self.memory_kib;
        if growth > GROWTH_KIB {
            harm.push(format!("the server's memory grew by {growth} KiB"));
        }
        let log = self.server.errors();
        if log.len() > LOG {
            harm.push(format!("the server wrote {} bytes of log", log.len()));
        }
        for trouble in ["panicked", " ERROR "] {
            let mut lines = log.lines().filter(|line| line.contains(trouble));
            if let Some(first) = lines.next() {
                harm.push(format!(
                    "{} such lines in the log: {first}",
                    lines.count() + 1
                ));
            }
        }
        harm
    }
}
