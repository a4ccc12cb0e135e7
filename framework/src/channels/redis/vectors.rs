//! Tests against bytes and names that channels_redis 4.3 has produced.

use super::{
    capacity::Capacities,
    coding::{Coding, QueueEntry, Recipients, Serializer, score},
    fernet::FernetKeys,
};
use crate::{
    channels::Envelope,
    name::{ChannelName, GroupName},
};
use data_encoding::HEXLOWER;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer as Serialization, de, ser::SerializeMap,
};
use serde_json::Value;
use std::{collections::HashMap, fmt, time::Duration};

#[derive(Deserialize)]
struct Vectors {
    msgpack: Vec<Packed>,
    json: Vec<TextVector>,
    /// What Python sends and JSON does not have.
    json_of_python: Vec<TextVector>,
    encryption: Encryption,
    hash: Vec<Hashed>,
    channels: Vec<NameVector>,
    groups: Vec<NameVector>,
    capacity: Capacity,
}

#[derive(Deserialize)]
struct Packed {
    name: String,
    message: Python,
    hex: String,
}

#[derive(Deserialize)]
struct TextVector {
    name: String,
    message: Python,
    text: String,
}

#[derive(Deserialize)]
struct Encryption {
    key: String,
    core: String,
    pubsub: String,
    plaintext: String,
}

#[derive(Deserialize)]
struct Hashed {
    value: String,
    hosts: HashMap<usize, usize>,
}

#[derive(Deserialize)]
struct NameVector {
    name: String,
    valid: bool,
}

/// The capacities that Python finds for the names of channels. One of its patterns is a regular
/// expression; here it is the pattern that matches the same names.
#[derive(Deserialize)]
struct Capacity {
    default: usize,
    patterns: Vec<(String, usize)>,
    lookups: HashMap<String, usize>,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors.json")).expect("the vectors are complete")
}

#[test]
fn events_have_the_bytes_of_python() {
    for Packed { name, message, hex } in vectors().msgpack {
        let event = rmp_serde::to_vec_named(&message).unwrap();
        assert_eq!(HEXLOWER.encode(&event), hex, "{name}");

        let coding = Coding::default();
        let envelope = Envelope::from_bytes(event.clone());
        let published = coding.encode_published(&envelope).unwrap();
        assert_eq!(published, event);
        let entry = coding.encode_entry(&envelope, Recipients::Queue).unwrap();
        assert_eq!(entry[12..], event, "{name}");
    }
}

#[test]
fn json_is_that_of_python() {
    let coding = Coding {
        serializer: Serializer::Json,
        ..Coding::default()
    };
    for TextVector {
        name,
        message,
        text,
    } in vectors().json
    {
        let event = rmp_serde::to_vec_named(&message).unwrap();
        let envelope = Envelope::from_bytes(event);

        let json = coding.encode_published(&envelope).unwrap();

        // The order of keys means nothing; Python keeps it.
        let json = str::from_utf8(&json).unwrap();
        assert_eq!(value(json), value(&text), "{name}");
        assert_eq!(json.len(), text.len(), "spaces and escapes of {name}");
        let back = coding.decode_published(text.into()).expect("it is decoded");
        assert_eq!(rmp_serde::from_slice::<Value>(&back).unwrap(), value(json));
    }
    let bytes = Envelope::from_bytes(&b"\x81\xa1b\xc4\x01x"[..]);
    assert!(coding.encode_published(&bytes).is_err());
}

#[test]
fn what_only_python_writes_in_json_is_read() {
    let coding = Coding {
        serializer: Serializer::Json,
        ..Coding::default()
    };
    for TextVector {
        name,
        message,
        text,
    } in vectors().json_of_python
    {
        let event = rmp_serde::to_vec_named(&message).unwrap();

        let received = coding.decode_published(text.into());

        assert_eq!(received, Some(event.into()), "{name}");
    }
}

#[test]
fn tokens_of_python_are_decrypted() {
    let Encryption {
        key,
        core,
        pubsub,
        plaintext,
    } = vectors().encryption;
    let coding = Coding {
        keys: FernetKeys::new([key]),
        // The tokens are as old as the vectors.
        expiry: Duration::from_secs(100 * 365 * 24 * 3600),
        ..Coding::default()
    };
    let expected = HEXLOWER.decode(plaintext.as_bytes()).unwrap();

    let entry = coding.decode_entry(&HEXLOWER.decode(core.as_bytes()).unwrap());
    assert_eq!(entry.expect("it is decrypted").event, expected);
    let published = coding.decode_published(pubsub.into());
    assert_eq!(published.expect("it is decrypted"), expected);
    let plain = coding.decode_published(expected);
    assert_eq!(plain, None, "what is not encrypted is not accepted");
}

