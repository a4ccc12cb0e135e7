//! The bytes of an event on the wire: serializer, encryption, and the entries of queues.

use super::{capacity::Capacities, fernet, python_json::PythonJson};
use crate::{
    channels::{
        Envelope, JOB_EXPIRY,
        local_presence::check_meta,
        messagepack::{self, MapEntry},
        positioned::{self, PositionedEvent},
    },
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    metric,
    name::{ChannelName, GroupName},
    redis_link::MAX_VALUE,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, ser::Formatter};
use std::{
    collections::HashSet,
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

#[cfg(test)]
mod tests;

/// A serializer of events in Redis: `serializer_format` of channels_redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Serializer {
    /// `"msgpack"`, the default.
    #[default]
    MessagePack,
    /// `"json"`.
    ///
    /// Events with bytes in them cannot be sent, and numbers that are not finite become `null`.
    /// Python sends those as `NaN`, `Infinity` and `-Infinity`: they are received as numbers. A
    /// lone surrogate in a string of Python is received as U+FFFD, and an integer beyond 64 bits as
    /// a floating-point number.
    Json,
}

/// The random bytes in front of each entry of a queue, which make equal events distinct:
/// `random_prefix_length` of channels_redis.
const RANDOM_PREFIX: usize = 12;

/// How much older than its expiry a token may be, as in channels_redis.
const TTL_MARGIN: Duration = Duration::from_secs(10);

/// The key of an event's recipients in an entry of a queue, in MessagePack.
const RECIPIENTS: &[u8] = b"\xb0__asgi_channel__";

/// The settings that both ends of the wire must share.
#[derive(Clone)]
pub(super) struct Coding {
    pub(super) serializer: Serializer,
    pub(super) keys: fernet::FernetKeys,
    /// How long an event may wait in a queue.
    pub(super) expiry: Duration,
    pub(super) capacities: Capacities,
    /// The largest value that Redis may send, in bytes.
    pub(super) max_value: usize,
}

/// The channels that one entry of a queue is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Recipients<'a> {
    /// The queue itself.
    Queue,
    /// One channel of a process, by `send`.
    Channel(&'a ChannelName),
    /// Channels of a process, by `group_send`.
    Members(&'a [ChannelName]),
}

/// The bytes of an event before and after its position in a topic, which Redis adds.
pub(super) struct PositionedParts {
    /// Empty if the position is not added.
    pub(super) before: Bytes,
    /// Whether the position is a string of MessagePack, and not the inside of a string of JSON.
    pub(super) has_length: bool,
    pub(super) after: Bytes,
}

impl PositionedParts {
    pub(super) fn without_position(event: Bytes) -> Self {
        Self {
            before: Bytes::new(),
            has_length: false,
            after: event,
        }
    }
}

/// A decoded entry of a queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct QueueEntry {
    pub(super) event: Bytes,
    pub(super) recipients: Vec<ChannelName>,
}

impl Default for Coding {
    fn default() -> Self {
        Self {
            serializer: Serializer::default(),
            keys: fernet::FernetKeys::default(),
            expiry: JOB_EXPIRY,
            capacities: Capacities::default(),
            max_value: MAX_VALUE,
        }
    }
}

impl Coding {
    /// Returns how many bytes of several events one command may ask for, besides one event.
    pub(super) fn max_batch(&self) -> usize {
        self.max_value / 4
    }

    /// Encodes an event for PUBLISH.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the serializer cannot encode it, [`ErrorKind::TooLarge`] if it is
    /// larger than half of the largest value.
    pub(super) fn encode_published(&self, envelope: &Envelope) -> Result<Bytes> {
        let event = envelope.as_bytes();
        let size = match PositionedEvent::begins(event) {
            true => self.extended(),
            false => self.largest(),
        };
        self.encode(event.clone(), size)
    }

    /// Decodes a published event. One that cannot be decoded is counted and logged.
    pub(super) fn decode_published(&self, payload: Vec<u8>) -> Option<Bytes> {
        self.decode(payload.into(), None).map_err(count).ok()
    }

    /// Encodes an event so that Redis can add its position in a topic; `None` if it is encrypted.
    ///
    /// # Errors
    /// Those of [`encode_published`](Self::encode_published).
    pub(super) fn encode_positioned(&self, envelope: &Envelope) -> Result<Option<PositionedParts>> {
        if !self.keys.is_empty() {
            return Ok(None);
        }
        let event = envelope.as_bytes();
        check_size(event, self.largest())?;
        Ok(match self.serializer {
            Serializer::MessagePack => messagepack::open_map(event).map(|(count, entries)| {
                let head = messagepack::map(count.saturating_add(1), positioned::KEY, &[]);
                PositionedParts {
                    before: head,
                    has_length: true,
                    after: event.slice_ref(entries),
                }
            }),
            Serializer::Json => {
                let json = to_json(event)?;
                check_size(&json, self.largest())?;
                let key = str::from_utf8(&positioned::KEY[1..]).expect("the key is ASCII");
                json.strip_prefix(b"{").map(|entries| PositionedParts {
                    before: format!("{{\"{key}\": \"").into(),
                    has_length: false,
                    after: [b"\", ", entries].concat().into(),
                })
            }
        })
    }

