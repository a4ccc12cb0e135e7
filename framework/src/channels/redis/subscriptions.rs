//! What this process listens to: kept equal to what its members have joined, whatever happens on the way.

use crate::{
    channels::LocalChannels,
    error::{Error, ErrorKind, Result},
    name::GroupName,
    redis_link::{Link, State},
};
use redis::{RedisResult, aio::MultiplexedConnection};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, RwLock},
};
use tokio::sync::{Notify, oneshot, watch};

/// How many channels one SUBSCRIBE names: a reconnect with 100,000 groups shall not be one giant command.
const CHUNK: usize = 500;

/// The groups to look at again, and who waits for them.
///
/// Nothing here is a queue of commands: a group is either in order or to be looked at, so joins and leaves in any order
/// end in what is wanted last.
#[derive(Default)]
pub(super) struct Subscriptions {
    active: RwLock<HashSet<GroupName>>,
    /// Whether this connection has been told of all groups: before, this process is deaf to what it sends itself.
    restored: watch::Sender<bool>,
    unsettled: Mutex<HashMap<GroupName, Vec<Waiter>>>,
    changed: Notify,
}

type Waiter = oneshot::Sender<Result<(), Arc<str>>>;

impl Subscriptions {
    /// Waits until Redis has confirmed that this process listens to the group, which has a member by now.
    pub(super) async fn confirm(&self, group: &GroupName) -> Result<()> {
        if self.active.read().expect(UNPOISONED).contains(group) {
            return Ok(());
        }
        let (waiter, settled) = oneshot::channel();
        self.unsettled()
            .entry(group.clone())
            .or_default()
            .push(waiter);
        self.changed.notify_one();
        match settled.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(Error::new(ErrorKind::Layer, why.to_string())),
            Err(_) => Err(Error::new(
                ErrorKind::Layer,
                "the channel layer is shutting down",
            )),
        }
    }

    /// Waits until this process hears what is sent, for the first time.
    pub(super) async fn restored(&self) {
        let mut restored = self.restored.subscribe();
        // The sender is in `self`, so it is not gone.
        _ = restored.wait_for(|restored| *restored).await;
    }

    /// Whether this process hears what is sent.
    pub(super) fn is_restored(&self) -> bool {
        *self.restored.borrow()
    }

    /// Notes that the group's last member has left.
    pub(super) fn emptied(&self, group: &GroupName) {
        self.unsettled().entry(group.clone()).or_default();
        self.changed.notify_one();
    }

    /// Keeps what Redis sends equal to what `local` has members for. Runs as long as the layer lives.
    pub(super) async fn maintain(
        &self,
        link: &Link,
        local: &LocalChannels,
        pattern: &str,
        channel_of: impl Fn(&GroupName) -> String,
    ) {
        let mut states = link.watch();
        loop {
            let state = states.borrow_and_update().clone();
            match state {
                State::Down(why) => {
                    self.lose(&why);
                }
                State::Up(mut connection) => {
                    let restored = self
                        .restore(&mut connection, local, pattern, &channel_of)
                        .await;
                    let outcome = match restored {
                        Ok(()) => {
                            self.follow(&mut connection, local, &channel_of, &mut states)
                                .await
                        }
                        Err(error) => Err(error),
                    };
                    if let Err(error) = outcome {
                        let error = link.failed("Redis did not take a subscription", error);
                        self.lose(&error.to_string());
                        tracing::warn!(error = %error.chain(), "a subscription failed; connecting again");
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
            }
            tokio::select! {
                changed = states.changed() => if changed.is_err() { return },
                // Whoever asks while Redis is away is told at once.
                () = self.changed.notified() => {}
            }
        }
    }

    /// Subscribes anew to all that has members: a fresh connection knows nothing.
    async fn restore(
        &self,
        connection: &mut MultiplexedConnection,
        local: &LocalChannels,
        pattern: &str,
        channel_of: impl Fn(&GroupName) -> String,
    ) -> RedisResult<()> {
        self.restored.send_replace(false);
        self.active.write().expect(UNPOISONED).clear();
        connection.psubscribe(pattern).await?;
        self.subscribe(connection, local.groups(), channel_of)
            .await?;
        self.restored.send_replace(true);
        Ok(())
    }

    /// Settles what changes, until the connection does.
    async fn follow(
        &self,
        connection: &mut MultiplexedConnection,
        local: &LocalChannels,
        channel_of: impl Fn(&GroupName) -> String,
        states: &mut tokio::sync::watch::Receiver<State>,
    ) -> RedisResult<()> {
        while !states.has_changed().unwrap_or(true) {
            let unsettled = std::mem::take(&mut *self.unsettled());
            let (wanted, unwanted) = self.compare(unsettled.keys(), local);
            let subscribed = self.subscribe(connection, wanted, &channel_of).await;
            if let Err(error) = subscribed {
                // They are answered with the rest.
                let mut waiting = self.unsettled();
                for (group, waiters) in unsettled {
                    waiting.entry(group).or_default().extend(waiters);
                }
                drop(waiting);
                return Err(error);
            }
            settle(unsettled, &Ok(()));
            for chunk in unwanted.chunks(CHUNK) {
                let names: Vec<_> = chunk.iter().map(&channel_of).collect();
                connection.unsubscribe(names).await?;
            }
            tokio::select! {
                _ = states.changed() => {
                    states.mark_changed();
                    return Ok(());
                }
                () = self.changed.notified() => {}
            }
        }
        Ok(())
    }

    /// Which of these groups have members and are not heard, and which are heard and have none.
    ///
    /// The latter are taken off `active` first and looked at again then: a member that joins meanwhile either is seen
    /// here, or finds its group inactive and asks for it.
    fn compare<'a>(
        &self,
        groups: impl Iterator<Item = &'a GroupName>,
        local: &LocalChannels,
    ) -> (Vec<GroupName>, Vec<GroupName>) {
        let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
        let mut active = self.active.write().expect(UNPOISONED);
        for group in groups {
            match (active.contains(group), local.members(group) > 0) {
                (false, true) => wanted.push(group.clone()),
                (true, false) => {
                    active.remove(group);
                    unwanted.push(group.clone());
                }
                (true, true) | (false, false) => {}
            }
        }
        drop(active);
        unwanted.retain(|group| {
            let rejoined = local.members(group) > 0;
            if rejoined {
                self.active.write().expect(UNPOISONED).insert(group.clone());
            }
            !rejoined
        });
        (wanted, unwanted)
    }

    async fn subscribe(
        &self,
        connection: &mut MultiplexedConnection,
        groups: Vec<GroupName>,
        channel_of: impl Fn(&GroupName) -> String,
    ) -> RedisResult<()> {
        for chunk in groups.chunks(CHUNK) {
            let names: Vec<_> = chunk.iter().map(&channel_of).collect();
            connection.subscribe(names).await?;
            self.active
                .write()
                .expect(UNPOISONED)
                .extend(chunk.iter().cloned());
        }
        Ok(())
    }

    /// Nothing is heard any more: who waits is told.
    fn lose(&self, why: &str) {
        self.restored.send_replace(false);
        self.active.write().expect(UNPOISONED).clear();
        settle(std::mem::take(&mut *self.unsettled()), &Err(Arc::from(why)));
    }

    fn unsettled(&self) -> MutexGuard<'_, HashMap<GroupName, Vec<Waiter>>> {
        self.unsettled.lock().expect(UNPOISONED)
    }
}

/// The pause after a subscription that failed, while the link finds out whether its connection is dead.
const RETRY: std::time::Duration = std::time::Duration::from_millis(250);

const UNPOISONED: &str = "no code panics while it holds this lock";

fn settle(unsettled: HashMap<GroupName, Vec<Waiter>>, outcome: &Result<(), Arc<str>>) {
    for waiter in unsettled.into_values().flatten() {
        // A waiter that gave up needs no answer.
        _ = waiter.send(outcome.clone());
    }
}
