//! What Sentinels, or the nodes of a Cluster, say where primaries are.

use super::{
    address::{Address, Dialed, Driver},
    asking,
    connect_error::{Cause, ConnectError},
    newest::{self, Named, Newest},
    repeat::Repeat,
    stream::NoInbox,
};
use redis::{RedisError, Value, aio::MultiplexedConnection};
use std::{
    future::pending,
    mem,
    ops::RangeInclusive,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The timeout for a connection to a Sentinel or node, and its answer; then the next one is asked.
const CANDIDATE_TIMEOUT: Duration = Duration::from_secs(2);

/// The number of nodes that are remembered beside those of the URL.
const MOST_NODES: usize = 1000;

/// The Sentinels, or the nodes of a Cluster, and what they said last.
pub(super) struct Directory {
    question: Question,
    /// Those of the URL.
    seeds: Vec<Address>,
    /// A primary's address, but for host and port: user, password, database, TLS.
    primaries: Address,
    shown: Arc<str>,
    logged: Arc<std::sync::Mutex<Repeat>>,
    known: Mutex<Known>,
}

/// What is asked.
pub(super) enum Question {
    /// Where the primary of this service is, of Sentinels.
    Service {
        name: String,
        newest: Arc<Newest>,
        /// The tasks that listen to each Sentinel, once one has answered.
        listeners: OnceLock<JoinSet<()>>,
    },
    /// Which primary has which slots, of the nodes of a Cluster.
    Slots,
}

impl Question {
    pub(super) fn service(name: String) -> Self {
        Self::Service {
            name,
            newest: Arc::default(),
            listeners: OnceLock::new(),
        }
    }
}

#[derive(Default)]
struct Known {
    primaries: Vec<Primary>,
    asked_at: Option<Instant>,
    /// The connection to the one that answered last.
    answering: Option<Answering>,
}

/// An address to use now.
pub(super) struct Found {
    pub(super) address: Address,
    /// For how long its use was put off after it was known: all processes do so, so nobody uses a
    /// server meanwhile.
    pub(super) waited: Duration,
}

impl Found {
    pub(super) fn at_once(address: Address) -> Self {
        Self {
            address,
            waited: Duration::ZERO,
        }
    }
}

/// A primary and some of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Primary {
    slots: RangeInclusive<u16>,
    host: String,
    port: u16,
}

/// A connection to a Sentinel or node.
struct Answering {
    connection: MultiplexedConnection,
    address: Address,
    _driver: Driver,
}

impl Directory {
    pub(super) fn new(
        question: Question,
        seeds: Vec<Address>,
        primaries: Address,
        shown: Arc<str>,
    ) -> Arc<Self> {
        Arc::new(Self {
            question,
            seeds,
            primaries,
            shown,
            logged: Arc::default(),
            known: Mutex::default(),
        })
    }

    pub(super) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// Returns what was logged of failures of all primaries.
    pub(super) fn logged(&self) -> &Arc<std::sync::Mutex<Repeat>> {
        &self.logged
    }

