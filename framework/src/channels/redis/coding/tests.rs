//! Properties of both serializers, with and without encryption, over any bytes and any events.

use super::*;
use crate::channels::{Event, Position};
use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::Index,
};
use serde::Serialize;

/// Any event.
#[derive(Serialize, Deserialize)]
struct Relayed(Value);

impl Event for Relayed {}

fn encoded(event: &Value) -> Envelope {
    Envelope::encode(&Relayed(event.clone())).unwrap()
}

fn decoded(envelope: &Envelope) -> Value {
    envelope.decode_anew::<Relayed>().unwrap().0
}

fn codings() -> impl Iterator<Item = Coding> {
    [Serializer::MessagePack, Serializer::Json]
        .into_iter()
        .flat_map(|serializer| {
            [
                fernet::FernetKeys::default(),
                fernet::FernetKeys::new(["secret"]),
            ]
            .map(|keys| Coding {
                serializer,
                keys,
                ..Coding::default()
            })
        })
}

/// Reads everything that a process reads from an event of another one.
fn read(event: Bytes) {
    let envelope = Envelope::from_bytes(event);
    _ = (envelope.kind(), envelope.position());
    _ = envelope.decode_anew::<Relayed>();
}

/// Any event: a map with a `type`, a few levels deep.
fn event() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        "[a-z\\\\\"\u{7f}\u{e9}\u{1f680}]{30,300}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(4, 64, 20, |inner| {
        let list = vec(inner.clone(), 0..20).prop_map(Value::from);
        let map = vec((".{0,8}", inner), 0..20).prop_map(Value::from_iter);
        prop_oneof![list, map]
    });
    (".{1,20}", vec((".{0,8}", value), 0..20)).prop_map(|(kind, entries)| {
        let mut event = serde_json::Map::from_iter(entries);
        event.insert("type".into(), kind.into());
        Value::Object(event)
    })
}

fn position() -> impl Strategy<Value = Position> {
    (any::<u64>(), "[a-z0-9]{1,20}").prop_map(|(offset, epoch)| {
        let position = format!("{offset}:{epoch}");
        position.parse().expect("a position")
    })
}

/// Bytes that resemble what other processes send: an event in one of the encodings, with the
/// reserved keys and without, in which some bytes are other ones or missing; or noise.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let key = prop_oneof![
        Just("__asgi_channel__"),
        Just("__seaway_topic__"),
        Just("__seaway_except__"),
    ];
    let value = prop_oneof![
        "[a-z.!]{0,20}".prop_map(Value::from),
        vec("[a-z.!]{0,20}", 0..3).prop_map(Value::from),
        "[0-9]{0,21}:[a-z]{0,3}".prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
    ];
    let changes = vec((any::<Index>(), any::<u8>()), 0..3);
    let encoded = (event(), vec((key, value), 0..3), any::<bool>(), changes).prop_map(
        |(mut event, entries, is_json, changes)| {
            for (key, value) in entries {
                event[key] = value;
            }
            let mut bytes = match is_json {
                true => serde_json::to_vec(&event).expect("JSON"),
                false => rmp_serde::to_vec_named(&event).expect("MessagePack"),
            };
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                match byte {
                    0..16 => bytes.truncate(at.max(1)),
                    _ => bytes[at] = byte,
                }
            }
            bytes
        },
    );
    prop_oneof![1 => vec(any::<u8>(), 0..60), 4 => encoded]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn any_bytes_from_redis_are_an_event_or_skipped(bytes in anything()) {
        for coding in codings() {
            let mut forms = vec![bytes.clone()];
            forms.extend(coding.keys.encrypt(&bytes, since_epoch()).unwrap());
            for form in forms {
                let prefixed = [&[0; RANDOM_PREFIX][..], &form].concat();
                let entries = [&form, &prefixed].map(|entry| coding.decode_entry(entry));
                let events = entries.into_iter().flatten().map(|entry| entry.event);
                events.chain(coding.decode_published(form)).for_each(read);
            }
        }
    }

    #[test]
    fn any_event_arrives_as_it_was_sent(
        event in event(),
        at in position(),
        members in btree_set("[a-z]{1,9}", 1..3),
    ) {
        let plain = encoded(&event);
        let members: Vec<_> = members
            .iter()
            .map(|name| ChannelName::new(format!("specific.{name}!1")).unwrap())
            .collect();
        for coding in codings() {
            let published = coding.encode_published(&plain).unwrap();
            let received = coding.decode_published(published.into()).unwrap();
            prop_assert_eq!(&decoded(&Envelope::from_bytes(received)), &event);

            for (recipients, expected) in [
                (Recipients::Queue, &[][..]),
                (Recipients::Channel(&members[0]), &members[..1]),
                (Recipients::Members(&members), &members),
            ] {
                let entry = coding.encode_entry(&plain, recipients).unwrap();
                let entry = coding.decode_entry(&entry).unwrap();
                prop_assert_eq!(&entry.recipients, expected);
                let received = Envelope::from_bytes(entry.event);
                prop_assert_eq!(&decoded(&received), &event);
            }

            let Some(parts) = coding.encode_positioned(&plain).unwrap() else {
                continue;
            };
            // As Redis does in the script of a topic.
            let at_text = at.to_string();
            let mut bytes = parts.before.to_vec();
            if parts.has_length {
                bytes.extend([217, u8::try_from(at_text.len()).unwrap()]);
            }
            bytes.extend(at_text.bytes());
            bytes.extend(&parts.after);
            let received = Envelope::from_bytes(coding.decode_published(bytes).unwrap());
            prop_assert_eq!(received.position(), Some(&at));
            prop_assert_eq!(&decoded(&received), &event);
        }
    }

    #[test]
    fn an_event_for_all_but_one_channel_and_with_a_position_arrives_as_it_was_sent(
        event in event(),
        at in position(),
        name in "[a-z]{1,9}",
    ) {
        let channel = ChannelName::new(format!("specific.{name}!1")).unwrap();
        for coding in codings() {
            let sent = encoded(&event);
            for sent in [sent.clone().except(&channel), sent.at(&at)] {
                let published = coding.encode_published(&sent).unwrap();

                let received = coding.decode_published(published.into()).unwrap();

                let received = Envelope::from_bytes(received);
                prop_assert_eq!(received.excludes(&channel), sent.excludes(&channel));
                prop_assert_eq!(received.position(), sent.position());
                prop_assert_eq!(&decoded(&received), &event);
            }
        }
    }
}
