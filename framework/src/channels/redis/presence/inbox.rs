//! What is published, decoded.

use crate::{
    channels::{
        LocalChannels,
        local_presence::store::{
            Changes, LONGEST_KEY, PersonKey, PresenceChange, Record, Sink, Version,
        },
        messagepack,
        redis::coding::Coding,
    },
    log_limit::log_limited,
    name::GroupName,
    redis_link,
};
use bytes::Bytes;
use redis::{PushKind, Value};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use std::{
    collections::HashSet,
    fmt, str,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

/// The receiver of changes.
pub(super) struct PresenceInbox {
    sink: Sink,
    local: LocalChannels,
    coding: Arc<Coding>,
    /// What the channel of a group begins with.
    prefix: String,
    /// The sharded channels to which the current connection subscribes, and that are to remain.
    sharded: Mutex<HashSet<Vec<u8>>>,
}

impl PresenceInbox {
    pub(super) fn new(
        sink: Sink,
        local: LocalChannels,
        coding: Arc<Coding>,
        prefix: String,
    ) -> Self {
        Self {
            sink,
            local,
            coding,
            prefix,
            sharded: Mutex::default(),
        }
    }

    /// Records that this process is about to request the end of a subscription.
    pub(super) fn ends(&self, channel: &str) {
        self.sharded().remove(channel.as_bytes());
    }

    /// Records a subscription that Redis has confirmed, and how many the connection now has.
    fn confirmed(&self, channel: Vec<u8>, count: i64) {
        let mut sharded = self.sharded();
        if count == 1 {
            // Others are of an earlier connection.
            sharded.clear();
        }
        sharded.insert(channel);
    }

    fn sharded(&self) -> MutexGuard<'_, HashSet<Vec<u8>>> {
        self.sharded
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

impl redis_link::PushReceiver for PresenceInbox {
    fn push(&self, kind: PushKind, data: Vec<Value>) {
        let (channel, payload) = match (kind, <[Value; 2]>::try_from(data)) {
            (
                PushKind::Message | PushKind::SMessage,
                Ok([Value::BulkString(channel), Value::BulkString(payload)]),
            ) => (channel, payload),
            (PushKind::SSubscribe, Ok([Value::BulkString(channel), Value::Int(count)])) => {
                return self.confirmed(channel, count);
            }
            _ => return,
        };
        let name = str::from_utf8(&channel).ok();
        let group = name.and_then(|name| GroupName::new(name.strip_prefix(&self.prefix)?).ok());
        let received = group.and_then(|group| {
            let changes = changes(&payload, &group, &self.coding)?;
            self.sink.received(&group, changes);
            Some(())
        });
        if received.is_none() {
            // The next change, or the next refresh, shows that one is missing.
            log_limited!(warn, "skipped a change of a presence that is malformed");
        }
    }

    fn needs(&self, channel: &[u8]) -> bool {
        self.sharded().contains(channel)
    }

    fn deliveries(&self) -> u64 {
        self.local.deliveries()
    }

    fn has_room(&self) -> bool {
        self.local.has_room()
    }
}

/// Decodes a publication.
fn changes(payload: &[u8], group: &GroupName, coding: &Coding) -> Option<Changes> {
    let (epoch, number, now, list): (Raw, u64, u64, Vec<Raw>) =
        messagepack::decode(payload).ok()?;
    let mut changes = Vec::with_capacity(list.len() / 2);
    for pair in list.chunks_exact(2) {
        let Some(key) = person_key(&pair[0].0) else {
            continue;
        };
        let record = match &pair[1].0[..] {
            [] => None,
            packed => Some(record(packed, now, group, coding)?),
        };
        changes.push(PresenceChange { key, record });
    }
    let epoch = str::from_utf8(&epoch.0).ok()?.parse().ok()?;
    let version = Version { epoch, number };
    Some(Changes { version, changes })
}

/// Returns the key of a person, unless another program has stored it: it is no text then, or too
/// long.
pub(super) fn person_key(key: &[u8]) -> Option<PersonKey> {
    let key = str::from_utf8(key).ok()?;
    (key.len() <= LONGEST_KEY).then(|| key.into())
}

/// Decodes a person.
pub(super) fn record(
    packed: &[u8],
    now: u64,
    group: &GroupName,
    coding: &Coding,
) -> Option<Record> {
    let (count, until, stamp, meta): (u32, u64, u64, Raw) = messagepack::decode(packed).ok()?;
    Some(Record {
        count,
        grace: Duration::from_millis(until.saturating_sub(now)),
        stamp,
        meta: coding.open_meta(group, meta.0),
    })
}

/// Bytes that Lua has packed, always as a text.
struct Raw(Bytes);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(RawVisitor)
    }
}

struct RawVisitor;

impl Visitor<'_> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Raw, E> {
        Ok(Raw(Bytes::copy_from_slice(bytes)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Raw, E> {
        self.visit_bytes(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupName {
        GroupName::new("lot.7").unwrap()
    }

    #[test]
    fn what_lua_packs_is_read_whatever_bytes_a_meta_has() {
        // {'7', 3, 1000, {'ana', pack({2, 1500, 9, '\x81\xa1x\xff'}), 'bo', ''}}
        let packed = b"\x94\x02\xcd\x05\xdc\x09\xa4\x81\xa1x\xff";
        let mut payload = b"\x94\xa17\x03\xcd\x03\xe8\x94\xa3ana".to_vec();
        payload.push(0xa0 | packed.len() as u8);
        payload.extend(packed);
        payload.extend(b"\xa2bo\xa0");

        let changes = changes(&payload, &group(), &Coding::default()).unwrap();

        assert_eq!(
            changes.version,
            Version {
                epoch: 7,
                number: 3
            }
        );
        let [ana, bo] = &changes.changes[..] else {
            panic!("{changes:?}");
        };
        let record = ana.record.as_ref().unwrap();
        assert_eq!((&*ana.key, record.count, record.stamp), ("ana", 2, 9));
        assert_eq!(record.grace, Duration::from_millis(500));
        assert_eq!(record.meta.as_deref(), Some(&b"\x81\xa1x\xff"[..]));
        assert_eq!((&*bo.key, bo.record.is_none()), ("bo", true));
    }

    #[test]
    fn arbitrary_bytes_are_no_change() {
        for payload in [
            &b""[..],
            b"\x94",
            b"\x94\xa17\x03\x00\x92\xa1x\xa1y",
            b"text",
        ] {
            assert!(
                changes(payload, &group(), &Coding::default()).is_none(),
                "{payload:?}"
            );
        }
    }
}
