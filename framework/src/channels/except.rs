//! Events for all members of a group but one.
//!
//! On the wire, the event's map holds the name of that member under a separate key. Python
//! consumers see this additional key and may ignore it. A Python sender that sets the key can
//! except a Seaway consumer too.

use super::messagepack::{self, MapEntry};
use crate::name::ChannelName;
use bytes::Bytes;

/// The key, preceded by MessagePack's byte for its length.
const KEY: &[u8] = b"\xb1__seaway_except__";

/// The excluded channel, and the event without it.
pub(super) struct Except {
    pub(super) channel: ChannelName,
    pub(super) event: Bytes,
}

impl Except {
    /// Reads the excluded channel from an encoded event, if the event has one.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let MapEntry { value, others } = messagepack::take_entry(bytes, KEY)?;
        let channel = rmp_serde::from_slice::<&str>(value).ok()?;
        let channel = ChannelName::new(channel).ok()?;
        Some(Self {
            channel,
            event: others,
        })
    }

    /// Adds the excluded channel before an event's entries; returns `None` if the event is not a
    /// map.
    pub(super) fn write(channel: &ChannelName, event: &[u8]) -> Option<Bytes> {
        let name = channel.as_str().as_bytes();
        let length = u8::try_from(name.len()).expect("a channel's name has at most 99 bytes");
        let mut key = KEY.to_vec();
        match length {
            0..32 => key.push(0xa0 | length),
            _ => key.extend([0xd9, length]),
        }
        key.extend(name);
        messagepack::add_first(event, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    #[test]
    fn the_excluded_channel_is_the_first_key_of_the_map() {
        let event = b"\x81\xa4type\xa4hail";

        let bytes = Except::write(&channel("p!1"), event).unwrap();

        assert_eq!(
            &bytes[..],
            b"\x82\xb1__seaway_except__\xa3p!1\xa4type\xa4hail"
        );
        let read = Except::read(&bytes).unwrap();
        assert_eq!(read.channel, channel("p!1"));
        assert_eq!(&read.event[..], event);
    }

    #[test]
    fn the_key_is_found_wherever_it_stands() {
        let last = b"\x82\xa4type\xa4hail\xb1__seaway_except__\xa3p!1";

        let read = Except::read(last).unwrap();

        assert_eq!(read.channel, channel("p!1"));
        assert_eq!(&read.event[..], b"\x81\xa4type\xa4hail");
        let as_a_value = b"\x81\xa4type\xb1__seaway_except__";
        assert!(Except::read(as_a_value).is_none());
    }

    #[test]
    fn an_event_without_the_key_excludes_no_member() {
        for bytes in [
            &b""[..],
            b"\x80",
            b"\x81\xa4type\xa4hail",
            b"\x82\xb1__seaway_except__\xa3p !\xa4type\xa4hail",
            b"\x82\xb1__seaway_except__\xbfshort",
            b"\x80\xb1__seaway_except__\xa1p",
        ] {
            assert!(Except::read(bytes).is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_whatever_the_sizes(count in 0u32..70_000, name in "[a-z]{1,60}![a-z0-9]{1,30}") {
            let event = messagepack::map(count, &[], &vec![0xc0; 2 * count as usize]);

            let bytes = Except::write(&channel(&name), &event).unwrap();

            let read = Except::read(&bytes).unwrap();
            prop_assert_eq!(read.channel, channel(&name));
            prop_assert_eq!(read.event, event);
        }

        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Except::read(&bytes);
        }
    }
}
