//! Decoding of MessagePack from other processes, after a check of its structure.

use bytes::Bytes;
use memchr::memmem;
use serde::de::{DeserializeOwned, Error as _};

/// The number of arrays and maps that may be nested; `serde_json` has the same limit for JSON.
pub(super) const MAX_DEPTH: usize = 128;

/// Decodes one value.
///
/// rmp-serde trusts the lengths in headers and recurses without a limit into enums, so a few bytes
/// could make it allocate gigabytes or overflow the stack. The check rules out both before it
/// starts.
///
/// # Errors
/// If a length exceeds the remaining bytes, if arrays and maps are nested deeper than
/// [`MAX_DEPTH`], or if the value is not a `T`.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, rmp_serde::decode::Error> {
    check(bytes).map_err(rmp_serde::decode::Error::custom)?;
    rmp_serde::from_slice(bytes)
}

/// Checks that there is one complete value whose nesting is within [`MAX_DEPTH`].
pub(super) fn check(bytes: &[u8]) -> Result<(), &'static str> {
    skip(bytes).map(drop)
}

/// Returns the bytes after the first value, which must be complete and nested within [`MAX_DEPTH`].
/// It allocates nothing, does not recurse, and does not interpret the value.
pub(super) fn skip(bytes: &[u8]) -> Result<&[u8], &'static str> {
    skip_inside(bytes, 0)
}

/// Does as [`skip`] with a value inside so many arrays and maps, at most [`MAX_DEPTH`].
pub(super) fn skip_inside(mut bytes: &[u8], outer: usize) -> Result<&[u8], &'static str> {
    // The number of values that each open array or map still needs; the outermost is the value
    // itself.
    let mut open = [0; MAX_DEPTH + 1];
    let open = &mut open[outer..];
    let mut depth = 0;
    open[0] = 1u64;
    // The sum of `open`. It grows by less than 2^33 at each level, so it cannot overflow.
    let mut needed = 1u64;
    loop {
        while open[depth] == 0 {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return Ok(bytes),
            }
        }
        open[depth] -= 1;
        needed -= 1;
        let ValueHeader { payload, values } = ValueHeader::take(&mut bytes)?;
        let payload = usize::try_from(payload).map_err(|_| LENGTH_TOO_LARGE)?;
        bytes = bytes.get(payload..).ok_or(LENGTH_TOO_LARGE)?;
        if let Some(values) = values {
            depth += 1;
            *open.get_mut(depth).ok_or("nested deeper than 128 levels")? = values;
            needed += values;
        }
        // Each value takes at least one byte.
        if needed > bytes.len() as u64 {
            return Err(LENGTH_TOO_LARGE);
        }
    }
}

/// One entry of a map, and the map without it.
pub(super) struct MapEntry<'a> {
    pub(super) value: &'a [u8],
    pub(super) others: Bytes,
}

/// Takes the entry with this key, which is encoded, out of a map; returns `None` if there is none.
pub(super) fn take_entry<'a>(bytes: &'a [u8], key: &[u8]) -> Option<MapEntry<'a>> {
    // This search rules out nearly every event.
    memmem::find(bytes, key)?;
    let (count, entries) = open_map(bytes)?;
    let mut rest = entries;
    for _ in 0..count {
        let before = &entries[..entries.len() - rest.len()];
        let after_key = skip(rest).ok()?;
        let after = skip(after_key).ok()?;
        if rest.starts_with(key) {
            return Some(MapEntry {
                value: &after_key[..after_key.len() - after.len()],
                others: map(count - 1, before, after),
            });
        }
        rest = after;
    }
    None
}

/// Returns whether a map has two entries of this encoded key.
pub(super) fn has_twice(bytes: &[u8], key: &[u8]) -> bool {
    // This search rules out nearly every event.
    memmem::find_iter(bytes, key).nth(1).is_some()
        && take_entry(bytes, key).is_some_and(|first| take_entry(&first.others, key).is_some())
}

/// Adds an encoded entry in front of those of a map; returns `None` if the event is not a map.
pub(super) fn add_first(event: &[u8], entry: &[u8]) -> Option<Bytes> {
    let (count, entries) = open_map(event)?;
    Some(map(count.checked_add(1)?, entry, entries))
}