    /// Encodes an event as an entry of a queue.
    ///
    /// # Errors
    /// Those of [`encode_published`](Self::encode_published), and [`ErrorKind::Codec`] if it names
    /// recipients itself: a consumer that relays client input must not let clients address other
    /// channels.
    pub(super) fn encode_entry(
        &self,
        envelope: &Envelope,
        recipients: Recipients<'_>,
    ) -> Result<Vec<u8>> {
        let event = envelope.as_bytes();
        if !PositionedEvent::begins(event) {
            check_size(event, self.largest())?;
        }
        if messagepack::take_entry(event, RECIPIENTS).is_some() {
            let message = "cannot send an event with a key `__asgi_channel__`, which is reserved";
            return Err(Error::new(ErrorKind::Codec, message));
        }
        let names = match recipients {
            Recipients::Queue => None,
            Recipients::Channel(channel) => Some(rmp_serde::to_vec(channel.as_str())),
            Recipients::Members(members) => {
                let names: Vec<_> = members.iter().map(ChannelName::as_str).collect();
                Some(rmp_serde::to_vec(&names))
            }
        };
        let event = match names {
            None => event.clone(),
            Some(names) => {
                let names = names.expect("strings are encoded in memory");
                let added = messagepack::add_last(event, &[RECIPIENTS, &names].concat());
                added.ok_or_else(|| Error::new(ErrorKind::Codec, "an event is not a map"))?
            }
        };
        let event = self.encode(event, self.extended())?;
        let random = fastrand::u128(..).to_le_bytes();
        Ok([&random[..RANDOM_PREFIX], &event].concat())
    }

    /// Decodes an entry of a queue. One that cannot be decoded is counted and logged.
    pub(super) fn decode_entry(&self, entry: &[u8]) -> Option<QueueEntry> {
        self.read_entry(entry).map_err(count).ok()
    }

    /// Decodes a job. One that cannot be decoded is counted and logged as lost.
    pub(super) fn decode_job(&self, channel: &ChannelName, entry: &[u8]) -> Option<Bytes> {
        let log = |reason| {
            metric::undecodable(1);
            log_limited!(
                error,
                %channel,
                reason,
                "lost a job that could not be decoded; the serializer, the keys and the prefix must be the same in all programs"
            );
        };
        let entry = self.read_entry(entry).map_err(log).ok()?;
        Some(entry.event)
    }

    fn read_entry(&self, entry: &[u8]) -> Result<QueueEntry, &'static str> {
        entry
            .get(RANDOM_PREFIX..)
            .ok_or("it is shorter than its random prefix")
            .and_then(|event| self.decode(Bytes::copy_from_slice(event), Some(self.expiry)))
            .and_then(QueueEntry::read)
    }

    /// Encrypts the meta of a presence, if there are keys.
    pub(super) fn seal_meta(&self, meta: &Bytes) -> Result<Bytes> {
        let token = self.keys.encrypt(meta, since_epoch())?;
        Ok(token.map_or_else(|| meta.clone(), Bytes::from))
    }

    /// Decrypts the meta of a presence. One of another key, or that is none, is counted and logged.
    pub(super) fn open_meta(&self, group: &GroupName, meta: Bytes) -> Option<Bytes> {
        let opened = if self.keys.is_empty() {
            Ok(meta)
        } else {
            let opened = self.keys.decrypt(&meta, since_epoch(), None);
            opened
                .map(Bytes::from)
                .map_err(|_| "it is not encrypted with one of the symmetric encryption keys")
        };
        let opened = opened.and_then(|meta| check_meta(&meta).map(|()| meta));
        let log = |reason| {
            metric::undecodable(1);
            log_limited!(
                warn,
                %group,
                reason,
                "left a person out of a presence whose meta could not be decoded; the keys must be the same in all programs"
            );
        };
        opened.map_err(log).ok()
    }

    /// Returns how large an event may be that is sent.
    fn largest(&self) -> usize {
        self.max_value / 2
    }

    /// Returns how large it may be with its position or recipients: what a topic has stored must
    /// not be refused when it is sent.
    fn extended(&self) -> usize {
        self.largest() + self.max_value / 8
    }

    fn encode(&self, event: Bytes, largest: usize) -> Result<Bytes> {
        let event = match self.serializer {
            Serializer::MessagePack => event,
            Serializer::Json => to_json(&event)?.into(),
        };
        let token = self.keys.encrypt(&event, since_epoch())?;
        let event = token.map_or(event, Bytes::from);
        check_size(&event, largest)?;
        Ok(event)
    }

    fn decode(&self, payload: Bytes, expiry: Option<Duration>) -> Result<Bytes, &'static str> {
        let event = if self.keys.is_empty() {
            payload
        } else {
            let ttl = expiry.map(|expiry| expiry.saturating_add(TTL_MARGIN));
            let message = self.keys.decrypt(&payload, since_epoch(), ttl);
            message.map(Bytes::from).map_err(|mistake| match mistake {
                fernet::Mistake::Invalid => {
                    "it is not encrypted with one of the symmetric encryption keys"
                }
                fernet::Mistake::Expired => {
                    "its token has expired, or the clocks of sender and receiver differ"
                }
            })?
        };
        match self.serializer {
            Serializer::MessagePack => Ok(event),
            Serializer::Json => Ok(positioned::moved_to_front(from_json(&event)?)),
        }
    }
}

