//! The store of presence inside one process.

use super::store::{
    Changes, Declaration, Declared, PersonKey, PresenceChange, PresenceStore, Record, Sink,
    Snapshot, Totals, Version,
};
use crate::{error::Result, name::GroupName};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    future::pending,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

pub(super) struct MemoryStore {
    sink: Sink,
    grace: Duration,
    groups: Mutex<HashMap<GroupName, GroupTable>>,
}

/// The list of one group.
#[derive(Default)]
struct GroupTable {
    number: u64,
    people: HashMap<PersonKey, StoredPerson>,
    /// The number of open connections.
    connections: u64,
}

struct StoredPerson {
    record: Record,
    /// When the grace time ends, if there is no connection.
    until: Instant,
}

impl MemoryStore {
    pub(super) fn new(sink: Sink, grace: Duration) -> Self {
        Self {
            sink,
            grace,
            groups: Mutex::default(),
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<GroupName, GroupTable>> {
        self.groups
            .lock()
            .expect("no code panics while it holds this lock")
    }

    /// Changes a list, and passes the changes on; returns the version.
    fn change(
        &self,
        group: &GroupName,
        change: impl FnOnce(&mut GroupTable) -> Vec<PresenceChange>,
    ) -> Version {
        let mut groups = self.groups();
        let table = groups.entry(group.clone()).or_default();
        let changes = change(table);
        table.number += u64::from(!changes.is_empty());
        let version = table.version();
        drop(groups);
        if !changes.is_empty() {
            self.sink.received(group, Changes { version, changes });
        }
        version
    }
}

impl GroupTable {
    /// It lasts as long as this process, or as it has people: an epoch has no purpose here.
    fn version(&self) -> Version {
        Version {
            epoch: 0,
            number: self.number,
        }
    }

    fn declare(&mut self, declaration: &Declaration, grace: Duration) -> Option<PresenceChange> {
        let Declaration {
            key, count, meta, ..
        } = declaration;
        let record = Record {
            count: *count,
            grace,
            stamp: self.number + 1,
            meta: Some(meta.clone()),
        };
        match self.people.get_mut(key) {
            None if *count == 0 => return None,
            Some(StoredPerson { record: before, .. })
                if before.count == record.count && before.meta == record.meta =>
            {
                return None;
            }
            _ => {}
        }
        let before = self.people.get(key).map_or(0, |person| person.record.count);
        self.connections = self.connections + u64::from(record.count) - u64::from(before);
        let person = StoredPerson {
            record: record.clone(),
            until: Instant::now() + grace,
        };
        self.people.insert(key.clone(), person);
        Some(PresenceChange {
            key: key.clone(),
            record: Some(record),
        })
    }

    fn expire(&mut self, key: &PersonKey) -> Option<PresenceChange> {
        let StoredPerson { record, until } = self.people.get(key)?;
        if record.count > 0 || *until > Instant::now() {
            return None;
        }
        self.people.remove(key);
        Some(PresenceChange {
            key: key.clone(),
            record: None,
        })
    }
}

#[async_trait]
impl PresenceStore for MemoryStore {
    async fn subscribe(&self, _: &GroupName) -> Result<u64> {
        Ok(0)
    }

    async fn lost(&self, _: &GroupName, _: u64) {
        pending().await
    }

    async fn own(&self, _: &GroupName) -> Result<Vec<PersonKey>> {
        // It ends with this process, and loses nothing.
        Ok(Vec::new())
    }

    async fn unsubscribe(&self, group: &GroupName) {
        // No subscriber is left, so no person is in it.
        self.groups().remove(group);
    }

    async fn read(&self, group: &GroupName) -> Result<Snapshot> {
        let groups = self.groups();
        let Some(table) = groups.get(group) else {
            return Ok(Snapshot {
                version: GroupTable::default().version(),
                people: Vec::new(),
                run: None,
            });
        };
        let now = Instant::now();
        let people = table
            .people
            .iter()
            .map(|(key, StoredPerson { record, until })| {
                let grace = until.saturating_duration_since(now);
                (
                    key.clone(),
                    Record {
                        grace,
                        ..record.clone()
                    },
                )
            });
        Ok(Snapshot {
            version: table.version(),
            people: people.collect(),
            run: None,
        })
    }

    async fn totals(&self, group: &GroupName) -> Result<Totals> {
        let groups = self.groups();
        Ok(groups
            .get(group)
            .map_or_else(Totals::default, |table| Totals {
                people: table.people.len() as u64,
                connections: table.connections,
            }))
    }

    async fn declare(&self, group: &GroupName, people: &[Declaration]) -> Result<Declared> {
        let version = self.change(group, |table| {
            let people = people.iter();
            people
                .filter_map(|declaration| table.declare(declaration, self.grace))
                .collect()
        });
        Ok(Declared::Stored(Some(version)))
    }

    async fn expire(&self, group: &GroupName, keys: &[PersonKey]) -> Result<Option<Version>> {
        let version = self.change(group, |table| {
            keys.iter().filter_map(|key| table.expire(key)).collect()
        });
        Ok(Some(version))
    }

    async fn refresh(&self, group: &GroupName) -> Result<Option<Version>> {
        Ok(self.groups().get(group).map(GroupTable::version))
    }

    fn refresh_every(&self) -> Option<Duration> {
        None
    }

    fn missing_grace(&self) -> Duration {
        self.grace
    }
}
