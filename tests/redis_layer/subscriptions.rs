//! Tests of the wire format `pubsub`: what a process subscribes to.

use super::said::{Said, connect, said};
use seaway::{Channels, channels::redis::RedisConfig};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use tokio::time::timeout;

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