#[test]
fn entries_name_their_recipients_in_either_form() {
    let channel = |name: &str| ChannelName::new(name).unwrap();
    let (one, two) = (channel("specific.ab!1"), channel("specific.ab!2"));
    let both = [one.clone(), two.clone()];
    let event = Envelope::from_bytes(&b"\x81\xa4type\xa1t"[..]);
    for serializer in [Serializer::MessagePack, Serializer::Json] {
        for keys in [FernetKeys::default(), FernetKeys::new(["secret"])] {
            let coding = Coding {
                serializer,
                keys,
                ..Coding::default()
            };
            for (recipients, expected) in [
                (Recipients::Queue, &[][..]),
                (Recipients::Channel(&one), &both[..1]),
                (Recipients::Members(&both), &both),
            ] {
                let bytes = coding.encode_entry(&event, recipients).unwrap();

                let entry = coding.decode_entry(&bytes).unwrap();

                let expected = QueueEntry {
                    event: event.as_bytes().clone(),
                    recipients: expected.to_vec(),
                };
                assert_eq!(entry, expected, "{recipients:?}");
            }
        }
    }
    let coding = Coding::default();
    let string = coding
        .encode_entry(&event, Recipients::Channel(&one))
        .unwrap();
    assert_eq!(
        string[12..],
        *b"\x82\xa4type\xa1t\xb0__asgi_channel__\xadspecific.ab!1"
    );
    let list = coding
        .encode_entry(&event, Recipients::Members(&both[..1]))
        .unwrap();
    assert_eq!(
        list[12..],
        *b"\x82\xa4type\xa1t\xb0__asgi_channel__\x91\xadspecific.ab!1"
    );
}

#[test]
fn an_event_that_names_recipients_itself_is_refused() {
    let event = Envelope::from_bytes(&b"\x82\xa4type\xa1t\xb0__asgi_channel__\xa1x"[..]);

    let refused = Coding::default().encode_entry(&event, Recipients::Queue);

    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("__asgi_channel__")
    );
}

#[test]
fn names_belong_to_the_hosts_of_python() {
    for Hashed { value, hosts } in vectors().hash {
        for (count, expected) in hosts {
            assert_eq!(
                crate::redis_link::Hosts::independent(count).of(&value),
                expected,
                "{value} of {count}"
            );
        }
    }
}

#[test]
fn capacities_are_those_of_python() {
    let Capacity {
        default,
        patterns,
        lookups,
    } = vectors().capacity;
    let capacities = Capacities { default, patterns };
    for (name, expected) in lookups {
        let channel = ChannelName::new(name.as_str()).expect("valid in Python");
        assert_eq!(capacities.of(&channel), expected, "{name}");
    }
}

#[test]
fn a_score_has_six_decimals_which_a_double_distinguishes() {
    let time = Duration::new(1_795_342_567, 42_000);

    assert_eq!(score(time), "1795342567.000042");
    let next = score(time + Duration::from_micros(1));
    let as_double = |score: &str| score.parse::<f64>().unwrap();
    assert!(as_double(&next) > as_double(&score(time)));
}

#[test]
fn names_are_valid_as_in_python() {
    // Python accepts a newline at the end, and letters and digits of all scripts in some places.
    let is_quirk = |name: &str| !name.is_ascii() || name.ends_with('\n');
    let Vectors {
        channels, groups, ..
    } = vectors();
    for NameVector { name, valid } in channels {
        let expected = valid && !is_quirk(&name);
        assert_eq!(
            ChannelName::new(name.as_str()).is_ok(),
            expected,
            "channel {name:?}"
        );
    }
    for NameVector { name, valid } in groups {
        let expected = valid && !is_quirk(&name);
        assert_eq!(
            GroupName::new(name.as_str()).is_ok(),
            expected,
            "group {name:?}"
        );
    }
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON")
}

/// A value of Python whose maps keep their order. In the vectors, `$bytes_hex` stands for bytes,
/// `$tuple` for a tuple and `$float` for a number that is not finite.
enum Python {
    Scalar(Value),
    Float(f64),
    Bytes(Vec<u8>),
    List(Vec<Python>),
    Map(Vec<(String, Python)>),
}

impl Serialize for Python {
    fn serialize<S: Serialization>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(value) => value.serialize(to),
            Self::Float(number) => to.serialize_f64(*number),
            Self::Bytes(bytes) => to.serialize_bytes(bytes),
            Self::List(values) => values.serialize(to),
            Self::Map(entries) => {
                let mut map = to.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Python {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Python;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Python, E> {
                Ok(Python::Scalar(Value::Null))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Python, E> {
                Ok(Python::Scalar(value.into()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Python, E> {
                Ok(Python::Scalar(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Python, E> {
                Ok(Python::Scalar(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Python, E> {
                Ok(Python::Scalar(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Python, E> {
                Ok(Python::Scalar(value.into()))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Python, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Python::List(values))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Python, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Python>()? {
                    match (key.as_str(), value) {
                        ("$bytes_hex", Python::Scalar(hex)) => {
                            let hex = hex.as_str().unwrap_or_default().as_bytes();
                            return Ok(Python::Bytes(HEXLOWER.decode(hex).expect("hexadecimal")));
                        }
                        ("$float", Python::Scalar(number)) => {
                            let number = number.as_str().unwrap_or_default();
                            return Ok(Python::Float(number.parse().expect("a number")));
                        }
                        ("$tuple", list) => return Ok(list),
                        (_, value) => entries.push((key, value)),
                    }
                }
                Ok(Python::Map(entries))
            }
        }

        from.deserialize_any(Visitor)
    }
}
