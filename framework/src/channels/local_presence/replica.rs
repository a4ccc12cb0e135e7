//! The list of one group as this process has it, and the rules by which it follows the store.

use super::store::{Changes, PersonKey, PresenceChange, Record, Snapshot, Version};
use bytes::Bytes;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// The number of people that are removed in one step.
const MOST_EXPIRED: usize = 1000;

/// The list of a group, as the members of this process have received it.
#[derive(Default)]
pub(super) struct Replica {
    version: Option<Version>,
    /// The run of the store that it was read from.
    run: Option<Arc<str>>,
    people: HashMap<PersonKey, Person>,
    /// When the grace times end.
    expiries: Deadlines,
    /// Until when those are kept whom a store that has lost data does not have: then they have left,
    /// unless a process says before that it has them.
    missing: Deadlines,
}

/// The times at which something is to be done about people, in order: few of them have such a time.
#[derive(Default)]
struct Deadlines {
    by_key: HashMap<PersonKey, Instant>,
    in_order: BTreeSet<(Instant, PersonKey)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    pub(super) count: u32,
    pub(super) stamp: u64,
    /// `None` if this process cannot decode it: consumers do not receive this person.
    pub(super) meta: Option<Bytes>,
}

/// A difference between two states of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    Joined(PersonKey, Person),
    Updated(PersonKey, Person),
    Left(PersonKey),
}

/// What a change is to a replica.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It was applied, with these differences.
    Next(Vec<Difference>),
    /// It was known.
    Old,
    /// Changes before it are missing: the list is to be read again.
    Gap,
}

impl Replica {
    /// Applies a change.
    pub(super) fn apply(&mut self, changes: Changes, now: Instant) -> Applied {
        let Some(version) = self.version else {
            return Applied::Gap;
        };
        if changes.version.epoch != version.epoch {
            return Applied::Gap;
        }
        if changes.version.number <= version.number {
            return Applied::Old;
        }
        if changes.version.number > version.number + 1 {
            return Applied::Gap;
        }
        self.version = Some(changes.version);
        let changes = changes.changes.into_iter();
        Applied::Next(
            changes
                .filter_map(|PresenceChange { key, record }| match record {
                    Some(record) => self.set(key, record, now),
                    None => self.remove(key),
                })
                .collect(),
        )
    }

    /// Replaces the list by that of the store. If the store has lost data, people whom it does not
    /// have are kept for `missing_grace`.
    pub(super) fn replace(
        &mut self,
        snapshot: Snapshot,
        missing_grace: Duration,
        now: Instant,
    ) -> Vec<Difference> {
        let Snapshot {
            version,
            people,
            run,
        } = snapshot;
        let is_continued = self.version.is_none_or(|before| {
            before.epoch == version.epoch && before.number <= version.number && run == self.run
        });
        self.version = Some(version);
        self.run = run;
        let mut missing: HashMap<PersonKey, ()> =
            self.people.keys().cloned().map(|key| (key, ())).collect();
        let mut differences = Vec::new();
        for (key, record) in people {
            missing.remove(&key);
            differences.extend(self.set(key, record, now));
        }
        for (key, ()) in missing {
            let is_over = self.expiries.get(&key).is_some_and(|at| at <= now);
            if is_continued || is_over {
                differences.extend(self.remove(key));
                continue;
            }
            self.expiries.remove(&key);
            // An earlier one ends earlier.
            if self.missing.get(&key).is_none() {
                self.missing.set(key, now + missing_grace);
            }
        }
        differences
    }

    fn set(&mut self, key: PersonKey, record: Record, now: Instant) -> Option<Difference> {
        let Record {
            count,
            grace,
            stamp,
            meta,
        } = record;
        let person = Person { count, stamp, meta };
        self.missing.remove(&key);
        match person.count {
            0 => self.expiries.set(key.clone(), now + grace),
            _ => self.expiries.remove(&key),
        }
        match self.people.insert(key.clone(), person.clone()) {
            None => Some(Difference::Joined(key, person)),
            Some(before) if before.count == person.count && before.meta == person.meta => None,
            Some(_) => Some(Difference::Updated(key, person)),
        }
    }

    fn remove(&mut self, key: PersonKey) -> Option<Difference> {
        self.expiries.remove(&key);
        self.missing.remove(&key);
        self.people.remove(&key).map(|_| Difference::Left(key))
    }

