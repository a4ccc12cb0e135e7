//! Test of messages that are equal byte for byte, while Redis is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use seaway_tests::support::{
    Redis, Server,
    wait::{DEADLINE, until},
};
use tokio::{
    select,
    sync::watch,
    time::{Instant, interval_at, sleep},
};

/// The layer recognises a delivered event by its bytes, which cannot tell equal events apart.
#[tokio::test]
async fn equal_messages_under_a_redis_that_is_killed_are_not_lost_silently() {
    const SENDERS: u32 = 10;
    let mut redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let (is_sending, watch_sending) = watch::channel(true);
    let mut reader = arena.client(ROOM).await;
    let count = Arc::<AtomicUsize>::default();
    let counted = count.clone();
    let reading = tokio::spawn(async move {
        loop {
            match reader.next_within(Duration::from_secs(5)).await {
                Some(Ok(_)) => _ = counted.fetch_add(1, Ordering::Relaxed),
                Some(Err(code)) => panic!("the reader was closed with {code:?}"),
                None => return,
            }
        }
    });
    let arena = Arc::new(arena);
    let start = |number| {
        let first = Instant::now() + number * EVERY / SENDERS;
        tokio::spawn(repeat_hello(arena.clone(), first, watch_sending.clone()))
    };
    let senders: Vec<_> = (0..SENDERS).map(start).collect();

    for _ in 0..5 {
        arrive(&count).await;
        redis.stop();
        sleep(OUTAGE).await;
        redis.start().await;
        arrive(&count).await;
    }
    is_sending.send_replace(false);
    let (mut confirmed, mut unconfirmed) = (0, 0);
    for sender in senders {
        let sent = sender.await.expect("a sender does not panic");
        confirmed += sent.confirmed;
        unconfirmed += sent.unconfirmed;
    }

    reading.await.expect("the reader remains connected");
    let received = count.load(Ordering::Relaxed);
    println!("{received} received, {confirmed} confirmed, {unconfirmed} unconfirmed");
    assert!(
        (confirmed..=confirmed + unconfirmed).contains(&received),
        "{received} received, {confirmed} confirmed, {unconfirmed} unconfirmed"
    );
}

/// Waits until the reader has received some more messages.
async fn arrive(count: &AtomicUsize) {
    let before = count.load(Ordering::Relaxed);
    until("further messages", DEADLINE, async || {
        (count.load(Ordering::Relaxed) >= before + 50).then_some(())
    })
    .await;
}

/// How long Redis is away: its length is the fault, and ends with nothing to wait for.
const OUTAGE: Duration = Duration::from_millis(200);

const ROOM: &str = "/ws/room/harbour";

/// The interval at which a sender repeats its text: its messages are evenly spread, and few enough
/// that the process has no backlog when Redis is killed.
const EVERY: Duration = Duration::from_millis(20);

/// The number of messages of a sender, by the fate of their connections.
#[derive(Default)]
struct Sent {
    /// On connections that remained open.
    confirmed: usize,
    /// On connections that were closed: the sender knows that any of them may be lost.
    unconfirmed: usize,
}

/// Sends the same text again and again, over a new connection after each close, and then reads
/// until nothing arrives for three seconds.
async fn repeat_hello(
    arena: Arc<Server>,
    first: Instant,
    is_sending: watch::Receiver<bool>,
) -> Sent {
    let mut sent = Sent::default();
    let mut client = arena.client(ROOM).await;
    let mut on_connection = 0;
    let mut ticks = interval_at(first, EVERY);
    loop {
        let is_sending = *is_sending.borrow();
        let is_open = select! {
            _ = ticks.tick(), if is_sending => {
                on_connection += 1;
                client.try_send("hello").await
            }
            next = client.next_within(Duration::from_secs(3)) => match next {
                Some(Ok(_)) => true,
                Some(Err(_)) => false,
                None if is_sending => true,
                None => break,
            },
        };
        if !is_open {
            sent.unconfirmed += on_connection;
            on_connection = 0;
            client = arena.client(ROOM).await;
        }
    }
    sent.confirmed += on_connection;
    sent
}