    /// Returns whether the primaries are those of a Cluster.
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.question, Question::Slots)
    }

    /// Returns the address of the primary that has a slot, as an answer that is at most `age` old
    /// names it: all connections of a process ask together.
    ///
    /// # Errors
    /// If nobody answers, or the answer names no such primary.
    pub(super) async fn find(&self, slot: u16, age: Duration) -> Result<Address, ConnectError> {
        let mut known = self.known.lock().await;
        if known.asked_at.is_none_or(|at| at.elapsed() > age) {
            let asking = self.ask(&mut known).await;
            known.primaries = asking?;
            known.asked_at = Some(Instant::now());
        }
        if let Question::Service { newest, .. } = &self.question
            && let Some(Named { host, port, .. }) = newest.get()
        {
            self.listen();
            return Ok(self.primaries.at(&host, port));
        }
        let mut primaries = known.primaries.iter();
        match primaries.find(|primary| primary.slots.contains(&slot)) {
            Some(Primary { host, port, .. }) => Ok(self.primaries.at(host, *port)),
            None => Err(ConnectError::new(
                format!(
                    "no primary of the Cluster has slot {slot}; check `redis-cli --cluster check`"
                ),
                Cause::Unreachable,
            )),
        }
    }

    /// Returns the same, and waits until a primary that has replaced another one may be used.
    ///
    /// # Errors
    /// Those of [`find`](Self::find).
    pub(super) async fn find_usable(
        &self,
        slot: u16,
        age: Duration,
    ) -> Result<Found, ConnectError> {
        let mut found = Found::at_once(self.find(slot, age).await?);
        let found_at = Instant::now();
        if let Question::Service { newest, .. } = &self.question
            && let Some(Named { host, port, .. }) = newest.usable().await
        {
            found.address = self.primaries.at(&host, port);
            found.waited = found_at.elapsed();
        }
        Ok(found)
    }

    /// Waits until a Sentinel has announced that another primary has replaced the one at this address;
    /// nobody announces it in a Cluster.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn replaced(&self, address: &Address) {
        match &self.question {
            Question::Service { newest, .. } => {
                let is_there = |named: &Named| {
                    self.primaries.at(&named.host, named.port).shown() == address.shown()
                };
                newest.differs(is_there).await;
            }
            Question::Slots => pending().await,
        }
    }

    /// Begins to listen to all Sentinels, unless it has begun.
    fn listen(&self) {
        let Question::Service {
            name,
            newest,
            listeners,
        } = &self.question
        else {
            return;
        };
        listeners.get_or_init(|| {
            let seeds = self.seeds.iter().cloned();
            seeds
                .map(|sentinel| newest::listen(sentinel, name.clone(), newest.clone()))
                .collect()
        });
    }

    /// Asks the one that answered last, then all others in turn.
    async fn ask(&self, known: &mut Known) -> Result<Vec<Primary>, ConnectError> {
        let mut last = None;
        if let Some(mut answering) = known.answering.take() {
            let answer = self.answer(&mut answering).await;
            last = Some(answering.address.shown().clone());
            if let Ok(primaries) = answer {
                known.answering = Some(answering);
                return Ok(primaries);
            }
        }
        let mut reasons = Vec::new();
        let mut cause = Cause::Unreachable;
        for address in self.candidates(known, last.as_deref()) {
            let answer = async {
                let Dialed {
                    connection, driver, ..
                } = address.dial(Arc::new(NoInbox)).await?;
                let mut answering = Answering {
                    connection,
                    _driver: driver,
                    address: address.clone(),
                };
                let primaries = self.answer(&mut answering).await?;
                Ok::<_, ConnectError>((answering, primaries))
            };
            let late = |_| ConnectError::timeout("no answer within 2 s");
            match timeout(CANDIDATE_TIMEOUT, answer)
                .await
                .map_err(late)
                .flatten()
            {
                Ok((answering, primaries)) => {
                    known.answering = Some(answering);
                    return Ok(primaries);
                }
                Err(error) => {
                    if error.cause == Cause::Denied {
                        cause = Cause::Denied;
                    }
                    let error = match self.is_cluster() {
                        true => error,
                        false => error.of_sentinel(),
                    };
                    reasons.push(format!("{}: {error}", address.shown()));
                }
            }
        }
        let who = match self.question {
            Question::Service { .. } => "no Sentinel",
            Question::Slots => "no node of the Cluster",
        };
        // In the same order each time, for the log's limit.
        reasons.sort();
        let reason = format!("{who} answers: {}", reasons.join("; "));
        Err(ConnectError::new(reason, cause))
    }

    /// Returns the addresses to ask: those of the URL, and the primaries of the Cluster. The one that
    /// answered last, and does no longer, comes last.
    fn candidates(&self, known: &Known, last: Option<&str>) -> Vec<Address> {
        let mut candidates = self.seeds.clone();
        if self.is_cluster() {
            for Primary { host, port, .. } in known.primaries.iter().take(MOST_NODES) {
                let node = self.primaries.at(host, *port);
                if candidates.iter().all(|other| other.shown() != node.shown()) {
                    candidates.push(node);
                }
            }
        }
        candidates.sort_by_key(|candidate| Some(&**candidate.shown()) == last);
        candidates
    }

    async fn answer(&self, answering: &mut Answering) -> Result<Vec<Primary>, ConnectError> {
        let Answering {
            connection,
            address,
            ..
        } = answering;
        match &self.question {
            Question::Service { name, newest, .. } => {
                newest.record(newest::ask(connection, name).await?);
                Ok(Vec::new())
            }
            Question::Slots => {
                let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
                let asking = command.query_async::<Value>(connection);
                let answer = asking::answer(asking).await?;
                let own_host = address.host().unwrap_or_default();
                primaries(answer, own_host).map_err(|error| ConnectError::of(&error))
            }
        }
    }
}

