//! What the nodes of a Cluster say of its slots, and which of them know the newest.

use redis::{RedisError, Value};
use std::{mem, ops::RangeInclusive, time::Duration};
use tokio::time::Instant;

/// How long an answer that no node confirms counts as newer than what others say: they agree within
/// seconds. A Cluster that was set up anew begins to count again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The answer of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    pub(super) primaries: Vec<Primary>,
    /// The highest configuration epoch of a node that this one knows. The replica that takes over
    /// gets the highest of all, so a node with a lower one has not heard of it yet.
    epoch: u64,
}

/// A primary and some of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    pub(super) slots: RangeInclusive<u16>,
    pub(super) host: String,
    pub(super) port: u16,
}

/// The newest answer of any node.
#[derive(Default)]
pub(super) struct NewestTopology {
    topology: Topology,
    confirmed_at: Option<Instant>,
}

impl NewestTopology {
    /// Records the answer of a node; returns whether it is as new as that of any other node.
    pub(super) fn record(&mut self, answer: Topology, now: Instant) -> bool {
        let is_older = answer.epoch < self.topology.epoch;
        let is_remembered = |at: Instant| now.duration_since(at) < REMEMBERED;
        if is_older && self.confirmed_at.is_some_and(is_remembered) {
            return false;
        }
        self.topology = answer;
        self.confirmed_at = Some(now);
        true
    }

    pub(super) fn primaries(&self) -> &[Primary] {
        &self.topology.primaries
    }
}

impl Topology {
    /// Returns whether it has any slots: a node that has not joined the Cluster knows none.
    pub(super) fn has_slots(&self) -> bool {
        !self.primaries.is_empty()
    }

    /// Reads the replies to CLUSTER SLOTS and CLUSTER NODES.
    ///
    /// The first has, for each range of slots, its ends, its primary, and its replicas. A node
    /// without a host is that one which replied. The other one has a line for each node, whose
    /// seventh word is the epoch; a user that may not ask for it gets none.
    pub(super) fn read(
        slots: Value,
        nodes: Option<&str>,
        own_host: &str,
    ) -> Result<Self, RedisError> {
        let epochs = nodes.unwrap_or_default().lines();
        let epochs = epochs.filter_map(|line| line.split(' ').nth(6)?.parse().ok());
        Ok(Self {
            primaries: primaries(slots, own_host)?,
            epoch: epochs.max().unwrap_or(0),
        })
    }
}

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

    #[test]
    fn the_epoch_is_that_of_the_newest_node() {
        let nodes = "\
            07c3 10.0.0.1:6379@16379,a.example myself,master - 0 0 3 connected 0-5460 [5461->-67ed]\n\
            67ed 10.0.0.2:6379@16379 master - 0 1426238316232 12 connected 5461-16383\n\
            292f 10.0.0.3:6379@16379 slave 67ed 0 1426238318243 4 connected\n";
        for (nodes, expected) in [(Some(nodes), 12), (Some("malformed\n\n"), 0), (None, 0)] {
            let read = Topology::read(Value::Array(vec![]), nodes, "a");
            assert_eq!(read.unwrap().epoch, expected);
        }
    }

    fn topology(host: &str, epoch: u64) -> Topology {
        let primary = Primary {
            slots: 0..=16383,
            host: host.to_owned(),
            port: 6379,
        };
        Topology {
            primaries: vec![primary],
            epoch,
        }
    }

    #[test]
    fn a_node_that_has_not_heard_of_a_fail_over_is_believed_only_if_no_other_one_answers_for_long()
    {
        let mut newest = NewestTopology::default();
        let start = Instant::now();
        let later = REMEMBERED - Duration::from_millis(1);

        for (answer, at, is_believed) in [
            (topology("a", 5), Duration::ZERO, true),
            (topology("b", 6), Duration::ZERO, true),
            (topology("a", 5), later, false),
            (topology("b", 6), later, true),
            (topology("c", 6), later, true),
            (
                topology("a", 5),
                later + REMEMBERED - Duration::from_millis(1),
                false,
            ),
            (topology("a", 5), later + REMEMBERED, true),
        ] {
            let before = newest.primaries().to_vec();
            let recorded = newest.record(answer.clone(), start + at);
            assert_eq!(recorded, is_believed, "{answer:?} at {at:?}");
            let expected = if is_believed {
                answer.primaries
            } else {
                before
            };
            assert_eq!(newest.primaries(), expected);
        }
    }
}
