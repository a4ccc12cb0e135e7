//! What each client has cost.

use http::request::Parts;
use serde::Serialize;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// How many clients are counted; a page has four.
const CLIENTS: usize = 10_000;

/// The counts of all clients, by the id that each has chosen.
#[derive(Default)]
pub struct Counts(Mutex<HashMap<String, Count>>);

/// What one client has cost.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Count {
    pub requests: u64,
    pub messages: u64,
    /// Bytes of what was told.
    pub payload: u64,
    /// Bytes of the heads of its requests.
    pub heads: u64,
}

impl Counts {
    /// Counts a request, and tells the size of its head.
    pub fn request(&self, client: &str, head: &Parts) -> u64 {
        let size = size(head);
        self.change(client, |count| {
            count.requests += 1;
            count.heads += size;
        });
        size
    }

    /// Counts what a client was told.
    pub fn told(&self, client: &str, messages: usize, payload: usize) {
        self.change(client, |count| {
            count.messages += messages as u64;
            count.payload += payload as u64;
        });
    }

    /// What this client has cost so far.
    pub fn of(&self, client: &str) -> Count {
        self.counts().get(client).copied().unwrap_or_default()
    }

    fn change(&self, client: &str, change: impl FnOnce(&mut Count)) {
        let mut counts = self.counts();
        if !counts.contains_key(client) && counts.len() >= CLIENTS {
            return;
        }
        change(counts.entry(client.to_owned()).or_default());
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        let counts = self.0.lock();
        counts.expect("no code panics while it holds this lock")
    }
}

/// One connection's share: it belongs to one client.
#[derive(Clone)]
pub struct Tally {
    counts: Arc<Counts>,
    client: String,
    /// The size of the head that opened the connection.
    pub head: u64,
}

impl Tally {
    /// Counts the opening of a connection.
    pub fn open(counts: Arc<Counts>, client: String, head: &Parts) -> Self {
        let head = counts.request(&client, head);
        Self {
            counts,
            client,
            head,
        }
    }

    /// Counts what was told.
    pub fn told(&self, messages: usize, payload: usize) {
        self.counts.told(&self.client, messages, payload);
    }
}

/// As HTTP/1.1 writes it: the first line, each header, the empty line.
fn size(head: &Parts) -> u64 {
    let target = head
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    let first = head.method.as_str().len() + target + " HTTP/1.1".len() + 3;
    let headers = head.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    (first + headers + 2) as u64
}