/// Adds an encoded entry behind those of a map; returns `None` if the event is not a map.
#[cfg(feature = "redis")]
pub(super) fn add_last(event: &[u8], entry: &[u8]) -> Option<Bytes> {
    let (count, entries) = open_map(event)?;
    Some(map(count.checked_add(1)?, entries, entry))
}

/// Returns the number of entries of a MessagePack map, and the encoded entries.
pub(super) fn open_map(bytes: &[u8]) -> Option<(u32, &[u8])> {
    match bytes {
        [count @ 0x80..=0x8f, entries @ ..] => Some((u32::from(count & 0x0f), entries)),
        [0xde, a, b, entries @ ..] => Some((u32::from(u16::from_be_bytes([*a, *b])), entries)),
        [0xdf, a, b, c, d, entries @ ..] => Some((u32::from_be_bytes([*a, *b, *c, *d]), entries)),
        _ => None,
    }
}

/// Returns the elements of a MessagePack array, each encoded; `None` if it is no complete array.
pub(super) fn elements(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut rest) = match bytes {
        [count @ 0x90..=0x9f, rest @ ..] => (u32::from(count & 0x0f), rest),
        [0xdc, a, b, rest @ ..] => (u32::from(u16::from_be_bytes([*a, *b])), rest),
        [0xdd, a, b, c, d, rest @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), rest),
        _ => return None,
    };
    let elements = (0..count).map(|_| {
        let (element, others) = split(rest)?;
        rest = others;
        Some(element)
    });
    elements.collect()
}

/// Returns the first value, which must be complete, and the bytes after it.
pub(super) fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = skip(bytes).ok()?;
    Some(bytes.split_at(bytes.len() - rest.len()))
}

/// Encodes a map of `count` entries, given in two parts.
pub(super) fn map(count: u32, first: &[u8], rest: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(5 + first.len() + rest.len());
    match (u8::try_from(count), u16::try_from(count)) {
        (Ok(count @ 0..16), _) => bytes.push(0x80 | count),
        (_, Ok(count)) => {
            bytes.push(0xde);
            bytes.extend(count.to_be_bytes());
        }
        _ => {
            bytes.push(0xdf);
            bytes.extend(count.to_be_bytes());
        }
    }
    bytes.extend_from_slice(first);
    bytes.extend_from_slice(rest);
    bytes.into()
}

const LENGTH_TOO_LARGE: &str = "a length exceeds the remaining bytes";

/// The content that a header announces.
struct ValueHeader {
    /// The bytes of a string, a binary, an extension or a number.
    payload: u64,
    /// The number of values inside, if this is an array or a map.
    values: Option<u64>,
}

impl ValueHeader {
    /// Removes one header from the front of `bytes` and decodes it.
    fn take(bytes: &mut &[u8]) -> Result<Self, &'static str> {
        let [marker] = *array(bytes)?;
        let payload = |payload| Self {
            payload,
            values: None,
        };
        let values = |values| Self {
            payload: 0,
            values: Some(values),
        };
        Ok(match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => payload(0),
            0x80..=0x8f => values(u64::from(marker & 0x0f) * 2),
            0x90..=0x9f => values(u64::from(marker & 0x0f)),
            0xa0..=0xbf => payload(u64::from(marker & 0x1f)),
            0xc1 => return Err("0xc1 does not start a value"),
            0xc4 | 0xd9 => payload(one(bytes)?),
            0xc5 | 0xda => payload(two(bytes)?),
            0xc6 | 0xdb => payload(four(bytes)?),
            // An extension has its type in one byte before its data.
            0xc7 => payload(one(bytes)? + 1),
            0xc8 => payload(two(bytes)? + 1),
            0xc9 => payload(four(bytes)? + 1),
            0xd4..=0xd8 => payload((1 << (marker - 0xd4)) + 1),
            0xcc | 0xd0 => payload(1),
            0xcd | 0xd1 => payload(2),
            0xca | 0xce | 0xd2 => payload(4),
            0xcb | 0xcf | 0xd3 => payload(8),
            0xdc => values(two(bytes)?),
            0xdd => values(four(bytes)?),
            0xde => values(two(bytes)? * 2),
            0xdf => values(four(bytes)? * 2),
        })
    }
}

