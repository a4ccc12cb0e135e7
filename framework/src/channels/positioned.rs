//! The position of an event in its topic, as an entry of the encoded event.
//!
//! It is the first entry of the map, so that an event without one is recognized by its first bytes.
//! Members of the group that do not resume the topic, Python consumers among them, see the event
//! with an additional key and may ignore it.

use super::{Position, messagepack};
use crate::name::GroupName;
use bytes::Bytes;

/// The key, preceded by MessagePack's byte for its length.
pub(super) const KEY: &[u8] = b"\xb0__seaway_topic__";

/// The `type` of an event of a topic, as consumers that resume it decode it.
pub(super) const TYPE: &str = "seaway.topic";

/// The key of the type of a topic's events in the end of a resume, with MessagePack's byte for its
/// length.
const EVENT_TYPE: &[u8] = b"\xaaevent_type";

/// The position of an event, and the event without it.
pub(super) struct PositionedEvent {
    pub(super) position: Position,
    pub(super) event: Bytes,
}

impl PositionedEvent {
    /// Reads the position from an encoded event, if it is the first entry.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (count, entries) = messagepack::open_map(bytes)?;
        let value = entries.strip_prefix(KEY)?;
        let others = messagepack::skip(value).ok()?;
        let text = rmp_serde::from_slice::<&str>(&value[..value.len() - others.len()]).ok()?;
        Some(Self {
            position: text.parse().ok()?,
            event: messagepack::map(count.checked_sub(1)?, &[], others),
        })
    }

    /// Adds a position to an event; returns `None` if the event is not a map.
    pub(super) fn write(position: &Position, event: &[u8]) -> Option<Bytes> {
        messagepack::add_first(event, &[KEY, &string(&position.to_string())].concat())
    }

    /// Returns whether an event begins with the key.
    #[cfg(feature = "redis")]
    pub(super) fn begins(bytes: &[u8]) -> bool {
        messagepack::open_map(bytes).is_some_and(|(_, entries)| entries.starts_with(KEY))
    }

    /// Returns whether an event has the key, wherever it stands.
    pub(super) fn is_in(bytes: &[u8]) -> bool {
        messagepack::take_entry(bytes, KEY).is_some()
    }
}

/// Moves the position of an event to the front, if it stands elsewhere.
#[cfg(feature = "redis")]
pub(super) fn moved_to_front(event: Bytes) -> Bytes {
    match messagepack::take_entry(&event, KEY) {
        Some(messagepack::MapEntry { value, others }) => {
            let moved = messagepack::add_first(&others, &[KEY, value].concat());
            moved.unwrap_or(event)
        }
        None => event,
    }
}

/// Returns an event as consumers that resume the topic decode it.
pub(super) fn topic_event(topic: &GroupName, position: &Position, event: &[u8]) -> Bytes {
    let mut entries = entry(topic, position);
    entries.extend(string("event"));
    messagepack::map(5, &entries, event)
}

/// Returns the end of a resume, or a gap, as consumers decode it: as that of a topic with events of
/// this type.
pub(super) fn recovered(
    topic: &GroupName,
    event_type: &str,
    position: &Position,
    all: bool,
) -> Bytes {
    let mut entries = entry(topic, position);
    entries.extend([EVENT_TYPE, &string(event_type), &string("recovered")].concat());
    messagepack::map(6, &entries, &[if all { 0xc3 } else { 0xc2 }])
}

/// Returns the end of a resume without the type of the topic's events.
pub(super) fn without_event_type(recovered: &[u8]) -> Option<Bytes> {
    messagepack::take_entry(recovered, EVENT_TYPE).map(|entry| entry.others)
}

/// Returns four entries: the type, the topic and the position.
fn entry(topic: &GroupName, position: &Position) -> Vec<u8> {
    let number = rmp_serde::to_vec(&position.offset()).expect("a number");
    [
        string("type"),
        string(TYPE),
        string("topic"),
        string(topic.as_str()),
        string("offset"),
        number,
        string("epoch"),
        string(position.epoch()),
    ]
    .concat()
}

fn string(text: &str) -> Vec<u8> {
    rmp_serde::to_vec(text).expect("a text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EVENT: &[u8] = b"\x81\xa4type\xa4hail";

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn the_position_is_the_first_entry_of_the_map() {
        let bytes = PositionedEvent::write(&position("12:k3x9"), EVENT).unwrap();

        assert_eq!(
            &bytes[..],
            b"\x82\xb0__seaway_topic__\xa712:k3x9\xa4type\xa4hail"
        );
        let read = PositionedEvent::read(&bytes).unwrap();
        assert_eq!(read.position, position("12:k3x9"));
        assert_eq!(&read.event[..], EVENT);
    }

    #[test]
    fn an_event_without_a_valid_position_has_none() {
        for bytes in [
            &b""[..],
            b"\x80",
            EVENT,
            b"\x80\xb0__seaway_topic__\xa41:ab",
            b"\x81\xb0__seaway_topic__\xa2ab",
            b"\x81\xb0__seaway_topic__\x01",
            b"\x81\xb0__seaway_topic__\xbf1:ab",
            b"\x82\xa4type\xa4hail\xb0__seaway_topic__\xa41:ab",
        ] {
            assert!(PositionedEvent::read(bytes).is_none(), "{bytes:?}");
        }
    }

    #[test]
    #[cfg(feature = "redis")]
    fn a_position_that_a_serializer_has_moved_is_found_again() {
        let last = Bytes::from_static(b"\x82\xa4type\xa4hail\xb0__seaway_topic__\xa41:ab");

        let moved = moved_to_front(last);

        assert_eq!(
            PositionedEvent::read(&moved).unwrap().position,
            position("1:ab")
        );
        assert_eq!(&moved_to_front(EVENT.into())[..], EVENT);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(rest: Vec<u8>) {
            _ = PositionedEvent::read(&rest);
            _ = PositionedEvent::read(&[b"\x81\xb0__seaway_topic__", &rest[..]].concat());
        }
    }
}