    /// Removes the people whom a store that has lost data did not get back in time.
    pub(super) fn expire_missing(&mut self, now: Instant) -> Vec<Difference> {
        let over = self.missing.until(now);
        let over: Vec<PersonKey> = over.map(|(_, key)| key.clone()).collect();
        over.into_iter()
            .filter_map(|key| self.remove(key))
            .collect()
    }

    /// Returns those whose grace time is over, later by what `delay` returns for each: as many as
    /// are removed in one step.
    pub(super) fn expired(
        &self,
        now: Instant,
        delay: impl Fn(&PersonKey) -> Duration,
    ) -> Vec<PersonKey> {
        let expired = self.expiries.until(now);
        expired
            .filter(|(at, key)| *at + delay(key) <= now)
            .map(|(_, key)| key.clone())
            .take(MOST_EXPIRED)
            .collect()
    }

    /// Has those who are still in their grace time checked again later.
    pub(super) fn postpone(&mut self, keys: &[PersonKey], until: Instant) {
        for key in keys {
            if let Some(at) = self.expiries.get(key) {
                self.expiries.set(key.clone(), until.max(at));
            }
        }
    }

    /// Returns when the next grace time ends, later by what `delay` returns for each person.
    pub(super) fn next_expiry(&self, delay: impl Fn(&PersonKey) -> Duration) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        for (at, key) in &self.expiries.in_order {
            if next.is_some_and(|next| next <= *at) {
                break;
            }
            let end = *at + delay(key);
            next = Some(next.map_or(end, |next| next.min(end)));
        }
        next
    }

    /// Returns when the first of the missing people counts as having left.
    pub(super) fn next_missing_expiry(&self) -> Option<Instant> {
        let first = self.missing.in_order.first();
        first.map(|(at, _)| *at)
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.version
    }

    /// Returns whether a person has no connections, and is still listed.
    pub(super) fn is_in_grace(&self, key: &PersonKey) -> bool {
        self.people.get(key).is_some_and(|person| person.count == 0)
    }

    pub(super) fn people(&self) -> &HashMap<PersonKey, Person> {
        &self.people
    }
}

impl Deadlines {
    fn get(&self, key: &PersonKey) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    fn set(&mut self, key: PersonKey, at: Instant) {
        self.remove(&key);
        self.by_key.insert(key.clone(), at);
        self.in_order.insert((at, key));
    }

    fn remove(&mut self, key: &PersonKey) {
        if let Some((key, at)) = self.by_key.remove_entry(key) {
            self.in_order.remove(&(at, key));
        }
    }

