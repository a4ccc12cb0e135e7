//! Reading the list of a group in parts: it may be larger than one value of Redis may be.

use super::{
    super::coding::redis_time,
    host::PresenceHost,
    inbox::{person_key, record},
};
use crate::{
    channels::local_presence::store::{PersonKey, Record, Snapshot, Version},
    error::{Error, ErrorKind, Result},
    name::GroupName,
    redis_link::Up,
};
use std::collections::HashMap;

/// More than the bytes of a person: a key, and an encrypted meta of 16 KiB.
const LARGEST_PERSON: usize = 32 * 1024;

/// The number of entries that are read at once of those that say who is connected where.
const COUNTS_AT_ONCE: usize = 1000;

/// One part of a list.
struct ListPart {
    /// That of the list before this part was read.
    version: Version,
    people: Vec<(PersonKey, Record)>,
    /// Where the next part begins; 0 if there is none.
    next: u64,
    /// The connection that it was read on.
    up: Up,
}

impl PresenceHost {
    /// Returns the list of a group, at least as new as its version: what changes while it is read
    /// may be in it. All changes after the version are published, so a receiver that applies them
    /// has the current list.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if Redis refuses.
    pub(super) async fn read(&self, group: &GroupName) -> Result<Snapshot> {
        let mut first = self.read_part(group, 0).await?;
        let mut next = first.next;
        let mut people: HashMap<_, _> = first.people.drain(..).collect();
        while next != 0 {
            let part = self.read_part(group, next).await?;
            // Another list, or maybe another run of Redis, has other parts.
            if part.version.epoch == first.version.epoch
                && part.up.generation == first.up.generation
            {
                people.extend(part.people);
                next = part.next;
            } else {
                first = self.read_part(group, 0).await?;
                next = first.next;
                people = first.people.drain(..).collect();
            }
        }
        Ok(Snapshot {
            version: first.version,
            people: people.into_iter().collect(),
            run: first.up.run_id,
        })
    }

    /// Returns the people of whom Redis has connections of this process.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`](crate::ErrorKind::Layer) if Redis refuses.
    pub(super) async fn own(&self, group: &GroupName) -> Result<Vec<PersonKey>> {
        let process = &self.process;
        let key = self.keys.connections(group);
        let mut number = redis::pipe();
        number.cmd("HGET").arg(&key).arg(format!("#{process}"));
        let (number,) = self.run::<(Option<Vec<u8>>,)>(&number).await?;
        let (mut own, mut next) = (Vec::new(), number.map(|_| 0));
        while let Some(from) = next {
            let mut part = redis::pipe();
            part.cmd("HSCAN")
                .arg(&key)
                .arg(from)
                .arg("COUNT")
                .arg(COUNTS_AT_ONCE);
            let ((from, fields),) = self.run::<((u64, Vec<(Vec<u8>, Vec<u8>)>),)>(&part).await?;
            own.extend(
                fields
                    .iter()
                    .filter_map(|(field, _)| person_key(field.strip_prefix(process.as_bytes())?)),
            );
            next = (from != 0).then_some(from);
        }
        Ok(own)
    }

    async fn read_part(&self, group: &GroupName, from: u64) -> Result<ListPart> {
        type Reply = (
            (u64, u32),
            [Option<Vec<u8>>; 2],
            (u64, Vec<(Vec<u8>, Vec<u8>)>),
            Vec<u8>,
        );
        let key = self.keys.people(group.as_str());
        let mut pipe = redis::pipe();
        pipe.cmd("TIME");
        pipe.cmd("HMGET").arg(&key).arg("e").arg("s");
        pipe.cmd("HSCAN")
            .arg(&key)
            .arg(from)
            .arg("COUNT")
            .arg((self.coding.max_batch() / LARGEST_PERSON).max(1));
        // The replies name no list, and all lists share the connection. This one is the right one
        // only if those before it are, too.
        pipe.cmd("PING").arg(&key);
        let ((time, version, (next, fields), pong), up) = self.run_on::<Reply>(&pipe).await?;
        if pong != key.as_bytes() {
            self.link.replace_shifted(up.generation);
            let message = "Redis has returned the list of another presence; check the proxy between this process and Redis";
            return Err(Error::new(ErrorKind::Layer, message));
        }
        let now = u64::try_from(redis_time(time).as_millis()).unwrap_or(u64::MAX);
        let [epoch, number] = version.map(|text| {
            let text = String::from_utf8(text?).ok()?;
            text.parse().ok()
        });
        let people = fields.iter().filter_map(|(field, packed)| {
            let key = person_key(field.strip_prefix(b"k")?)?;
            let mut record = record(packed, now, group, &self.coding)?;
            // It may end later by the clock of Redis, if that has been set back since.
            record.grace = record.grace.min(self.times.grace);
            Some((key, record))
        });
        Ok(ListPart {
            version: Version {
                epoch: epoch.unwrap_or(0),
                number: number.unwrap_or(0),
            },
            people: people.collect(),
            next,
            up,
        })
    }
}
