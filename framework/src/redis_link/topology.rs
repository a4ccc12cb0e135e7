//! The primaries of the slots of a Cluster, merged from the responses of its nodes by their epochs.

use redis::{RedisError, Value};
use std::{collections::HashMap, mem, ops::RangeInclusive, time::Duration};
use tokio::time::Instant;

/// How long a response that no node confirms counts as newer than what others say: they agree
/// within seconds. A Cluster that was set up anew begins to count again.
const REMEMBERED: Duration = Duration::from_secs(10);

/// The number of responses that are kept beside each other, each newer than the others for some
/// slots.
const MOST_RESPONSES: usize = 16;

/// The longest host that a server may name, in bytes: longer ones are no names of DNS.
pub(super) const LONGEST_HOST: usize = 255;

/// The response of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    primaries: Vec<Primary>,
}

/// A primary and some of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    slots: RangeInclusive<u16>,
    pub(super) host: String,
    pub(super) port: u16,
    /// The configuration epoch of the primary. The replica that takes over its slots gets a higher
    /// one, so a node that names a primary with a lower one has not heard of that.
    epoch: u64,
}

/// The newest responses of all nodes.
///
/// Two failovers may be known to different nodes, so each slot is looked up by itself.
#[derive(Default)]
pub(super) struct NewestTopology {
    /// With the times at which they were given.
    responses: Vec<(Topology, Instant)>,
}

impl NewestTopology {
    /// Records the response of a node; returns whether it is, for all slots, as new as those of
    /// other nodes.
    pub(super) fn record(&mut self, response: Topology, now: Instant) -> bool {
        let is_kept = |at: Instant| now.duration_since(at) < REMEMBERED;
        let mut before = mem::take(&mut self.responses);
        before.retain(|(other, at)| is_kept(*at) && *other != response);
        let is_newest = !before
            .iter()
            .any(|(other, _)| other.is_newer_somewhere(&response));
        // Of two with equal epochs, the last one counts.
        before.retain(|(other, _)| other.is_newer_somewhere(&response));
        self.responses = before;
        if self.responses.len() == MOST_RESPONSES {
            self.responses.remove(0);
        }
        self.responses.push((response, now));
        is_newest
    }

    /// Returns the primary that has a slot.
    pub(super) fn primary_of(&self, slot: u16) -> Option<&Primary> {
        let primaries = self
            .responses
            .iter()
            .flat_map(|(response, _)| &response.primaries);
        // The last one of those with the highest epoch: that of the newest response.
        primaries
            .filter(|primary| primary.slots.contains(&slot))
            .max_by_key(|primary| primary.epoch)
    }

    /// Returns all primaries that a kept response names, those of the newest response first.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &Primary> {
        self.responses
            .iter()
            .rev()
            .flat_map(|(response, _)| &response.primaries)
    }
}

impl Topology {
    /// Returns whether it has any slots: a node that has not joined the Cluster knows none.
    pub(super) fn has_slots(&self) -> bool {
        !self.primaries.is_empty()
    }

    /// Returns whether it names a newer primary than `other` for a slot.
    fn is_newer_somewhere(&self, other: &Self) -> bool {
        self.primaries.iter().any(|primary| {
            let mut others = other.primaries.iter();
            others.any(|other| primary.overlaps(other) && primary.epoch > other.epoch)
        })
    }

    /// Reads the replies to CLUSTER SLOTS and CLUSTER NODES.
    ///
    /// The first has, for each range of slots, its ends, its primary, and its replicas. A node
    /// without a host is that one which replied. The other one has a line for each node, whose
    /// first word is its id, and whose seventh is its epoch; a user that may not query it gets
    /// none.
    pub(super) fn read(
        slots: Value,
        nodes: Option<&str>,
        own_host: &str,
    ) -> Result<Self, RedisError> {
        let epochs = nodes.unwrap_or_default().lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.nth(5)?.parse().ok()?))
        });
        Ok(Self {
            primaries: primaries(slots, &epochs.collect(), own_host)?,
        })
    }
}

impl Primary {
    fn overlaps(&self, other: &Self) -> bool {
        self.slots.start() <= other.slots.end() && other.slots.start() <= self.slots.end()
    }
}

