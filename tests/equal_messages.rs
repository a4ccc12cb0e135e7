//! Test of messages that are equal byte for byte, while Redis is killed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use seaway_tests::support::{
    Client, Redis, Server,
    wait::{DEADLINE, until},
};
use tokio::{
    select,
    sync::watch,
    task::JoinHandle,
    time::{Instant, interval_at, sleep},
};

/// The layer recognises a delivered event by its bytes, which cannot tell equal events apart.
///
/// An outage after which the layer cannot exclude a gap closes the reader, too: it knows, and
/// nothing is counted. On a machine at rest that happens rarely, beside other work more often.
#[tokio::test]
async fn equal_messages_under_a_redis_that_is_killed_are_not_lost_silently() {
    let mut redis = Redis::new().await;
    let arena = Arc::new(Server::arena_on(&redis).await);
    let mut counted = 0;
    for _ in 0..30 {
        if let Some(sum) = two_outages(&arena, &mut redis).await {
            println!("{sum:?}");
            let Sum { received, sent } = &sum;
            let possible = sent.confirmed..=sent.confirmed + sent.unconfirmed;
            assert!(possible.contains(received), "{sum:?}");
            counted += 1;
        }
        if counted == 5 {
            return;
        }
    }
    panic!("the reader was closed in more than 25 of 30 pairs of outages");
}

/// What became of the messages of two outages.
#[derive(Debug)]
struct Sum {
    received: usize,
    sent: Sent,
}

/// Kills Redis twice while ten clients send equal messages, the second time while the process still
/// sends what waited, and counts those that a reader receives; or returns `None` if the reader is
/// closed.
async fn two_outages(arena: &Arc<Server>, redis: &mut Redis) -> Option<Sum> {
    const SENDERS: u32 = 10;
    let (is_sending, watch_sending) = watch::channel(true);
    let count = Arc::<AtomicUsize>::default();
    let reading = tokio::spawn(read(
        arena.client(ROOM).await,
        count.clone(),
        watch_sending.clone(),
    ));
    let start = |number| {
        let first = Instant::now() + number * EVERY / SENDERS;
        tokio::spawn(repeat_hello(arena.clone(), first, watch_sending.clone()))
    };
    let senders: Vec<_> = (0..SENDERS).map(start).collect();

    for _ in 0..2 {
        arrive(&count, &reading).await;
        redis.stop();
        sleep(OUTAGE).await;
        redis.start().await;
    }
    arrive(&count, &reading).await;
    is_sending.send_replace(false);
    let mut sent = Sent::default();
    for sender in senders {
        let of_sender = sender.await.expect("a sender does not panic");
        sent.confirmed += of_sender.confirmed;
        sent.unconfirmed += of_sender.unconfirmed;
    }

    let is_complete = reading.await.expect("the reader does not panic");
    let received = count.load(Ordering::Relaxed);
    is_complete.then_some(Sum { received, sent })
}

/// Counts what arrives until nothing does any more, or returns `false` if the reader is closed.
async fn read(
    mut reader: Client,
    count: Arc<AtomicUsize>,
    is_sending: watch::Receiver<bool>,
) -> bool {
    loop {
        match reader.next_within(2 * QUIET).await {
            Some(Ok(_)) => _ = count.fetch_add(1, Ordering::Relaxed),
            Some(Err(code)) => {
                assert_eq!(code, Some(1012), "a possible gap closes with 1012");
                return false;
            }
            None if *is_sending.borrow() => {}
            None => return true,
        }
    }
}

/// Waits until the reader has received some more messages, or is closed.
async fn arrive(count: &AtomicUsize, reading: &JoinHandle<bool>) {
    let before = count.load(Ordering::Relaxed);
    until("further messages", DEADLINE, async || {
        let has_arrived = count.load(Ordering::Relaxed) >= before + 50;
        (has_arrived || reading.is_finished()).then_some(())
    })
    .await;
}

/// The time without a message after which none is expected.
const QUIET: Duration = Duration::from_secs(2);

/// How long Redis is away: its length is the fault, and ends with nothing to wait for.
const OUTAGE: Duration = Duration::from_millis(200);

const ROOM: &str = "/ws/room/harbour";

/// The interval at which a sender repeats its text: its messages are evenly spread.
const EVERY: Duration = Duration::from_millis(20);

/// The number of messages of a sender, by the fate of their connections.
#[derive(Debug, Default)]
struct Sent {
    /// On connections that remained open.
    confirmed: usize,
    /// On connections that were closed: the sender knows that any of them may be lost.
    unconfirmed: usize,
}

/// Sends the same text again and again, over a new connection after each close, and then reads
/// until nothing arrives.
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
            next = client.next_within(QUIET) => match next {
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
