//! Clients that keep the list of a presence from what they are told, and check each line of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::StreamExt;
use serde_json::Value;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{Redis, Server, wait};

/// The number of open connections of each key.
pub type List = BTreeMap<String, u64>;

/// How long a connection may take to open: one to a server that is suspended never does.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// The lease of [`arena`].
pub const LEASE: Duration = Duration::from_secs(2);
/// The grace time of [`arena`].
pub const GRACE: Duration = Duration::from_secs(1);

/// How much later than it is due something may be told on a busy machine.
pub const LATE: Duration = Duration::from_millis(1500);

/// Starts an arena on this Redis, whose presence has short times.
pub async fn arena(redis: &Redis) -> Server {
    let (lease, grace) = (LEASE.as_secs().to_string(), GRACE.as_secs().to_string());
    Server::arena_with(&[
        "--redis",
        &redis.url(),
        "--lease",
        &lease,
        "--grace",
        &grace,
    ])
    .await
}

/// Waits until Redis has no key.
///
/// # Panics
/// If it has some for 30 s.
pub async fn no_key_is_left(redis: &Redis) {
    wait::until("Redis without a key", Duration::from_secs(30), async || {
        (redis.ask(&["DBSIZE"]).await? == ":0\r\n").then_some(())
    })
    .await;
}

/// A client that is present in a group.
#[derive(Debug)]
pub struct Roster {
    key: String,
    seen: Arc<Mutex<Seen>>,
    /// Closes the connection.
    close: Option<oneshot::Sender<()>>,
}

/// What a client was told.
#[derive(Debug, Default)]
struct Seen {
    list: Option<List>,
    /// The rules that were violated.
    faults: Vec<String>,
    joins: usize,
    left_at: BTreeMap<String, Vec<Instant>>,
    has_ended: bool,
}

impl Roster {
    /// Connects; returns `None` if the server does not accept in time.
    pub async fn try_connect(port: u16, group: &str, key: &str) -> Option<Self> {
        let url = format!("ws://127.0.0.1:{port}/ws/presence/{group}?key={key}");
        let opening = async {
            let socket = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
            let (socket, _) = client_async(url, socket).await.ok()?;
            Some(socket)
        };
        let socket = timeout(CONNECT_LIMIT, opening).await.ok()??;
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (close, closed) = oneshot::channel();
        tokio::spawn(follow(socket, seen.clone(), closed));
        Some(Self {
            key: key.to_owned(),
            seen,
            close: Some(close),
        })
    }

    /// Connects.
    ///
    /// # Panics
    /// If the server does not accept.
    pub async fn connect(port: u16, group: &str, key: &str) -> Self {
        let roster = Self::try_connect(port, group, key).await;
        roster.expect("the server accepts the client")
    }

    /// Returns its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Returns the list as it was told; `None` before the first event.
    #[must_use]
    pub fn list(&self) -> Option<List> {
        self.seen().list.clone()
    }

    /// Returns how many joins it was told, those of the first list included.
    #[must_use]
    pub fn joins(&self) -> usize {
        self.seen().joins
    }

    /// Returns when it was told that a key has left, each time.
    #[must_use]
    pub fn left(&self, key: &str) -> Vec<Instant> {
        self.seen().left_at.get(key).cloned().unwrap_or_default()
    }

    /// Returns whether the connection has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.seen().has_ended
    }

    /// Returns the rules that were violated.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.seen().faults.clone()
    }

    /// Waits until the list is this one.
    ///
    /// # Panics
    /// If it is not in time, or a rule was violated.
    pub async fn sees(&self, what: &str, people: &[(&str, u64)]) {
        let people = people.iter();
        let expected: List = people
            .map(|(key, count)| ((*key).to_owned(), *count))
            .collect();
        let mut last = None;
        let seeing = wait::until(what, wait::DEADLINE, async || {
            last = self.list();
            (last.as_ref() == Some(&expected)).then_some(())
        });
        seeing.await;
        assert_eq!(self.faults(), Vec::<String>::new());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no client panics")
    }
}

impl Drop for Roster {
    fn drop(&mut self) {
        if let Some(close) = self.close.take() {
            _ = close.send(());
        }
    }
}

async fn follow(
    mut socket: WebSocketStream<TcpStream>,
    seen: Arc<Mutex<Seen>>,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let message = tokio::select! {
            message = socket.next() => message,
            _ = &mut closed => {
                _ = timeout(CONNECT_LIMIT, socket.close(None)).await;
                return;
            }
        };
        let mut seen = seen.lock().expect("no client panics");
        match message {
            Some(Ok(Message::Text(text))) => seen.take(&text),
            Some(Ok(Message::Close(_)) | Err(_)) | None => {
                seen.has_ended = true;
                return;
            }
            Some(Ok(_)) => {}
        }
    }
}

impl Seen {
    fn take(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).expect("JSON");
        let people = |name: &str| {
            let list = event[name].as_array().cloned().unwrap_or_default();
            let list = list.into_iter().map(|person| {
                let key = person["key"].as_str().expect("a key").to_owned();
                (key, person["count"].as_u64())
            });
            list.collect::<Vec<_>>()
        };
        let Self {
            list,
            faults,
            joins,
            left_at,
            ..
        } = self;
        if event["state"].is_array() {
            if list.is_some() {
                faults.push("the whole list came twice".to_owned());
            }
            let counted = people("state").into_iter();
            let state: List = counted
                .map(|(key, count)| (key, count.expect("a count")))
                .collect();
            *joins += state.len();
            *list = Some(state);
            return;
        }
        let Some(list) = list else {
            faults.push(format!("changes came before the list: {text}"));
            return;
        };
        for (key, count) in people("joined") {
            *joins += 1;
            if list.insert(key.clone(), count.expect("a count")).is_some() {
                faults.push(format!("{key} joined twice"));
            }
        }
        for (key, count) in people("updated") {
            if list.insert(key.clone(), count.expect("a count")).is_none() {
                faults.push(format!("{key} was updated before joining"));
            }
        }
        for (key, _) in people("left") {
            if list.remove(&key).is_none() {
                faults.push(format!("{key} left twice"));
            }
            left_at.entry(key).or_default().push(Instant::now());
        }
    }
}
