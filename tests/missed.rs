//! A receiver that keeps what it has in step with a database: it reads there what it may have missed.
//!
//! What `docs/channel-layers.md` advises, to the letter: each event carries its number; on `Missed`, everything after
//! the last known number is read from the database. Nothing may be lacking in the end, whatever the network did.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use seaway::{Channels, channels::Mailbox};
use seaway_tests::support::{
    Proxy, Redis,
    proxy::{Side, Wire},
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinHandle,
    time::{interval, sleep},
};

const GROUP: &str = "stored";

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "stored")]
struct Stored {
    id: usize,
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_lacks_nothing_after_an_interruption() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis).await;

    for _ in 0..5 {
        story.wire.reset();
        sleep(Duration::from_secs(1)).await;
    }

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_lacks_nothing_after_a_slow_reconnection() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis).await;
    story.wire.set(Wire::Late(Duration::from_millis(200)));

    story.wire.reset();
    sleep(Duration::from_secs(3)).await;
    story.wire.mend();

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_lacks_nothing_after_being_kept_out() {
    let redis = Redis::new().await;
    let story = Story::begin(&redis).await;

    story.wire.set_side(Side::Subscriber, Wire::Cut);
    sleep(Duration::from_secs(2)).await;
    story.wire.mend();

    story.nothing_is_lacking().await;
}

#[tokio::test]
async fn a_receiver_that_reads_its_database_lacks_nothing_after_restarts_of_redis() {
    let mut redis = Redis::new().await;
    let story = Story::begin(&redis).await;

    for _ in 0..3 {
        redis.stop();
        sleep(Duration::from_millis(200)).await;
        redis.start().await;
        sleep(Duration::from_secs(1)).await;
    }

    story.nothing_is_lacking().await;
}

/// A sender with a good network, and a receiver whose network is the test's.
struct Story {
    wire: Proxy,
    database: Arc<Mutex<usize>>,
    /// Numbers of which the sender was told that they may not have left.
    unsent: Arc<Mutex<BTreeSet<usize>>>,
    seen: Arc<Mutex<BTreeSet<usize>>>,
    sending: JoinHandle<()>,
    receiving: JoinHandle<()>,
}

impl Story {
    async fn begin(redis: &Redis) -> Self {
        let wire = Proxy::before_redis(redis).await;
        let there = Channels::redis(redis.url()).await.expect("Redis is there");
        let here = Channels::redis(redis.url_through(wire.port())).await;
        let here = here.expect("Redis is there, behind the proxy");
        let mailbox = here.open().await.unwrap();
        let group = here.group::<Stored>(GROUP).unwrap();
        group.add(mailbox.name()).await.unwrap();

        let database = Arc::new(Mutex::new(0));
        let unsent = Arc::<Mutex<BTreeSet<_>>>::default();
        let seen = Arc::new(Mutex::new(BTreeSet::new()));
        let sending = tokio::spawn(send(there, database.clone(), unsent.clone()));
        // The layer lives as long as its receiver.
        let receiving = receive(here, mailbox, database.clone(), seen.clone());
        let story = Self {
            wire,
            database,
            unsent,
            seen,
            sending,
            receiving: tokio::spawn(receiving),
        };
        until("the first events", DEADLINE, async || {
            (story.seen.lock().unwrap().len() > 10).then_some(())
        })
        .await;
        story
    }

    /// Sends for a while longer, then compares.
    async fn nothing_is_lacking(self) {
        sleep(Duration::from_millis(500)).await;
        self.sending.abort();
        let last = *self.database.lock().unwrap();
        let lacking = || -> Vec<_> {
            let (seen, unsent) = (self.seen.lock().unwrap(), self.unsent.lock().unwrap());
            // The last was perhaps not published when the sender was stopped.
            (1..last)
                .filter(|id| !seen.contains(id) && !unsent.contains(id))
                .collect()
        };
        for _ in 0..20 {
            if lacking().is_empty() {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        self.receiving.abort();
        let lacking = lacking();
        assert!(lacking.is_empty(), "of {last}: {lacking:?}");
    }
}

/// Stores an event every few milliseconds, and publishes its number.
async fn send(
    channels: Channels,
    database: Arc<Mutex<usize>>,
    unsent: Arc<Mutex<BTreeSet<usize>>>,
) {
    let group = channels.group::<Stored>(GROUP).unwrap();
    let mut turns = interval(Duration::from_millis(5));
    loop {
        turns.tick().await;
        let id = {
            let mut last = database.lock().unwrap();
            *last += 1;
            *last
        };
        if group.send(&Stored { id }).await.is_err() {
            unsent.lock().unwrap().insert(id);
        }
    }
}

/// Keeps `seen` in step with the database.
async fn receive(
    channels: Channels,
    mut mailbox: Mailbox,
    database: Arc<Mutex<usize>>,
    seen: Arc<Mutex<BTreeSet<usize>>>,
) {
    let _channels = channels;
    let mut last = 0;
    loop {
        match mailbox.receive().await {
            Ok(envelope) => {
                let id = envelope.decode::<Stored>().expect("an event of ours").id;
                seen.lock().unwrap().insert(id);
                last = last.max(id);
            }
            Err(_) => {
                let stored = *database.lock().unwrap();
                seen.lock().unwrap().extend(last + 1..=stored);
                last = last.max(stored);
            }
        }
    }
}
