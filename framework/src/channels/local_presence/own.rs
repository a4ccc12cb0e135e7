//! The people of one group who are connected to this process.

use super::store::{Declaration, PersonKey, Version};
use crate::{error::Result, name::ChannelName};
use bytes::Bytes;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    mem,
    sync::Arc,
};
use tokio::sync::oneshot;

/// The largest meta, encoded, in bytes.
pub(in crate::channels) const LARGEST_META: usize = 16 * 1024;

/// The bytes of the metas in one declaration, about: the store publishes them as one value, which
/// the receivers limit.
const DECLARED_BYTES: usize = 512 * 1024;

/// Gets the outcome of a declaration.
pub(super) type DeclarationWaiter = oneshot::Sender<Result<(), Arc<str>>>;

/// The connections of this process, and what is still to be declared of them.
#[derive(Default)]
pub(super) struct Own {
    connections: HashMap<ChannelName, PersonKey>,
    people: HashMap<PersonKey, OwnPerson>,
    /// Those to declare, in order.
    due: VecDeque<PersonKey>,
    /// How many of them are to be declared before anything else is done.
    first: usize,
    /// Those without a connection, as the store knows.
    gone: HashSet<PersonKey>,
}

struct OwnPerson {
    /// The number of open connections in this process. One without any is kept until it is known to
    /// have left: a store that loses its data has to learn of its grace time again.
    count: u32,
    meta: Bytes,
    /// The stamp of the meta; 0 until the store has given it one.
    stamp: u64,
    is_due: bool,
    /// By which version of the list the store knows that there is no connection, if it does.
    gone_by: Option<Option<Version>>,
    waiters: Vec<DeclarationWaiter>,
}

/// Declarations under way.
pub(super) struct DeclarationBatch {
    pub(super) declarations: Vec<Declaration>,
    waiters: Vec<Vec<DeclarationWaiter>>,
}

impl Own {
    /// Adds a connection, or changes its key and meta. The waiter gets the outcome.
    pub(super) fn enter(
        &mut self,
        channel: &ChannelName,
        key: PersonKey,
        meta: Bytes,
        waiter: DeclarationWaiter,
    ) -> bool {
        let is_same = self.connections.get(channel).map(|before| *before == key);
        if is_same == Some(false) {
            self.leave(channel);
        }
        let person = self
            .people
            .entry(key.clone())
            .or_insert_with(|| OwnPerson::new(meta.clone()));
        if is_same != Some(true) {
            self.connections.insert(channel.clone(), key.clone());
            person.count = person.count.saturating_add(1);
        }
        person.set(meta);
        person.wait(waiter);
        self.declare(&key);
        is_same.is_some()
    }

    /// Changes the meta of the person of a connection; returns whether there is one.
    pub(super) fn update(
        &mut self,
        channel: &ChannelName,
        meta: Bytes,
        waiter: DeclarationWaiter,
    ) -> bool {
        let Some(key) = self.connections.get(channel).cloned() else {
            return false;
        };
        if let Some(person) = self.people.get_mut(&key) {
            person.set(meta);
            person.wait(waiter);
        }
        self.declare(&key);
        true
    }

    /// Removes a connection, if there is one.
    pub(super) fn leave(&mut self, channel: &ChannelName) {
        let Some(key) = self.connections.remove(channel) else {
            return;
        };
        if let Some(person) = self.people.get_mut(&key) {
            person.count = person.count.saturating_sub(1);
        }
        self.declare(&key);
    }

    /// Declares everyone again.
    pub(super) fn declare_all(&mut self) {
        let keys: Vec<PersonKey> = self.people.keys().cloned().collect();
        keys.iter().for_each(|key| self.declare(key));
        self.first = self.due.len();
    }

    /// Declares those whom the store has connected to this process. Some may have left.
    pub(super) fn found(&mut self, keys: Vec<PersonKey>) {
        for key in keys {
            self.people.entry(key.clone()).or_insert_with(|| OwnPerson {
                // Older than the meta that the store has.
                stamp: 1,
                ..OwnPerson::new(Bytes::new())
            });
            self.declare(&key);
        }
    }

    fn declare(&mut self, key: &PersonKey) {
        if let Some(person) = self.people.get_mut(key)
            && !mem::replace(&mut person.is_due, true)
        {
            person.gone_by = None;
            self.gone.remove(key);
            self.due.push_back(key.clone());
        }
    }

