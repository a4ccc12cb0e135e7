//! Differences that are sent together, and their events, encoded.

use super::replica::{Difference, Person};
use super::store::PersonKey;
use crate::{channels::Envelope, name::GroupName};
use std::{collections::HashMap, mem};

/// Differences that have not been sent yet: one for each person.
#[derive(Default)]
pub(super) struct PendingDifferences {
    differences: Vec<Difference>,
    indexes: HashMap<PersonKey, usize>,
}

impl PendingDifferences {
    /// Adds a difference. Returns it if the others have to be sent first, because joins and leaves
    /// are sent each.
    pub(super) fn add(&mut self, difference: Difference) -> Option<Difference> {
        let key = match &difference {
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
                out.text(name);
                out.array(people.len());
                people
                    .iter()
                    .for_each(|(key, person)| out.person(key, person));
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

/// Returns the whole list as an encoded [`PresenceEvent::State`](super::PresenceEvent).
pub(super) fn state(group: &GroupName, people: &HashMap<PersonKey, Person>) -> Envelope {
    let mut out = MessagePackWriter::default();
    out.map(2);
    out.text("presence");
    out.text(group.as_str());
    out.text("state");
    out.array(people.len());
    people
        .iter()
        .for_each(|(key, person)| out.person(key, person));
    Envelope::from_bytes(out.0)
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

    fn person(&mut self, key: &PersonKey, person: &Person) {
        self.map(3);
        self.text("key");
        self.text(key);
        self.text("count");
        self.0.push(0xce);
        self.0.extend(person.count.to_be_bytes());
        self.text("meta");
        self.0.extend(&person.meta);
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
            meta: rmp_serde::to_vec_named(meta).unwrap().into(),
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