/// Checks that an event is not too large: a receiver would close its connection to Redis.
fn check_size(event: &[u8], largest: usize) -> Result<()> {
    let size = event.len();
    if size <= largest {
        return Ok(());
    }
    let message = format!(
        "cannot send an event of {size} bytes, more than {largest}; raise `RedisConfig::max_value_size` in all \
         programs, or send a reference to the data"
    );
    Err(Error::new(ErrorKind::TooLarge, message))
}

impl QueueEntry {
    fn read(event: Bytes) -> Result<Self, &'static str> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum RecipientList {
            One(String),
            Several(Vec<String>),
        }
        let Some(MapEntry { value, others }) = messagepack::take_entry(&event, RECIPIENTS) else {
            return Ok(Self {
                event,
                recipients: Vec::new(),
            });
        };
        let names =
            messagepack::decode(value).map_err(|_| "its `__asgi_channel__` has no names")?;
        let names = match names {
            RecipientList::One(name) => vec![name],
            RecipientList::Several(names) => names,
        };
        let recipients = names
            .into_iter()
            .filter_map(|name| ChannelName::new(name).ok());
        let mut known = HashSet::new();
        Ok(Self {
            // One that is named twice receives the event once.
            recipients: recipients
                .filter(|name| known.insert(name.clone()))
                .collect(),
            event: others,
        })
    }
}

/// Counts and logs an event that could not be decoded.
pub(super) fn count(why: &'static str) {
    metric::undecodable(1);
    log_limited!(
        warn,
        reason = why,
        "skipped an event from Redis that could not be decoded; the serializer, the keys and the prefix must be the same in all programs"
    );
}

/// Returns the time since 1970.
pub(super) fn since_epoch() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Returns the time since 1970 by the clock of Redis, given its reply to TIME.
pub(super) fn redis_time((seconds, micros): (u64, u32)) -> Duration {
    Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros.into()))
}

/// Returns a time as a score, in seconds with six decimals.
pub(super) fn score(time: Duration) -> String {
    format!("{}.{:06}", time.as_secs(), time.subsec_micros())
}

fn to_json(event: &[u8]) -> Result<Vec<u8>> {
    let value: Value = messagepack::decode(event).map_err(|source| {
        let message = "cannot encode an event as JSON: it has bytes in it, or keys that are not strings; use Serializer::MessagePack";
        Error::new(ErrorKind::Codec, message).with_source(source)
    })?;
    let mut json = Vec::with_capacity(event.len() * 2);
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, AsPython);
    serde::Serialize::serialize(&value, &mut serializer).map_err(|source| {
        Error::new(ErrorKind::Codec, "cannot encode an event as JSON").with_source(source)
    })?;
    Ok(json)
}

fn from_json(json: &[u8]) -> Result<Bytes, &'static str> {
    let event = PythonJson::parse(json).ok_or("it is not JSON")?;
    if !event.is_object() {
        return Err("it is not a JSON object");
    }
    let event =
        rmp_serde::to_vec_named(&event).map_err(|_| "it cannot be encoded as MessagePack")?;
    Ok(event.into())
}

/// JSON as Python's `json.dumps` writes it: a space after `,` and `:`, and ASCII only.
struct AsPython;

impl Formatter for AsPython {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        first: bool,
    ) -> io::Result<()> {
        to.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, to: &mut W) -> io::Result<()> {
        to.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        to: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let is_plain = |character: char| character.is_ascii() && character != '\x7f';
        for piece in text.split_inclusive(|character| !is_plain(character)) {
            let plain = piece.trim_end_matches(|character| !is_plain(character));
            to.write_all(plain.as_bytes())?;
            for unit in piece[plain.len()..].encode_utf16() {
                write!(to, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