    /// Returns whether something is to be declared.
    pub(super) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Returns whether further declarations go before anything else: those of all who were due when
    /// the first of them was.
    pub(super) fn is_declaring_first(&self) -> bool {
        self.first > 0
    }

    /// Returns whether no person is connected, or was lately.
    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Returns whether a connection is open.
    pub(super) fn has_connections(&self) -> bool {
        !self.connections.is_empty()
    }

    /// Returns whether this person was lately connected to this process, and is not any more.
    pub(super) fn has_left(&self, key: &PersonKey) -> bool {
        self.people.get(key).is_some_and(|person| person.count == 0)
    }

    /// Takes at most `limit` declarations, and fewer if their metas are large.
    pub(super) fn take_due(&mut self, limit: usize) -> DeclarationBatch {
        if self.first == 0 {
            self.first = self.due.len();
        }
        let mut batch = DeclarationBatch {
            declarations: Vec::new(),
            waiters: Vec::new(),
        };
        let mut bytes = 0;
        while batch.declarations.len() < limit
            && bytes < DECLARED_BYTES
            && let Some(key) = self.due.pop_front()
        {
            self.first = self.first.saturating_sub(1);
            let Some(person) = self.people.get_mut(&key) else {
                continue;
            };
            // The store publishes its own meta of a person whose meta is not known here.
            bytes += match person.meta.is_empty() {
                true => LARGEST_META,
                false => person.meta.len(),
            };
            person.is_due = false;
            batch.declarations.push(Declaration {
                key,
                count: person.count,
                meta: person.meta.clone(),
                stamp: person.stamp,
            });
            batch.waiters.push(mem::take(&mut person.waiters));
        }
        batch
    }

    /// Records that a batch was stored, at the latest by this version of the list.
    pub(super) fn stored(&mut self, batch: DeclarationBatch, by: Option<Version>) {
        for (declaration, waiters) in batch.declarations.into_iter().zip(batch.waiters) {
            if let Some(person) = self.people.get_mut(&declaration.key) {
                if person.meta == declaration.meta {
                    // Until it is seen what the store has given it: any that another process has
                    // set since is newer.
                    person.stamp = person.stamp.max(1);
                }
                if person.count == 0 && !person.is_due {
                    person.gone_by = Some(by);
                    self.gone.insert(declaration.key);
                }
            }
            waiters
                .into_iter()
                .for_each(|waiter| _ = waiter.send(Ok(())));
        }
    }

    /// Takes back a batch that was not stored: it is due again, and if `is_first`, before anything
    /// else.
    pub(super) fn take_back(&mut self, batch: DeclarationBatch, is_first: bool) {
        for (declaration, waiters) in batch.declarations.into_iter().zip(batch.waiters) {
            if let Some(person) = self.people.get_mut(&declaration.key) {
                person.waiters.extend(waiters);
            }
            self.declare(&declaration.key);
        }
        if is_first {
            self.first = self.due.len();
        }
    }

    /// Tells all that wait why the store refuses; what they have changed remains due.
    pub(super) fn reject(&mut self, why: &Arc<str>) {
        for key in &self.due {
            let person = self.people.get_mut(key).into_iter();
            for waiter in person.flat_map(|person| mem::take(&mut person.waiters)) {
                _ = waiter.send(Err(why.clone()));
            }
        }
    }

    /// Records what the store has of a person: `None` if they have left. A meta that this process
    /// cannot decode is `None`, and not declared again.
    pub(super) fn seen(&mut self, key: &PersonKey, record: Option<(u32, u64, Option<&Bytes>)>) {
        let Some(person) = self.people.get_mut(key) else {
            return;
        };
        match record {
            Some((count, stamp, meta)) if person.count > 0 => {
                // A meta that is not stored yet is newer.
                if person.stamp > 0
                    && let Some(meta) = meta
                {
                    person.meta = meta.clone();
                    person.stamp = stamp;
                }
                // Another process has removed these connections, as the lease of this one was over.
                if count < person.count && !person.is_due {
                    self.declare(key);
                }
            }
            // Another program has removed them.
            None if person.count > 0 && !person.is_due => self.declare(key),
            // The list may be older than what was declared: `remove_gone` decides.
            _ => {}
        }
    }