    /// Returns those whose time has come, the earliest first.
    fn until(&self, now: Instant) -> impl Iterator<Item = &(Instant, PersonKey)> {
        self.in_order.iter().take_while(move |(at, _)| *at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn record(count: u32, meta: &'static str) -> Record {
        Record {
            count,
            grace: Duration::from_secs(3),
            stamp: 1,
            meta: Some(meta.into()),
        }
    }

    fn snapshot(epoch: u64, number: u64, people: &[(&str, u32)]) -> Snapshot {
        let people = people.iter();
        Snapshot {
            version: Version { epoch, number },
            people: people
                .map(|(key, count)| ((*key).into(), record(*count, "m")))
                .collect(),
            run: None,
        }
    }

    fn change(epoch: u64, number: u64, key: &str, count: Option<u32>) -> Changes {
        Changes {
            version: Version { epoch, number },
            changes: vec![PresenceChange {
                key: key.into(),
                record: count.map(|count| record(count, "m")),
            }],
        }
    }

    /// Returns the differences in short: + joined, ~ updated, - left.
    fn short(differences: Vec<Difference>) -> String {
        let mut short: Vec<_> = differences
            .into_iter()
            .map(|difference| match difference {
                Difference::Joined(key, person) => format!("+{key}{}", person.count),
                Difference::Updated(key, person) => format!("~{key}{}", person.count),
                Difference::Left(key) => format!("-{key}"),
            })
            .collect();
        short.sort();
        short.join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn changes_apply_in_order_once_and_never_over_a_gap() {
        let now = Instant::now();
        let mut replica = Replica::default();
        assert_eq!(
            replica.apply(change(1, 1, "ana", Some(1)), now),
            Applied::Gap
        );
        assert_eq!(
            short(replica.replace(snapshot(1, 4, &[("ana", 1)]), PATIENCE, now)),
            "+ana1"
        );

        for (epoch, number, key, count, expected) in [
            (1, 4, "ana", None, "old"),
            (1, 5, "bo", Some(1), "+bo1"),
            (1, 5, "bo", Some(1), "old"),
            (1, 6, "bo", Some(2), "~bo2"),
            (1, 7, "bo", Some(2), ""),
            (1, 9, "cy", Some(1), "gap"),
            (2, 8, "cy", Some(1), "gap"),
            (1, 8, "bo", None, "-bo"),
            (1, 9, "bo", None, ""),
        ] {
            let applied = match replica.apply(change(epoch, number, key, count), now) {
                Applied::Next(differences) => short(differences),
                Applied::Old => "old".to_owned(),
                Applied::Gap => "gap".to_owned(),
            };
            assert_eq!(applied, expected, "{epoch}:{number} {key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_gap_each_join_and_leave_is_sent_once() {
        let now = Instant::now();
        let mut replica = Replica::default();
        replica.replace(
            snapshot(1, 4, &[("ana", 1), ("bo", 1), ("cy", 1)]),
            PATIENCE,
            now,
        );

        let differences = replica.replace(
            snapshot(1, 9, &[("ana", 1), ("bo", 2), ("di", 1)]),
            PATIENCE,
            now,
        );

        assert_eq!(short(differences), "+di1 -cy ~bo2");
    }

    #[tokio::test(start_paused = true)]
    async fn people_missing_after_data_loss_are_kept_until_the_lease_ends() {
        for (lost, why) in [
            (snapshot(2, 9, &[("ana", 1)]), "another list"),
            (snapshot(1, 3, &[("ana", 1)]), "an older one"),
        ] {
            let now = Instant::now();
            let mut replica = Replica::default();
            replica.replace(
                snapshot(1, 4, &[("ana", 1), ("bo", 1), ("cy", 1)]),
                PATIENCE,
                now,
            );

            let version = lost.version;
            assert_eq!(short(replica.replace(lost, PATIENCE, now)), "", "{why}");
            let back = change(version.epoch, version.number + 1, "bo", Some(1));
            assert_eq!(replica.apply(back, now), Applied::Next(Vec::new()), "{why}");
            assert_eq!(replica.next_missing_expiry(), Some(now + PATIENCE));
            assert_eq!(short(replica.expire_missing(now + PATIENCE / 2)), "");
            assert_eq!(
                short(replica.expire_missing(now + PATIENCE)),
                "-cy",
                "{why}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn another_run_of_the_store_may_have_lost_data_whatever_its_version_says() {
        let now = Instant::now();
        let mut replica = Replica::default();
        let run = |run: &str, snapshot| Snapshot {
            run: Some(run.into()),
            ..snapshot
        };
        replica.replace(run("one", snapshot(1, 4, &[("bo", 1)])), PATIENCE, now);

        let differences = replica.replace(run("two", snapshot(1, 5, &[])), PATIENCE, now);

        assert_eq!(short(differences), "");
        assert_eq!(short(replica.expire_missing(now + PATIENCE)), "-bo");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_without_a_connection_is_due_after_the_grace_time() {
        let now = Instant::now();
        let mut replica = Replica::default();
        replica.replace(snapshot(1, 1, &[("ana", 1), ("bo", 0)]), PATIENCE, now);
        let (none, second) = (
            |_: &PersonKey| Duration::ZERO,
            |_: &PersonKey| Duration::from_secs(1),
        );
        let end = now + Duration::from_secs(3);

        assert_eq!(replica.next_expiry(none), Some(end));
        assert!(replica.expired(now, none).is_empty());
        assert!(replica.expired(end, second).is_empty());
        assert_eq!(replica.expired(end, none), [PersonKey::from("bo")]);

        replica.postpone(&[PersonKey::from("bo")], end + PATIENCE);
        assert!(replica.expired(end, none).is_empty());
        replica.apply(change(1, 2, "bo", Some(1)), now);
        assert_eq!(replica.next_expiry(none), None, "back in time");
    }
}
