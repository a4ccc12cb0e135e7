//! Differences that are sent together, and their events, encoded; and what a consumer receives of
//! an event that it cannot decode.

use super::replica::{Difference, Person};
use super::store::PersonKey;
use crate::{
    channels::{Envelope, messagepack},
    name::GroupName,
};
use bytes::Bytes;
use std::{collections::HashMap, mem};

/// The number of arrays and maps around a meta in an event.
const AROUND_META: usize = 3;

/// Differences that have not been sent yet: one for each person.
#[derive(Default)]
pub(super) struct PendingDifferences {
    differences: Vec<Difference>,
    indexes: HashMap<PersonKey, usize>,
}

impl PendingDifferences {
    /// Adds a difference, unless it is of a person whose meta this process cannot decode. Returns it
    /// if the others have to be sent first, because joins and leaves are sent each.
    pub(super) fn add(&mut self, difference: Difference) -> Option<Difference> {
        let key = match &difference {
            Difference::Joined(_, Person { meta: None, .. })
            | Difference::Updated(_, Person { meta: None, .. }) => return None,
            Difference::Joined(key, _) | Difference::Updated(key, _) | Difference::Left(key) => key,
        };
        let Some(index) = self.indexes.get(key) else {
            self.indexes.insert(key.clone(), self.differences.len());
            self.differences.push(difference);
            return None;
        };
        match (&mut self.differences[*index], difference) {
            (
                Difference::Joined(_, pending) | Difference::Updated(_, pending),
                Difference::Updated(_, person),
            ) => {
                *pending = person;
                None
            }
            (_, difference) => Some(difference),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// Takes all differences, as an encoded [`PresenceEvent::Changes`](super::PresenceEvent).
    pub(super) fn take(&mut self, group: &GroupName) -> Envelope {
        self.indexes.clear();
        let (mut joined, mut updated, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for difference in mem::take(&mut self.differences) {
            match difference {
                Difference::Joined(key, person) => joined.push((key, person)),
                Difference::Updated(key, person) => updated.push((key, person)),
                Difference::Left(key) => left.push(key),
            }
        }
        let lists = [!joined.is_empty(), !updated.is_empty(), !left.is_empty()];
        let mut out = MessagePackWriter::default();
        out.map(1 + lists.into_iter().filter(|is_there| *is_there).count());
        out.text("presence");
        out.text(group.as_str());
        for (name, people) in [("joined", joined), ("updated", updated)] {
            if !people.is_empty() {
                out.people(name, people.iter().map(|(key, person)| (key, person)));
            }
        }
        if !left.is_empty() {
            out.text("left");
            out.array(left.len());
            for key in left {
                out.map(1);
                out.text("key");
                out.text(&key);
            }
        }
        Envelope::from_bytes(out.0)
    }
}

/// Returns the whole list as an encoded [`PresenceEvent::State`](super::PresenceEvent), without those
/// whose meta this process cannot decode.
pub(super) fn state(group: &GroupName, people: &HashMap<PersonKey, Person>) -> Envelope {
    let mut out = MessagePackWriter::default();
    out.map(2);
    out.text("presence");
    out.text(group.as_str());
    out.people("state", people);
    Envelope::from_bytes(out.0)
}

/// Checks that these bytes are one value that an event can contain as a meta.
pub(in crate::channels) fn check_meta(meta: &[u8]) -> Result<(), &'static str> {
    match messagepack::skip_inside(meta, AROUND_META)? {
        [] => Ok(()),
        _ => Err("it is more than one value"),
    }
}

/// The part of an event that a consumer can decode.
pub(in crate::channels) struct DecodablePart {
    pub(in crate::channels) group: GroupName,
    pub(in crate::channels) event: Vec<u8>,
    /// The number of people that are not in it.
    pub(in crate::channels) left_out: u64,
}

impl DecodablePart {
    /// Removes each person whom a consumer cannot decode in an event of their own; returns `None`
    /// if there is none, or this is no event of presence.
    pub(in crate::channels) fn of(
        event: &[u8],
        is_decodable: impl Fn(&[u8]) -> bool,
    ) -> Option<Self> {
        let (count, entries) = messagepack::open_map(event)?;
        let (name, mut rest) = messagepack::split(entries.strip_prefix(b"\xa8presence")?)?;
        let head = &entries[..entries.len() - rest.len()];
        let mut out = MessagePackWriter::default();
        out.map(usize::try_from(count).ok().filter(|count| *count <= 4)?);
        out.0.extend(head);
        let mut left_out = 0;
        for _ in 1..count {
            let (key, others) = messagepack::split(rest)?;
            let (list, others) = messagepack::split(others)?;
            rest = others;
            let mut people = messagepack::elements(list)?;
            if key != b"\xa4left" {
                let before = people.len();
                people.retain(|person| {
                    is_decodable(&[&[0x82], head, key, &[0x91], *person].concat())
                });
                left_out += before - people.len();
            }
            out.0.extend(key);
            out.array(people.len());
            people.iter().for_each(|person| out.0.extend(*person));
        }
        (left_out > 0).then_some(Self {
            group: messagepack::decode(name).ok()?,
            event: out.0,
            left_out: left_out as u64,
        })
    }
}

/// Writes MessagePack, since the metas are encoded already.
#[derive(Default)]
struct MessagePackWriter(Vec<u8>);

impl MessagePackWriter {
    fn map(&mut self, entries: usize) {
        self.0
            .push(0x80 | u8::try_from(entries & 0xf).expect("four bits"));
    }

    fn array(&mut self, items: usize) {
        match u16::try_from(items) {
            Ok(items @ 0..16) => self.0.push(0x90 | items.to_be_bytes()[1]),
            Ok(items) => {
                self.0.push(0xdc);
                self.0.extend(items.to_be_bytes());
            }
            Err(_) => {
                self.0.push(0xdd);
                let items = u32::try_from(items).unwrap_or(u32::MAX);
                self.0.extend(items.to_be_bytes());
            }
        }
    }

    /// Writes a text of at most 64 KiB.
    fn text(&mut self, text: &str) {
        match u16::try_from(text.len()) {
            Ok(length @ 0..32) => self.0.push(0xa0 | length.to_be_bytes()[1]),
            Ok(length) => {
                self.0.push(0xda);
                self.0.extend(length.to_be_bytes());
            }
            Err(_) => unreachable!("names and keys are shorter"),
        }
        self.0.extend(text.as_bytes());
    }

    /// Writes an entry of a map: those of these people whose meta this process can decode.
    fn people<'a>(
        &mut self,
        name: &str,
        people: impl IntoIterator<Item = (&'a PersonKey, &'a Person)>,
    ) {
        let people = people.into_iter();
        let people =
            people.filter_map(|(key, person)| Some((key, person.count, person.meta.as_ref()?)));
        let people: Vec<_> = people.collect();
        self.text(name);
        self.array(people.len());
        for (key, count, meta) in people {
            self.person(key, count, meta);
        }
    }

    fn person(&mut self, key: &PersonKey, count: u32, meta: &Bytes) {
        self.map(3);
        self.text("key");
        self.text(key);
        self.text("count");
        self.0.push(0xce);
        self.0.extend(count.to_be_bytes());
        self.text("meta");
        self.0.extend(meta);
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{Left, PresenceEvent, Present};
    use super::*;

    fn person(count: u32, meta: &str) -> Person {
        Person {
            count,
            stamp: 1,
            meta: Some(rmp_serde::to_vec_named(meta).unwrap().into()),
        }
    }

    fn present(key: &str, count: u32, meta: &str) -> Present<String> {
        Present {
            key: key.to_owned(),
            count,
            meta: meta.to_owned(),
        }
    }

    fn decoded(envelope: Envelope) -> PresenceEvent<String> {
        (*envelope.decode::<PresenceEvent<String>>().unwrap()).clone()
    }

    #[test]
    fn changes_of_one_person_are_sent_as_one_unless_they_join_or_leave_again() {
        let group = GroupName::new("lot.7").unwrap();
        let mut batch = PendingDifferences::default();
        let joined = |key: &str, count| Difference::Joined(key.into(), person(count, "m"));
        let updated = |key: &str, count, meta| Difference::Updated(key.into(), person(count, meta));
        assert!(batch.add(joined("ana", 1)).is_none());
        assert!(batch.add(updated("ana", 2, "n")).is_none());
        assert!(batch.add(updated("bo", 5, "m")).is_none());
        assert!(batch.add(Difference::Left("cy".into())).is_none());

        let again = batch.add(Difference::Left("ana".into()));
        assert_eq!(again, Some(Difference::Left("ana".into())));
        assert!(batch.add(joined("cy", 1)).is_some());

        assert_eq!(
            decoded(batch.take(&group)),
            PresenceEvent::Changes {
                group: group.clone(),
                joined: vec![present("ana", 2, "n")],
                updated: vec![present("bo", 5, "m")],
                left: vec![Left {
                    key: "cy".to_owned()
                }],
            }
        );
        assert!(batch.is_empty());
        assert!(batch.add(joined("cy", 1)).is_none());
    }

    #[test]
    fn people_whose_meta_is_unknown_are_in_no_event() {
        let group = GroupName::new("lot.7").unwrap();
        let unknown = Person {
            meta: None,
            ..person(1, "m")
        };
        let mut batch = PendingDifferences::default();
        batch.add(Difference::Joined("ana".into(), unknown.clone()));
        batch.add(Difference::Updated("bo".into(), unknown.clone()));
        assert!(batch.is_empty());

        let people = [("ana", unknown), ("bo", person(1, "m"))];
        let people = people.map(|(key, person)| (PersonKey::from(key), person));
        let PresenceEvent::State { people, .. } = decoded(state(&group, &people.into())) else {
            panic!("not a state");
        };
        assert_eq!(people, [present("bo", 1, "m")]);
    }

    #[test]
    fn only_people_whom_a_consumer_cannot_decode_are_left_out_of_an_event() {
        let group = GroupName::new("lot.7").unwrap();
        let number = Person {
            meta: Some(vec![7].into()),
            ..person(1, "m")
        };
        let mut batch = PendingDifferences::default();
        batch.add(Difference::Joined("ana".into(), number.clone()));
        batch.add(Difference::Joined("bo".into(), person(1, "m")));
        batch.add(Difference::Updated("cy".into(), number.clone()));
        batch.add(Difference::Left("di".into()));
        let changes = batch.take(&group);
        let state = state(&group, &HashMap::from([("ana".into(), number)]));
        let part = |event: &Envelope| {
            let part = DecodablePart::of(event.as_bytes(), |event| {
                messagepack::decode::<PresenceEvent<String>>(event).is_ok()
            })
            .unwrap();
            assert_eq!(part.group, group);
            (decoded(Envelope::from_bytes(part.event)), part.left_out)
        };

        let joined = PresenceEvent::Changes {
            group: group.clone(),
            joined: vec![present("bo", 1, "m")],
            updated: Vec::new(),
            left: vec![Left {
                key: "di".to_owned(),
            }],
        };
        assert_eq!(part(&changes), (joined, 2));
        let nobody = PresenceEvent::State {
            group: group.clone(),
            people: Vec::new(),
        };
        assert_eq!(part(&state), (nobody, 1));
        for event in [&b"\x81\xa4type\xa1x"[..], b"\x82\xa8presence\xa1t", b""] {
            assert!(DecodablePart::of(event, |_| false).is_none(), "{event:?}");
        }
    }

    #[test]
    fn a_meta_is_one_value_that_is_not_nested_too_deeply_for_its_event() {
        let nested = |levels: usize| [vec![0x91; levels], vec![0xc0]].concat();
        for (meta, is_meta) in [
            (nested(125), true),
            (nested(126), false),
            (b"gAAAAABnk3Vt".to_vec(), false),
            (Vec::new(), false),
        ] {
            assert_eq!(check_meta(&meta).is_ok(), is_meta, "{meta:?}");
        }
        let people = HashMap::from([(
            "ana".into(),
            Person {
                meta: Some(nested(125).into()),
                ..person(1, "m")
            },
        )]);
        let event = state(&GroupName::new("lot.7").unwrap(), &people);
        assert_eq!(messagepack::check(event.as_bytes()), Ok(()));
    }

    #[test]
    fn a_list_of_any_length_is_encoded() {
        let group = GroupName::new("t".repeat(99)).unwrap();
        for length in [0, 1, 15, 16, 70_000] {
            let people = (0..length).map(|number| (number.to_string().into(), person(1, "m")));
            let people: HashMap<PersonKey, Person> = people.collect();
            let PresenceEvent::State { people, .. } = decoded(state(&group, &people)) else {
                panic!("not a state");
            };
            assert_eq!(people.len(), length);
        }
    }
}