    /// Forgets those without a connection who are not in their grace time, by a list that is as new
    /// as what was stored: they have left, or another process is responsible for them, to which they
    /// are connected.
    pub(super) fn remove_gone(
        &mut self,
        is_in_grace: impl Fn(&PersonKey) -> bool,
        is_reached: impl Fn(Option<Version>) -> bool,
    ) {
        if self.gone.is_empty() {
            return;
        }
        let over = self.gone.iter().filter(|key| {
            let gone_by = self.people.get(*key).and_then(|person| person.gone_by);
            gone_by.is_some_and(&is_reached) && !is_in_grace(key)
        });
        let over: Vec<PersonKey> = over.cloned().collect();
        over.iter().for_each(|key| self.remove(key));
    }

    fn remove(&mut self, key: &PersonKey) {
        self.people.remove(key);
        self.gone.remove(key);
    }
}

impl OwnPerson {
    fn new(meta: Bytes) -> Self {
        Self {
            count: 0,
            meta,
            stamp: 0,
            is_due: false,
            gone_by: None,
            waiters: Vec::new(),
        }
    }

    /// Adds a waiter, and removes those that wait no more: the store may be down for long.
    fn wait(&mut self, waiter: DeclarationWaiter) {
        self.waiters.retain(|other| !other.is_closed());
        self.waiters.push(waiter);
    }

    fn set(&mut self, meta: Bytes) {
        self.meta = meta;
        self.stamp = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn enter(own: &mut Own, name: &str, key: &str, meta: &'static str) {
        let (waiter, _) = oneshot::channel();
        own.enter(&channel(name), key.into(), meta.into(), waiter);
    }

    /// Stores what is due, and returns it as (key, count, meta).
    fn declared(own: &mut Own) -> Vec<(String, u32, Bytes)> {
        let batch = own.take_due(100);
        let declared = batch.declarations.iter();
        let declared = declared
            .map(|person| (person.key.to_string(), person.count, person.meta.clone()))
            .collect();
        own.stored(batch, None);
        declared
    }

    #[test]
    fn connections_of_one_key_are_one_person_with_the_newest_meta() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "one");
        enter(&mut own, "p!2", "ana", "two");
        assert_eq!(declared(&mut own), [("ana".to_owned(), 2, "two".into())]);