fn primaries(
    response: Value,
    epochs: &HashMap<&str, u64>,
    own_host: &str,
) -> Result<Vec<Primary>, RedisError> {
    let ranges: Vec<Vec<Value>> = redis::from_redis_value(response)?;
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
        if host.as_ref().is_some_and(|host| host.len() > LONGEST_HOST) {
            let reason = "a host in CLUSTER SLOTS has more than 255 bytes";
            return Err((redis::ErrorKind::Parse, reason).into());
        }
        let id: Option<String> = redis::from_redis_value(node.next().unwrap_or(Value::Nil))?;
        let epoch = id.and_then(|id| epochs.get(id.as_str()).copied());
        Ok(Primary {
            slots: first..=last,
            host: host.unwrap_or_else(|| own_host.to_owned()),
            port,
            epoch: epoch.unwrap_or(0),
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

    fn node(host: Value, port: i64, id: &str) -> Value {
        Value::Array(vec![host, Value::Int(port), text(id), Value::Array(vec![])])
    }

    #[test]
    fn the_primaries_of_all_slots_are_read_with_their_epochs() {
        let response = Value::Array(vec![
            Value::Array(vec![
                Value::Int(0),
                Value::Int(5460),
                node(text("10.0.0.1"), 6379, "07c3"),
                node(text("10.0.0.4"), 6379, "292f"),
            ]),
            Value::Array(vec![
                Value::Int(5461),
                Value::Int(16383),
                node(Value::Nil, 7000, "67ed"),
            ]),
        ]);
        let nodes = "\
            07c3 10.0.0.1:6379@16379,a.example myself,master - 0 0 3 connected 0-5460 [5461->-67ed]\n\
            67ed 10.0.0.2:6379@16379 master - 0 1426238316232 12 connected 5461-16383\n\
            292f 10.0.0.3:6379@16379 slave 67ed 0 1426238318243 4 connected\n";

        for (nodes, epochs) in [
            (Some(nodes), [3, 12]),
            (Some("malformed\n\n"), [0, 0]),
            (None, [0, 0]),
        ] {
            let read = Topology::read(response.clone(), nodes, "10.0.0.9").unwrap();
            assert_eq!(
                read.primaries,
                [
                    primary(0..=5460, "10.0.0.1", epochs[0]),
                    Primary {
                        port: 7000,
                        ..primary(5461..=16383, "10.0.0.9", epochs[1])
                    }
                ]
            );
        }
    }

    #[test]
    fn an_unexpected_answer_is_an_error() {
        for response in [
            text("x"),
            Value::Array(vec![Value::Array(vec![Value::Int(0)])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(-1),
                Value::Int(99_999),
                node(text("a"), 1, "id"),
            ])]),
            Value::Array(vec![Value::Array(vec![
                Value::Int(0),
                Value::Int(1),
                Value::Array(vec![]),
            ])]),
        ] {
            let read = Topology::read(response.clone(), None, "a");
            assert!(read.is_err(), "{response:?}: {read:?}");
        }
    }

    fn primary(slots: RangeInclusive<u16>, host: &str, epoch: u64) -> Primary {
        Primary {
            slots,
            host: host.to_owned(),
            port: 6379,
            epoch,
        }
    }

    fn topology(primaries: impl IntoIterator<Item = Primary>) -> Topology {
        Topology {
            primaries: primaries.into_iter().collect(),
        }
    }

    #[test]
    fn a_node_that_has_not_heard_of_a_failover_is_believed_only_if_no_other_one_answers_for_long() {
        let mut newest = NewestTopology::default();
        let start = Instant::now();
        let later = REMEMBERED - Duration::from_millis(1);

        for (host, epoch, at, is_believed) in [
            ("a", 5, Duration::ZERO, true),
            ("b", 6, Duration::ZERO, true),
            ("a", 5, later, false),
            ("b", 6, later, true),
            ("c", 6, later, true),
            ("a", 5, later * 2, false),
            ("a", 5, later + REMEMBERED, true),
        ] {
            let before = newest.primary_of(7).map(|primary| primary.host.clone());
            let response = topology([primary(0..=16383, host, epoch)]);
            assert_eq!(
                newest.record(response, start + at),
                is_believed,
                "{host} at {at:?}"
            );
            let expected = if is_believed {
                Some(host)
            } else {
                before.as_deref()
            };
            assert_eq!(newest.primary_of(7).map(|primary| &*primary.host), expected);
        }
    }

    #[test]
    fn two_failovers_that_two_nodes_have_heard_of_are_both_known() {
        let mut newest = NewestTopology::default();
        let now = Instant::now();
        let (low, high) = (0..=8191, 8192..=16383);
        let first = topology([primary(low.clone(), "a2", 8), primary(high.clone(), "b", 2)]);
        let second = topology([primary(low.clone(), "a", 1), primary(high.clone(), "b2", 7)]);
        let both = topology([primary(low, "a2", 8), primary(high, "b2", 7)]);
        let host_of = |newest: &NewestTopology, slot| newest.primary_of(slot).unwrap().host.clone();

        assert!(newest.record(first.clone(), now));
        for response in [second, first] {
            assert!(!newest.record(response, now));
            assert_eq!(
                (&*host_of(&newest, 7), &*host_of(&newest, 9000)),
                ("a2", "b2")
            );
        }
        assert!(newest.record(both, now));
        assert_eq!(newest.responses.len(), 1);
        assert_eq!(
            (&*host_of(&newest, 7), &*host_of(&newest, 9000)),
            ("a2", "b2")
        );
    }

    #[test]
    fn answers_are_bounded_however_often_the_nodes_disagree() {
        let mut newest = NewestTopology::default();
        let now = Instant::now();
        for number in 0..1000_u16 {
            let slots = number * 2..=number * 2 + 1;
            newest.record(topology([primary(slots, "a", 1)]), now);
            newest.record(topology([primary(0..=16383, "b", 0)]), now);
        }
        assert!(newest.responses.len() <= MOST_RESPONSES);
    }
}
