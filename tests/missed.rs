//! Tests of a receiver that reads missed events from a database.
//!
//! It does exactly what `docs/channel-layers.md` recommends: each event has a number; on `Missed`,
//! the receiver reads everything after its last number from the database. In the end it must lack
//! nothing, whatever the network did.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use seaway::{Channels, channels::Mailbox};
use seaway_tests::support::{
    Proxy, Redis,
    proxy::{Side, Wire},
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, interval, sleep},
};

/// The number of groups, each with a receiver; events are sent to them in turn.
const GROUPS: usize = 20;

/// How long the layer may take to notice an interruption, and to recover from it.
const RECOVERY: Duration = Duration::from_secs(60);

/// The interval between events.
const EVERY: Duration = Duration::from_millis(2);

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "stored")]
struct Stored {
    id: usize,
}

impl seaway::Event for Stored {}

#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_after_an_interruption() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis, 0).await;

    for _ in 0..5 {
        story.wire.reset();
        story.receives_again().await;
    }

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_after_a_slow_reconnection() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis, 0).await;
    story.wire.set(Wire::Late(Duration::from_millis(200)));

    story.wire.reset();
    story.receives_again().await;
    story.wire.restore();

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_while_many_groups_are_resubscribed() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis, 20_000).await;

    story.wire.reset();
    story.receives_again().await;

    story.nothing_is_lacking().await;
}

/// A new receiver's join is confirmed on a connection that breaks before all other subscriptions
/// are renewed.
#[tokio::test]
async fn a_receiver_that_joins_between_two_interruptions_lacks_nothing() {
    let redis = Redis::new().await;
    let mut story = Story::begin(&redis, 20_000).await;

    story.wire.cut();
    story.loses_redis().await;
    story.newcomers();
    story.sends(100).await;
    // The confirmations of all subscriptions take more than a second: the next interruption is in
    // the middle of them.
    story.wire.set(Wire::Narrow(1_000_000));
    sleep(Duration::from_millis(700)).await;
    story.wire.reset();
    story.loses_redis().await;
    story.wire.restore();
    story.receives_again().await;

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_after_being_disconnected() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis, 0).await;

    story.wire.set_side(Side::Subscriber, Wire::Cut);
    story.loses_redis().await;
    story.wire.restore();

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_after_restarts_of_redis() {
    let mut redis = Redis::new().await;
    let story = Story::begin(&redis, 0).await;

    for _ in 0..3 {
        redis.stop();
        story.loses_redis().await;
        redis.start().await;
        story.receives_again().await;
    }

    story.nothing_is_lacking().await;
}

/// Bytes arrive all the time, but they all belong to a value that does not end.
#[tokio::test]
async fn a_receiver_that_reads_its_database_has_all_data_after_a_corrupt_connection() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis, 0).await;

    story.wire.set(Wire::Corrupt);
    story.sends(150).await;
    story.wire.restore();

    story.receives_again().await;
    story.nothing_is_lacking().await;
}

/// A sender with a working network, and receivers whose network the test controls.
struct Story {
    wire: Proxy,
    stored: Arc<Mutex<Store>>,
    /// The last number of each receiver, with the number of its group.
    seen: Vec<(usize, Seen)>,
    sending: JoinHandle<()>,
    receiving: JoinSet<()>,
    /// Further mailboxes, which only increase the number of subscriptions.
    _crowd: Vec<Mailbox>,
    /// The layer of the receivers.
    here: Channels,
}

type Seen = Arc<Mutex<BTreeSet<usize>>>;

/// The database.
#[derive(Default)]
struct Store {
    /// The last number. Numbers count from 1; those of a group equal its number modulo [`GROUPS`].
    last: usize,
    /// Numbers whose send failed, so that they may not have been published.
    unsent: BTreeSet<usize>,
}

impl Story {
    async fn begin(redis: &Redis, crowd: usize) -> Self {
        let wire = Proxy::before_redis(redis).await;
        let there = Channels::redis(redis.url()).await.expect("Redis is there");
        let here = Channels::redis(redis.url_through(wire.port())).await;
        let here = here.expect("Redis is there, behind the proxy");
        let joins = (0..crowd).map(|number| member(&here, format!("crowd.{number}")));
        let crowd = stream::iter(joins).buffered(256).collect().await;

        let stored = Arc::<Mutex<Store>>::default();
        let mut story = Self {
            wire,
            sending: tokio::spawn(send(there, stored.clone())),
            stored,
            seen: Vec::new(),
            receiving: JoinSet::new(),
            _crowd: crowd,
            here,
        };
        story.newcomers();
        until("events in every group", DEADLINE, async || {
            let mut seen = story.seen.iter();
            seen.all(|(_, seen)| seen.lock().unwrap().len() > 5)
                .then_some(())
        })
        .await;
        story
    }