/// Reads the reply to CLUSTER SLOTS: for each range of slots its ends, its primary, and its replicas.
/// A node without a host is that one which replied.
fn primaries(answer: Value, own_host: &str) -> Result<Vec<Primary>, RedisError> {
    let ranges: Vec<Vec<Value>> = redis::from_redis_value(answer)?;
    let ranges = ranges.into_iter().map(|range| {
        let mut parts = range.into_iter().map(Some).collect::<Vec<_>>();
        parts.resize_with(3.max(parts.len()), || None);
        let mut part = |at: usize| mem::take(&mut parts[at]).unwrap_or(Value::Nil);
        let (first, last) = (number(part(0))?, number(part(1))?);
        let node: Vec<Value> = redis::from_redis_value(part(2))?;
        let mut node = node.into_iter();
        let host: Option<String> = redis::from_redis_value(node.next().unwrap_or(Value::Nil))?;
        let port = number(node.next().unwrap_or(Value::Nil))?;
        let host = host.filter(|host| !host.is_empty() && host != "?");
        Ok(Primary {
            slots: first..=last,
            host: host.unwrap_or_else(|| own_host.to_owned()),
            port,
        })
    });
    ranges.collect()
}

fn number(value: Value) -> Result<u16, RedisError> {
    let number: i64 = redis::from_redis_value(value)?;
    let is_beyond = |_| {
        (
            redis::ErrorKind::Parse,
            "a number in CLUSTER SLOTS is beyond 65535",
        )
    };
    u16::try_from(number).map_err(|error| RedisError::from(is_beyond(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    fn node(host: Value, port: i64) -> Value {
        Value::Array(vec![
            host,
            Value::Int(port),
            text("id"),
            Value::Array(vec![]),
        ])
    }

    #[test]
    fn the_primaries_of_all_slots_are_read() {
        let answer = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(5460),
                node(text("10.0.0.1"), 6379),
                node(text("10.0.0.4"), 6379),
            ]),
            Value::Array(vec![
                Value::Int(5461),
                Value::Int(16383),
                node(Value::Nil, 7000),
            ]),
        ]);

        let expected = |slots, host: &str, port| Primary {
            slots,
            host: host.to_owned(),
            port,
        };
        assert_eq!(
            primaries(answer, "10.0.0.9").unwrap(),
            [
                expected(0..=5460, "10.0.0.1", 6379),
                expected(5461..=16383, "10.0.0.9", 7000)
            ]
        );
    }

    #[test]
    fn an_unexpected_answer_is_an_error() {
        for answer in [
            Value::Nil,
            text("x"),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(-1),
                Value::Int(99_999),
                node(text("a"), 1),
            ])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(1),
                Value::Array(vec![]),
            ])]),
        ] {
            let read = primaries(answer.clone(), "a");
            assert!(
                read.is_err() || answer == Value::Nil,
                "{answer:?}: {read:?}"
            );
        }
    }
}