        own.leave(&channel("p!1"));
        own.leave(&channel("p!1"));
        assert_eq!(declared(&mut own), [("ana".to_owned(), 1, "two".into())]);
        assert!(!own.is_due());
    }

    #[test]
    fn a_connection_that_enters_under_another_key_leaves_the_first() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "guest", "g");
        declared(&mut own);
        enter(&mut own, "p!1", "ana", "a");

        let declared = declared(&mut own);

        assert_eq!(
            declared,
            [
                ("guest".to_owned(), 0, "g".into()),
                ("ana".to_owned(), 1, "a".into())
            ]
        );
    }

    #[test]
    fn a_key_without_a_connection_is_kept_until_known_to_have_left() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "a");
        declared(&mut own);
        own.leave(&channel("p!1"));
        declared(&mut own);
        own.seen(&"ana".into(), Some((0, 5, Some(&"a".into()))));
        assert!(!own.is_empty(), "in the grace time");

        own.declare_all();
        assert_eq!(declared(&mut own), [("ana".to_owned(), 0, "a".into())]);
        own.seen(&"ana".into(), None);
        own.remove_gone(|_| false, |_| true);
        assert!(own.is_empty());
    }

    #[test]
    fn a_key_whose_end_is_being_stored_is_kept_although_an_older_list_has_it_connected() {
        let by = Version {
            epoch: 1,
            number: 9,
        };
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "a");
        declared(&mut own);
        own.leave(&channel("p!1"));
        let batch = own.take_due(1);
        own.seen(&"ana".into(), Some((1, 5, Some(&"a".into()))));
        own.stored(batch, Some(by));
        own.remove_gone(|_| true, |version| version == Some(by));
        assert!(own.has_left(&"ana".into()), "this process removes them");

        own.remove_gone(|_| false, |version| version == Some(by));
        assert!(own.is_empty(), "connected elsewhere");
    }

    #[test]
    fn a_key_that_the_store_has_and_nobody_here_is_declared_gone_with_an_old_meta() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "a");
        declared(&mut own);

        own.found(vec!["ana".into(), "ben".into()]);

        let batch = own.take_due(2).declarations;
        let declared = batch.iter().map(|one| (&*one.key, one.count, one.stamp));
        assert_eq!(declared.collect::<Vec<_>>(), [("ana", 1, 1), ("ben", 0, 1)]);
    }

    #[test]
    fn a_key_that_was_never_announced_is_removed_once_the_list_is_new_enough() {
        let by = Version {
            epoch: 1,
            number: 9,
        };
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "a");
        own.leave(&channel("p!1"));
        let batch = own.take_due(1);
        own.stored(batch, Some(by));

        own.remove_gone(|_| false, |version| version != Some(by));
        own.remove_gone(|_| true, |version| version == Some(by));
        assert!(!own.is_empty());
        own.remove_gone(|_| false, |version| version == Some(by));
        assert!(own.is_empty());
    }

    #[test]
    fn what_another_process_has_set_is_declared_again_but_never_over_something_newer() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "mine");
        declared(&mut own);
        own.seen(&"ana".into(), Some((2, 7, Some(&"theirs".into()))));
        own.declare_all();
        let batch = own.take_due(1);
        assert_eq!(batch.declarations[0].meta, "theirs");
        assert_eq!(batch.declarations[0].stamp, 7);
        own.stored(batch, None);

        let (waiter, _) = oneshot::channel();
        assert!(own.update(&channel("p!1"), "newest".into(), waiter));
        own.seen(&"ana".into(), Some((2, 8, Some(&"theirs again".into()))));
        assert_eq!(own.take_due(1).declarations[0].meta, "newest");
    }

    #[test]
    fn a_key_of_which_another_process_has_removed_connections_is_declared_again() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "a");
        enter(&mut own, "p!2", "ana", "a");
        declared(&mut own);

        own.seen(&"ana".into(), Some((3, 5, Some(&"a".into()))));
        assert!(!own.is_due(), "one of them is connected elsewhere");
        own.seen(&"ana".into(), Some((1, 5, Some(&"a".into()))));

        assert_eq!(declared(&mut own), [("ana".to_owned(), 2, "a".into())]);
    }

    #[test]
    fn a_meta_that_cannot_be_decoded_is_never_declared_again() {
        let mut own = Own::default();
        enter(&mut own, "p!1", "ana", "mine");
        declared(&mut own);

        own.seen(&"ana".into(), Some((2, 7, None)));

        own.declare_all();
        let batch = own.take_due(1);
        assert_eq!(batch.declarations[0].meta, "mine");
        assert_eq!(batch.declarations[0].stamp, 1, "older than the other one");
    }

    #[test]
    fn large_metas_are_declared_in_parts() {
        let mut own = Own::default();
        let meta = Bytes::from(vec![0; 16 * 1024]);
        for number in 0..100 {
            let (waiter, _) = oneshot::channel();
            let (name, key) = (format!("p!{number}"), number.to_string());
            own.enter(&channel(&name), (*key).into(), meta.clone(), waiter);
        }

        let parts = std::iter::from_fn(|| own.is_due().then(|| own.take_due(250)));

        let parts: Vec<_> = parts.map(|batch| batch.declarations.len()).collect();
        assert_eq!(parts, [32, 32, 32, 4]);
    }

    #[test]
    fn those_who_were_due_are_declared_before_anything_else_and_later_ones_are_not() {
        let mut own = Own::default();
        for (name, key) in [("p!1", "ana"), ("p!2", "bo"), ("p!3", "cy")] {
            enter(&mut own, name, key, "m");
        }

        let batch = own.take_due(2);
        own.stored(batch, None);
        assert!(own.is_declaring_first(), "one is left");
        enter(&mut own, "p!4", "di", "m");
        let batch = own.take_due(1);
        own.stored(batch, None);
        assert!(own.is_due() && !own.is_declaring_first());

        own.declare_all();
        let batch = own.take_due(3);
        assert!(own.is_declaring_first());
        own.take_due(1);
        own.take_back(batch, true);
        assert!(own.is_declaring_first(), "it was not stored");
    }

    #[test]
    fn a_refused_batch_is_due_again_and_its_waiters_know_why() {
        let mut own = Own::default();
        let (waiter, mut outcome) = oneshot::channel();
        own.enter(&channel("p!1"), "ana".into(), "a".into(), waiter);

        let batch = own.take_due(1);
        own.take_back(batch, false);
        own.reject(&"no permission".into());

        assert_eq!(outcome.try_recv().unwrap(), Err("no permission".into()));
        assert_eq!(declared(&mut own).len(), 1);
    }
}