    /// Adds another receiver to each group, as soon as that is possible.
    fn newcomers(&mut self) {
        for number in 0..GROUPS {
            let seen = Seen::default();
            self.seen.push((number, seen.clone()));
            let (here, stored) = (self.here.clone(), self.stored.clone());
            self.receiving.spawn(receive(here, number, stored, seen));
        }
    }

    /// Waits until the layer of the receivers has noticed that it lost Redis.
    async fn loses_redis(&self) {
        until("the loss of Redis", RECOVERY, async || {
            self.here.health().is_err().then_some(())
        })
        .await;
    }

    /// Waits until this many more events were stored, and sent if Redis is there.
    async fn sends(&self, events: usize) {
        let before = self.stored.lock().unwrap().last;
        until("further events", RECOVERY, async || {
            (self.stored.lock().unwrap().last >= before + events).then_some(())
        })
        .await;
    }

    /// Waits until all receivers have some of the events that are sent from now on.
    async fn receives_again(&self) {
        let enough = self.stored.lock().unwrap().last + 5 * GROUPS;
        let has_enough = |seen: &Seen| seen.lock().unwrap().last() >= Some(&enough);
        until("events in every group again", RECOVERY, async || {
            let mut seen = self.seen.iter();
            seen.all(|(_, seen)| has_enough(seen)).then_some(())
        })
        .await;
    }

    /// Continues sending for a while, then compares.
    async fn nothing_is_lacking(mut self) {
        self.sends(100).await;
        self.sending.abort();
        let deadline = Instant::now() + Duration::from_secs(2);
        while !self.lacking().is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(100)).await;
        }
        self.receiving.abort_all();
        let lacking = self.lacking();
        let last = self.stored.lock().unwrap().last;
        assert!(lacking.is_empty(), "of {last}: {lacking:?}");
    }

    fn lacking(&self) -> Vec<usize> {
        let stored = self.stored.lock().unwrap();
        // The last one may not have been published when the sender was stopped.
        let ids = (1..stored.last).filter(|id| !stored.unsent.contains(id));
        let seen: Vec<_> = self.seen.iter().collect();
        ids.filter(|id| {
            let mut receivers = seen.iter().filter(|(number, _)| id % GROUPS == *number);
            receivers.any(|(_, seen)| !seen.lock().unwrap().contains(id))
        })
        .collect()
    }
}

fn group(number: usize) -> String {
    format!("stored.{number}")
}

/// Opens a mailbox in a group.
async fn member(channels: &Channels, group: String) -> Mailbox {
    let mailbox = channels.open().await.unwrap();
    let group = channels.group::<Stored>(&group).unwrap();
    group.add(mailbox.name()).await.unwrap();
    mailbox
}

/// Stores an event every few milliseconds, and publishes its number.
async fn send(channels: Channels, stored: Arc<Mutex<Store>>) {
    let mut turns = interval(EVERY);
    loop {
        turns.tick().await;
        let id = {
            let mut stored = stored.lock().unwrap();
            stored.last += 1;
            stored.last
        };
        let group = channels.group::<Stored>(&group(id % GROUPS)).unwrap();
        if group.send(&Stored { id }).await.is_err() {
            stored.lock().unwrap().unsent.insert(id);
        }
    }
}

/// Joins a group, reads the database, and follows the events from then on.
async fn receive(here: Channels, number: usize, stored: Arc<Mutex<Store>>, seen: Seen) {
    let mut mailbox = member(&here, group(number)).await;
    let mut last = 0;
    let read = |last: &mut usize| {
        let now = stored.lock().unwrap().last;
        let new = (*last + 1..=now).filter(|id| id % GROUPS == number);
        seen.lock().unwrap().extend(new);
        *last = now.max(*last);
    };
    read(&mut last);
    loop {
        match mailbox.receive().await {
            Ok(envelope) => {
                let id = envelope.decode::<Stored>().expect("an event of ours").id;
                seen.lock().unwrap().insert(id);
                last = last.max(id);
            }
            Err(_) => read(&mut last),
        }
    }
}
