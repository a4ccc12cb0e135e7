//! What a process with queues receives while Redis refuses some of its commands.

use super::{
    queues::{calls, receives_again},
    said::{Said, member, next_is_a_notice, queue, said},
};
use seaway::{Channels, ErrorKind, channels::redis::RedisConfig};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::{join, time::timeout};

/// Redis refuses to add a member that it has.
#[tokio::test]
async fn a_process_that_reconnects_at_maxmemory_keeps_its_groups() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .group_expiry(Duration::from_secs(12));
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;
    let scored = &["ZRANGE", "asgi:group:room", "0", "-1", "WITHSCORES"];
    let joined = redis.does(scored).await;

    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;
    disconnect_all(&redis).await;

    next_is_a_notice(&mut mailbox).await;
    receives_again(&room, &mut mailbox).await;
    channels.health().unwrap();
    let mut other = channels.open().await.unwrap();
    room.add(other.name()).await.expect("the group exists");
    receives_again(&room, &mut other).await;
    redis.does(&["CONFIG", "SET", "maxmemory", "0"]).await;
    until("a renewed membership", DEADLINE, async || {
        (redis.does(scored).await != joined).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_group_whose_key_was_replaced_before_a_reconnection_stops_no_other() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut member_of_hall, hall) = member(&channels, "hall").await;
    let (mut member_of_room, room) = member(&channels, "room").await;

    redis.does(&["SET", "asgi:group:room", "x"]).await;
    disconnect_all(&redis).await;

    next_is_a_notice(&mut member_of_hall).await;
    receives_again(&hall, &mut member_of_hall).await;
    next_is_a_notice(&mut member_of_room).await;
    channels.health().unwrap();
    let newcomer = channels.open().await.unwrap();
    let error = room.add(newcomer.name()).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    redis.does(&["DEL", "asgi:group:room"]).await;
    receives_again(&room, &mut member_of_room).await;
}

/// Its members have missed what was sent before the process joined again.
#[tokio::test]
async fn a_group_that_redis_accepts_again_notifies_its_members() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, _) = member(&channels, "room").await;
    redis.does(&["SET", "asgi:group:room", "x"]).await;
    disconnect_all(&redis).await;
    until("an event for the channel alone", DEADLINE, async || {
        channels.send(mailbox.name(), &said("direct")).await.ok()
    })
    .await;
    until(
        "the event, after the notices of the gap",
        DEADLINE,
        async || timeout(DEADLINE, mailbox.receive()).await.unwrap().ok(),
    )
    .await;

    redis.does(&["DEL", "asgi:group:room"]).await;

    next_is_a_notice(&mut mailbox).await;
}

#[tokio::test]
async fn errors_at_maxmemory_name_it_and_not_the_acl() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url())
        .queue()
        .send_timeout(Duration::from_secs(1));
    let channels = Channels::redis(config.clone()).await.unwrap();
    let (_mailbox, room) = member(&channels, "room").await;

    redis.does(&["CONFIG", "SET", "maxmemory", "1"]).await;
    redis.does(&["FLUSHALL"]).await;
    disconnect_all(&redis).await;

    let starting = Channels::redis(config).await.unwrap_err();
    let sending = until("a send that fails", DEADLINE, async || {
        room.send(&said("x")).await.err()
    })
    .await;
    for error in [starting, sending, channels.health().unwrap_err()] {
        let error = format!("{error:#}");
        assert!(error.contains("reached its `maxmemory`"), "{error}");
        assert!(!error.contains("ACL"), "{error}");
    }
}

#[tokio::test]
async fn an_event_that_is_refused_while_all_queues_are_full_was_not_sent() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let room = channels.group::<Said>("room").unwrap();
    let member = "specific.0123456789ab8def8123456789abcdef!seaway.room";
    let full = "asgispecific.0123456789ab8def8123456789abcdef!";
    redis
        .does(&["ZADD", "asgi:group:room", "9999999999", member])
        .await;
    redis
        .does(&["SET", &format!("{full}$alive"), "1", "EX", "30"])
        .await;
    let fill = "for entry = 1, 100 do redis.call('ZADD', KEYS[1], 9999999999, entry) end";
    redis.does(&["EVAL", fill, "1", full]).await;

    let refuse = async {
        until("a second attempt", DEADLINE, async || {
            (calls(&redis, "zcount").await >= 2).then_some(())
        })
        .await;
        redis.does(&["ACL", "SETUSER", "default", "-zcount"]).await;
    };
    let event = said("x");
    let (sent, ()) = join!(room.send(&event), refuse);

    let error = sent.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Layer, "{error:#}");
}

/// Breaks all connections to Redis but that of the test.
async fn disconnect_all(redis: &Redis) {
    redis.does(&["CLIENT", "KILL", "TYPE", "normal"]).await;
}
