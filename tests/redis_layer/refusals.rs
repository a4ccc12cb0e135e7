//! What a process with queues receives while Redis refuses some of its commands.

use super::said::{Said, member, next_is_a_notice, queue, said};
use seaway::{
    Channels, Group,
    channels::{Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::time::timeout;

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
    receives(&room, &mut mailbox).await;
    channels.health().unwrap();
    let mut other = channels.open().await.unwrap();
    room.add(other.name()).await.expect("the group exists");
    receives(&room, &mut other).await;
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
    receives(&hall, &mut member_of_hall).await;
    next_is_a_notice(&mut member_of_room).await;
    channels.health().unwrap();
    let newcomer = channels.open().await.unwrap();
    let error = room.add(newcomer.name()).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    redis.does(&["DEL", "asgi:group:room"]).await;
    receives(&room, &mut member_of_room).await;
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

/// Breaks all connections to Redis but that of the test.
async fn disconnect_all(redis: &Redis) {
    redis.does(&["CLIENT", "KILL", "TYPE", "normal"]).await;
}

/// Sends events until one is received: a notice may precede it.
async fn receives(room: &Group<Said>, mailbox: &mut Mailbox) {
    until("a send", DEADLINE, async || {
        room.send(&said("received")).await.ok()
    })
    .await;
    until("an event", DEADLINE, async || {
        timeout(DEADLINE, mailbox.receive()).await.unwrap().ok()
    })
    .await;
}
