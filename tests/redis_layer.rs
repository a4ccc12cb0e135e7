//! Tests of the Redis layer: conformance, subscriptions, and errors.

use seaway::{Channels, ErrorKind, channels::redis::RedisConfig, testing::channel_layer};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "room.message")]
struct Said {
    text: String,
}

impl seaway::Event for Said {}

fn said(text: &str) -> Said {
    Said {
        text: text.to_owned(),
    }
}

async fn connect(redis: &Redis) -> Channels {
    Channels::redis(redis.url()).await.expect("Redis is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_layer_conforms() {
    let redis = Redis::new().await;

    channel_layer::conforms(|| connect(&redis)).await;
}

#[tokio::test]
async fn a_process_subscribes_once_per_group_and_once_for_all_its_channels() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    let mut mailboxes = Vec::new();

    for _ in 0..20 {
        let mailbox = channels.open().await.unwrap();
        room.add(mailbox.name()).await.unwrap();
        mailboxes.push(mailbox);
    }

    let groups = redis.ask(&["PUBSUB", "NUMSUB", "asgi__group__room"]).await;
    assert!(
        groups.unwrap().ends_with(":1\r\n"),
        "one per process and group"
    );
    let patterns = redis.ask(&["PUBSUB", "NUMPAT"]).await;
    assert_eq!(patterns.unwrap(), ":1\r\n");

    drop(mailboxes);
    until("the last one out unsubscribes", DEADLINE, async || {
        let groups = redis.ask(&["PUBSUB", "NUMSUB", "asgi__group__room"]).await;
        groups.unwrap().ends_with(":0\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn members_that_join_and_leave_continuously_receive_all_events_after_their_join() {
    let redis = Redis::new().await;
    let (here, there) = (connect(&redis).await, connect(&redis).await);
    let (room, from_there) = (
        here.group::<Said>("room").unwrap(),
        there.group::<Said>("room").unwrap(),
    );

    for round in 0..200 {
        let mut mailbox = here.open().await.unwrap();
        room.add(mailbox.name()).await.unwrap();
        from_there.send(&said(&round.to_string())).await.unwrap();
        let envelope = timeout(DEADLINE, mailbox.receive())
            .await
            .expect("an event in time")
            .expect("nothing missed");
        assert_eq!(envelope.decode::<Said>().unwrap().text, round.to_string());
    }
}

#[tokio::test]
async fn two_prefixes_on_one_redis_exchange_no_events() {
    let redis = Redis::new().await;
    let shop = RedisConfig::new(redis.url()).prefix("shop");
    let shop = Channels::redis(shop).await.unwrap();
    let chat = connect(&redis).await;
    let mut mailbox = shop.open().await.unwrap();
    let group = shop.group::<Said>("room").unwrap();
    group.add(mailbox.name()).await.unwrap();

    let other = chat.group::<Said>("room").unwrap();
    other.send(&said("not for you")).await.unwrap();
    group.send(&said("for you")).await.unwrap();

    let envelope = timeout(DEADLINE, mailbox.receive())
        .await
        .expect("an event in time")
        .expect("nothing missed");
    assert_eq!(envelope.decode::<Said>().unwrap().text, "for you");
}

#[tokio::test]
async fn sends_and_joins_wait_for_redis_and_then_fail_with_address_and_reason() {
    let mut redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).send_timeout(Duration::from_millis(300));
    let channels = Channels::redis(config).await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let mailbox = channels.open().await.unwrap();

    redis.stop();
    let address = format!("127.0.0.1:{}", redis.port());
    let unreachable = async {
        loop {
            // The first send may still use a connection that is about to break.
            match room.send(&said("x")).await {
                Err(error) if error.to_string().contains(&address) => return error,
                _ => tokio::task::yield_now().await,
            }
        }
    };
    let error = timeout(DEADLINE, unreachable)
        .await
        .expect("an error that says so");

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("connection refused"), "{error}");
    let error = room.add(mailbox.name()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Layer);
}

#[tokio::test]
async fn joining_again_during_an_outage_does_not_end_the_membership() {
    let mut redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).send_timeout(Duration::from_millis(300));
    let channels = Channels::redis(config).await.unwrap();
    let room = channels.group::<Said>("room").unwrap();
    let mut mailbox = channels.open().await.unwrap();
    room.add(mailbox.name()).await.unwrap();

    redis.stop();
    until("a join that fails", DEADLINE, async || {
        room.add(mailbox.name()).await.is_err().then_some(())
    })
    .await;
    redis.start().await;
    until("a send that is taken", DEADLINE, async || {
        room.send(&said("back")).await.is_ok().then_some(())
    })
    .await;

    let envelope = timeout(DEADLINE, mailbox.receive())
        .await
        .expect("an event in time")
        .expect("nothing missed");
    assert_eq!(envelope.decode::<Said>().unwrap().text, "back");
}

#[tokio::test]
async fn an_invalid_url_or_prefix_is_an_error() {
    let error = Channels::redis("http://127.0.0.1").await.unwrap_err();
    assert!(
        error.to_string().contains("redis://127.0.0.1:6379"),
        "{error}"
    );

    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).prefix("no spaces");
    let error = Channels::redis(config).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Name);
}