fn one(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    Ok(u8::from_be_bytes(*array(bytes)?).into())
}

fn two(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    Ok(u16::from_be_bytes(*array(bytes)?).into())
}

fn four(bytes: &mut &[u8]) -> Result<u64, &'static str> {
    Ok(u32::from_be_bytes(*array(bytes)?).into())
}

fn array<'a, const N: usize>(bytes: &mut &'a [u8]) -> Result<&'a [u8; N], &'static str> {
    let (array, rest) = bytes.split_first_chunk().ok_or(LENGTH_TOO_LARGE)?;
    *bytes = rest;
    Ok(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use serde::{Deserialize, Deserializer, Serialize, de};
    use serde_json::Value;

    /// A list that trusts the announced length, as a user's own `Deserialize` may.
    #[derive(Debug)]
    struct Gullible;

    impl<'de> Deserialize<'de> for Gullible {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Elements;
            impl<'de> de::Visitor<'de> for Elements {
                type Value = Gullible;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a list")
                }
                fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Gullible, A::Error> {
                    let announced = list.size_hint().unwrap_or(0);
                    assert!(announced < 100, "it would allocate {announced} elements");
                    Err(A::Error::custom("no list"))
                }
            }
            deserializer.deserialize_seq(Elements)
        }
    }

    #[test]
    fn a_length_that_the_bytes_do_not_have_allocates_nothing() {
        for header in [0xdc, 0xdd, 0xde, 0xdf, 0xc6, 0xdb, 0xc9] {
            let bytes = [header, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00];

            let error = decode::<Gullible>(&bytes).expect_err("it was taken");

            assert_eq!(error.to_string(), LENGTH_TOO_LARGE, "{header:x}");
        }
    }

    #[test]
    fn lists_in_lists_share_the_bytes_that_are_there() {
        // Each header announces as many elements as bytes follow, and only one of them can be
        // right.
        let mut bytes = Vec::new();
        for left in (0..100u16).rev() {
            bytes.extend([0xdc, 0, 0]);
            let end = bytes.len();
            bytes[end - 2..].copy_from_slice(&(3 * left).to_be_bytes());
        }

        assert_eq!(check(&bytes), Err(LENGTH_TOO_LARGE));
    }

    /// An enum that contains itself: rmp-serde does not count its depth.
    #[derive(Debug, Serialize, Deserialize)]
    enum Sum {
        Of(Box<Sum>),
        One,
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
        let mut sum = b"\x81\xa2Of".repeat(200_000);
        sum.extend(b"\xa3One");

        assert_eq!(check(&nested(MAX_DEPTH)), Ok(()));
        assert!(check(&nested(MAX_DEPTH + 1)).is_err());
        assert!(decode::<Value>(&nested(MAX_DEPTH)).is_ok());
        assert!(decode::<Value>(&nested(1_000_000)).is_err());
        assert!(decode::<de::IgnoredAny>(&nested(1_000_000)).is_err());
        assert!(decode::<Sum>(&sum).is_err());
        assert!(decode::<Sum>(&sum[..0]).is_err());
        assert!(decode::<Sum>(b"\x81\xa2Of\xa3One").is_ok());
    }

    /// Returns a strategy for any value, a few levels deep.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,40}".prop_map(Value::from),
            "[a-z]{30,300}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            let list = vec(inner.clone(), 0..20).prop_map(Value::from);
            let map = vec((".{0,8}", inner), 0..20).prop_map(Value::from_iter);
            prop_oneof![list, map]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

        #[test]
        fn an_encoded_value_passes_the_check_and_a_truncated_one_does_not(value in value()) {
            let bytes = rmp_serde::to_vec_named(&value).unwrap();

            prop_assert_eq!(check(&bytes), Ok(()));
            prop_assert_eq!(decode::<Value>(&bytes).unwrap(), value);
            for end in 0..bytes.len() {
                prop_assert_eq!(check(&bytes[..end]), Err(LENGTH_TOO_LARGE));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
            let is_whole = rmp_serde::from_slice::<de::IgnoredAny>(&bytes).is_ok();

            prop_assert_eq!(decode::<de::IgnoredAny>(&bytes).is_ok(), is_whole);
            _ = decode::<Value>(&bytes);
            _ = decode::<Sum>(&bytes);
        }
    }
}
