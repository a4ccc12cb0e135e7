//! The auction on a channel layer that refuses an event, and in a process whose threads are busy.

#[allow(dead_code, reason = "the rest of the program is not in this test")]
#[path = "../src/accounts.rs"]
mod accounts;
#[allow(dead_code, reason = "the rest of the program is not in this test")]
#[path = "../src/auction.rs"]
mod auction;

use auction::Auction;
use seaway::{
    Authenticator, ChannelName, Channels, Error, ErrorKind, GroupName, Position, blocking,
    channels::{ChannelLayer, Envelope, LocalChannels, LocalTopics, Mailbox, TopicPost},
};
use serde_json::json;
use sqlx::{query, sqlite::SqlitePoolOptions};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::timeout};

/// A channel layer that counts the events of topics, and refuses the first one.
#[derive(Default)]
struct RefusesFirst {
    local: LocalChannels,
    topics: LocalTopics,
    sent: Arc<AtomicUsize>,
}

#[async_trait::async_trait]
impl ChannelLayer for RefusesFirst {
    fn local(&self) -> &LocalChannels {
        &self.local
    }
    async fn open(&self) -> Result<Mailbox, Error> {
        self.local.open("refuses-first")
    }
    async fn send(&self, _: &ChannelName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn receive(&self, _: &ChannelName, _: Duration) -> Result<Option<Envelope>, Error> {
        Ok(None)
    }
    async fn group_add(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_discard(&self, _: &GroupName, _: &ChannelName) -> Result<(), Error> {
        Ok(())
    }
    async fn group_send(&self, _: &GroupName, _: Envelope) -> Result<(), Error> {
        Ok(())
    }
    async fn topic_send(&self, topic: &GroupName, post: TopicPost) -> Result<Position, Error> {
        if self.sent.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Error::new(ErrorKind::Layer, "refused"));
        }
        Ok(self.topics.send(&self.local, topic, post))
    }
}

async fn auction(channels: Channels) -> Auction {
    // Each connection to `:memory:` has a database of its own.
    let one = SqlitePoolOptions::new().max_connections(1);
    let database = one.connect("sqlite::memory:").await.unwrap();
    Auction::open(database, channels).await.unwrap()
}

#[tokio::test]
async fn a_lot_whose_end_cannot_be_announced_does_not_silence_the_others() {
    let layer = RefusesFirst::default();
    let sent = Arc::clone(&layer.sent);
    let auction = auction(Channels::new(layer)).await;
    let due = "INSERT INTO lots (title, ends_at) VALUES ('compass', 0), ('sextant', 0)";
    query(due).execute(&auction.database).await.unwrap();

    let refused = auction.end_due_lots().await.unwrap_err();
    assert!(refused.to_string().contains("refused"), "{refused}");
    auction.end_due_lots().await.unwrap();

    assert_eq!(sent.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn passwords_are_hashed_apart_from_other_blocking_calls() {
    let auction = auction(Channels::in_memory()).await;
    let (started, mut starts) = unbounded_channel();
    let mut ends = Vec::new();
    // As many as the shared pool runs at once.
    for _ in 0..64 {
        let (end, ended) = mpsc::channel::<()>();
        ends.push(end);
        let started = started.clone();
        tokio::spawn(blocking(move || {
            _ = started.send(());
            ended.recv()
        }));
        starts.recv().await.unwrap();
    }

    let form = json!({ "name": "ana", "password": "ana's password" });
    let signs_up = auction.authenticate(serde_json::from_value(form).unwrap());
    let account = timeout(Duration::from_secs(30), signs_up).await;

    let account = account.expect("a place to hash it").unwrap();
    assert_eq!(account.expect("a new account").name, "ana");
}
