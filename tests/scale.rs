//! Tests of many groups, and of large ones, over two processes. `cargo xtask scale` does the same
//! at full size.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use seaway::{Channels, channels::Mailbox};
use seaway_tests::support::{
    Redis, Server,
    load::{Load, LoadRun},
    reconnects::churn,
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// The number of groups that one process joins concurrently.
const AT_ONCE: usize = 256;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "group.number")]
struct Number {
    number: usize,
}

impl seaway::Event for Number {}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_groups_of_one_member_each_receive_before_and_after_an_outage() {
    const GROUPS: usize = 10_000;
    let mut redis = Redis::new().await;
    let layers = [layer(&redis).await, layer(&redis).await];

    let start = Instant::now();
    let joins = (0..GROUPS).map(|number| joined(&layers[number % 2], number));
    let joins = stream::iter(joins).buffered(AT_ONCE);
    let mut mailboxes: Vec<_> = joins.collect().await;
    println!("{GROUPS} groups joined in {:.2?}", start.elapsed());
    everyone_receives(&layers, &mut mailboxes, false).await;

    redis.stop();
    redis.start().await;
    let start = Instant::now();
    until("the subscription to each group", DEADLINE, async || {
        let active = redis.ask(&["PUBSUB", "CHANNELS", "asgi__group__*"]).await?;
        active.starts_with(&format!("*{GROUPS}\r\n")).then_some(())
    })
    .await;
    println!("subscribed {:.2?} after Redis' return", start.elapsed());
    everyone_receives(&layers, &mut mailboxes, true).await;

    drop(mailboxes);
    until("no subscription to a group", DEADLINE, async || {
        let left = redis.ask(&["PUBSUB", "CHANNELS", "asgi__group__*"]).await?;
        (left == "*0\r\n").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sockets_in_a_room_each_receive_their_own_messages() {
    let (members, rooms) = (1, 1000);
    let load = Load {
        rooms,
        members,
        senders: 1,
        bytes: 0,
        lasts: Duration::from_secs(1),
        pause: Duration::ZERO,
    };
    receives_everything(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sockets_in_one_room_receive_what_ten_of_them_publish() {
    let load = Load {
        rooms: 1,
        members: 1000,
        senders: 10,
        bytes: 0,
        lasts: Duration::from_secs(1),
        pause: Duration::ZERO,
    };
    receives_everything(load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_joins_and_leaves_do_not_delay_deliveries() {
    let redis = Redis::new().await;

    let churn = churn(&redis, 10_000).await;

    println!("{churn}");
    assert!(churn.slowest < Duration::from_millis(500), "{churn}");
}

async fn receives_everything(load: Load) {
    let redis = Redis::new().await;
    let arenas = [
        Server::arena_on(&redis).await,
        Server::arena_on(&redis).await,
    ];
    let run = LoadRun::join(&[arenas[0].port(), arenas[1].port()], load).await;

    let joined = run.joined;
    let count = run.run().await;

    println!("joined in {joined:.2?}; {count}");
    count.is_complete();
}

async fn layer(redis: &Redis) -> Channels {
    Channels::redis(redis.url()).await.expect("Redis is there")
}

/// Opens a mailbox in the group of this number.
async fn joined(channels: &Channels, number: usize) -> Mailbox {
    let mailbox = channels.open().await.unwrap();
    let group = channels.group::<Number>(format!("group.{number}")).unwrap();
    group.add(mailbox.name()).await.unwrap();
    mailbox
}

/// Sends one message to each group, from the process that its member is not in. After an
/// outage, a mailbox may first report one gap: that of a process that did not reconnect in time.
async fn everyone_receives(layers: &[Channels; 2], mailboxes: &mut [Mailbox], after_outage: bool) {
    let start = Instant::now();
    let sends = (0..mailboxes.len()).map(|number| async move {
        let other = &layers[(number + 1) % 2];
        let group = other.group::<Number>(format!("group.{number}")).unwrap();
        group.send(&Number { number }).await.unwrap();
    });
    let sends = stream::iter(sends).buffer_unordered(AT_ONCE);
    sends.collect::<Vec<()>>().await;
    for (number, mailbox) in mailboxes.iter_mut().enumerate() {
        let received = timeout(DEADLINE, async {
            match mailbox.receive().await {
                Err(_gap) if after_outage => mailbox.receive().await,
                first => first,
            }
        });
        let received = received.await;
        let received = received.unwrap_or_else(|_| panic!("nothing in group {number}"));
        let envelope = received.expect("nothing was missed");
        assert_eq!(envelope.decode::<Number>().unwrap().number, number);
    }
    println!("one message to each in {:.2?}", start.elapsed());
}
