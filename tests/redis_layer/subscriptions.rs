//! Tests of the wire format `pubsub`: what a process subscribes to.

use super::{
    log::Log,
    said::{Said, connect, member, said},
};
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
async fn a_refused_subscription_is_requested_again_and_logged_once() {
    for (is_queue, command) in [
        (false, "subscribe"),
        (false, "psubscribe"),
        (true, "zadd"),
        (true, "expire"),
        (true, "set"),
    ] {
        let (log, _listening) = Log::listen();
        let redis = Redis::new().await;
        let all = [
            "ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all",
        ];
        redis.does(&all).await;
        let config = RedisConfig::new(format!("redis://shop:secret@127.0.0.1:{}", redis.port()));
        let channels = match is_queue {
            true => Channels::redis(config.queue()).await,
            false => Channels::redis(config).await,
        };
        let channels = channels.unwrap();
        let (mut mailbox, room) = member(&channels, "room").await;

        let (refuse, allow) = (format!("-{command}"), format!("+{command}"));
        redis.does(&["ACL", "SETUSER", "shop", &refuse]).await;
        redis.does(&["FLUSHALL"]).await;
        redis.does(&["CLIENT", "KILL", "USER", "shop"]).await;
        until(
            &format!("three attempts of {command}"),
            DEADLINE,
            async || (rejected(&redis, command).await >= 3).then_some(()),
        )
        .await;
        let logged = log.lines("cannot subscribe; retrying");
        assert_eq!(logged.len(), 1, "{command}: {logged:?}");
        assert!(logged[0].contains("permissions"), "{logged:?}");
        redis.does(&["ACL", "SETUSER", "shop", &allow]).await;

        until("an event after the notice of a gap", DEADLINE, async || {
            room.send(&said("back")).await.ok()?;
            let received = timeout(DEADLINE, mailbox.receive()).await.unwrap();
            received.is_ok().then_some(())
        })
        .await;
    }
}

/// Returns how often Redis has refused a command.
pub(super) async fn rejected(redis: &Redis, command: &str) -> u64 {
    let stats = redis.does(&["INFO", "commandstats"]).await;
    let of_command = format!("cmdstat_{command}:");
    let line = stats.lines().find(|line| line.starts_with(&of_command));
    let count = line.and_then(|line| line.split("rejected_calls=").nth(1));
    let count = count.and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().expect("a number"))
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
