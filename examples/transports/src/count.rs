//! The costs of each client: requests, messages and bytes.

use http::request::Parts;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard},
};

/// The number of clients that are counted; a page has four. A further one replaces the client whose
/// count has not changed for longest.
const CLIENTS: usize = 10_000;

/// An id that the client chose: 1 to 32 ASCII letters and digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ClientId(String);

impl FromStr for ClientId {
    type Err = &'static str;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let is_clean = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        match is_clean && (1..=32).contains(&id.len()) {
            true => Ok(Self(id.to_owned())),
            false => Err("a client's id has 1 to 32 letters and digits"),
        }
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        id.parse()
    }
}

/// The counts of all clients.
#[derive(Default)]
pub struct Counts(Mutex<Clients>);

#[derive(Default)]
struct Clients {
    /// Each count, with the number of its last change.
    counts: HashMap<ClientId, (u64, Count)>,
    /// The clients by their last changes, the oldest first.
    by_age: BTreeMap<u64, ClientId>,
    changes: u64,
}

/// The costs of one client.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Count {
    pub requests: u64,
    pub messages: u64,
    /// Bytes of the payload that was sent to it.
    pub payload: u64,
    /// Bytes of its request heads.
    pub heads: u64,
}

impl Counts {
    /// Counts a request, and returns the size of its head in bytes.
    pub fn request(&self, client: &ClientId, head: &Parts) -> u64 {
        let size = size(head);
        self.change(client, |count| {
            count.requests += 1;
            count.heads += size;
        });
        size
    }

    /// Counts messages that were sent to a client.
    pub fn record(&self, client: &ClientId, messages: usize, payload: usize) {
        self.change(client, |count| {
            count.messages += messages as u64;
            count.payload += payload as u64;
        });
    }

    /// Returns the costs of this client so far.
    pub fn of(&self, client: &ClientId) -> Count {
        let clients = self.clients();
        let count = clients.counts.get(client);
        count.map(|(_, count)| *count).unwrap_or_default()
    }

    fn change(&self, client: &ClientId, change: impl FnOnce(&mut Count)) {
        let mut clients = self.clients();
        if clients.counts.len() >= CLIENTS && !clients.counts.contains_key(client) {
            clients.forget_oldest();
        }
        change(clients.changed(client));
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        let clients = self.0.lock();
        clients.expect("no code panics while it holds this lock")
    }
}

impl Clients {
    /// Returns the count of a client for a change, and marks it as the most recently changed.
    fn changed(&mut self, client: &ClientId) -> &mut Count {
        self.changes += 1;
        let (last, count) = self.counts.entry(client.clone()).or_default();
        self.by_age.remove(last);
        self.by_age.insert(self.changes, client.clone());
        *last = self.changes;
        count
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.by_age.pop_first() {
            self.counts.remove(&oldest);
        }
    }
}

/// The counter of one connection, which belongs to one client.
#[derive(Clone)]
pub struct Tally {
    counts: Arc<Counts>,
    client: ClientId,
    /// The size in bytes of the head of the request that opened the connection.
    pub head: u64,
}

impl Tally {
    /// Counts the request that opened a connection.
    pub fn open(counts: Arc<Counts>, client: ClientId, head: &Parts) -> Self {
        let head = counts.request(&client, head);
        Self {
            counts,
            client,
            head,
        }
    }

    /// Counts sent messages. A WebSocket or an event stream calls this after the send, so messages
    /// in flight when the connection breaks are counted here and not by the page.
    pub fn record(&self, messages: usize, payload: usize) {
        self.counts.record(&self.client, messages, payload);
    }
}

/// Returns the size of a head as HTTP/1.1 writes it: request line, headers, empty line.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_clean() {
        let longest = "x".repeat(32);
        for (id, is_fit) in [
            ("0a1b2c3d", true),
            (&*longest, true),
            (&*format!("{longest}x"), false),
            ("", false),
            ("a b", false),
        ] {
            assert_eq!(id.parse::<ClientId>().is_ok(), is_fit, "{id:?}");
        }
    }

    #[test]
    fn at_the_bound_the_client_that_has_not_changed_for_longest_is_dropped() {
        let counts = Counts::default();
        let client = |number: usize| ClientId(number.to_string());
        for number in 0..CLIENTS {
            counts.record(&client(number), 1, 10);
        }
        counts.record(&client(0), 1, 10);

        counts.record(&client(CLIENTS), 1, 10);

        for (number, messages) in [(0, 2), (1, 0), (2, 1), (CLIENTS, 1)] {
            assert_eq!(counts.of(&client(number)).messages, messages, "{number}");
        }
    }
}
