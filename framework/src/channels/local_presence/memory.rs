//! The store of presence inside one process.

use super::store::{
    Change, Changes, Declaration, Declared, Key, Record, Sink, Snapshot, Store, Totals, Version,
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
    topics: Mutex<HashMap<GroupName, TopicTable>>,
}

/// The list of one topic.
#[derive(Default)]
struct TopicTable {
    number: u64,
    people: HashMap<Key, StoredPerson>,
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
            topics: Mutex::default(),
        }
    }

    fn topics(&self) -> MutexGuard<'_, HashMap<GroupName, TopicTable>> {
        self.topics
            .lock()
            .expect("no code panics while it holds this lock")
    }

    /// Changes a list, and passes the changes on; returns the version.
    fn change(
        &self,
        topic: &GroupName,
        change: impl FnOnce(&mut TopicTable) -> Vec<Change>,
    ) -> Version {
        let mut topics = self.topics();
        let table = topics.entry(topic.clone()).or_default();
        let changes = change(table);
        table.number += u64::from(!changes.is_empty());
        let version = table.version();
        drop(topics);
        if !changes.is_empty() {
            self.sink.received(topic, Changes { version, changes });
        }
        version
    }
}

impl TopicTable {
    /// It lasts as long as this process, or as it has people: an epoch has no purpose here.
    fn version(&self) -> Version {
        Version {
            epoch: 0,
            number: self.number,
        }
    }

    fn declare(&mut self, declaration: &Declaration, grace: Duration) -> Option<Change> {
        let Declaration {
            key, count, meta, ..
        } = declaration;
        let record = Record {
            count: *count,
            grace,
            stamp: self.number + 1,
            meta: meta.clone(),
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
        let person = StoredPerson {
            record: record.clone(),
            until: Instant::now() + grace,
        };
        self.people.insert(key.clone(), person);
        Some(Change {
            key: key.clone(),
            record: Some(record),
        })
    }

    fn expire(&mut self, key: &Key) -> Option<Change> {
        let StoredPerson { record, until } = self.people.get(key)?;
        if record.count > 0 || *until > Instant::now() {
            return None;
        }
        self.people.remove(key);
        Some(Change {
            key: key.clone(),
            record: None,
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn subscribe(&self, _: &GroupName) -> Result<u64> {
        Ok(0)
    }

    async fn lost(&self, _: &GroupName, _: u64) {
        pending().await
    }

    async fn unsubscribe(&self, topic: &GroupName) {
        // Nobody is told of it any more, so nobody is in it.
        self.topics().remove(topic);
    }

    async fn read(&self, topic: &GroupName) -> Result<Snapshot> {
        let topics = self.topics();
        let Some(table) = topics.get(topic) else {
            return Ok(Snapshot {
                version: TopicTable::default().version(),
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

    async fn totals(&self, topic: &GroupName) -> Result<Totals> {
        let topics = self.topics();
        let Some(table) = topics.get(topic) else {
            return Ok(Totals::default());
        };
        let counts = table
            .people
            .values()
            .map(|person| u64::from(person.record.count));
        Ok(Totals {
            people: table.people.len() as u64,
            connections: counts.sum(),
        })
    }

    async fn declare(&self, topic: &GroupName, people: &[Declaration]) -> Result<Declared> {
        let version = self.change(topic, |table| {
            let people = people.iter();
            people
                .filter_map(|declaration| table.declare(declaration, self.grace))
                .collect()
        });
        Ok(Declared::Stored(Some(version)))
    }

    async fn expire(&self, topic: &GroupName, keys: &[Key]) -> Result<Option<Version>> {
        let version = self.change(topic, |table| {
            keys.iter().filter_map(|key| table.expire(key)).collect()
        });
        Ok(Some(version))
    }

    async fn refresh(&self, topic: &GroupName) -> Result<Option<Version>> {
        Ok(self.topics().get(topic).map(TopicTable::version))
    }

    fn refresh_every(&self) -> Option<Duration> {
        None
    }

    fn patience(&self) -> Duration {
        self.grace
    }
}
