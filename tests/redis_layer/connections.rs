//! Tests of connections that break, and of a Redis that does not respond.

use super::said::{Said, connect, member, next_is_a_notice, next_text, queue, said};
use seaway::{
    Channels, ErrorKind, Group,
    channels::{Mailbox, redis::RedisConfig},
};
use seaway_tests::support::{
    Proxy, Redis,
    proxy::{Side, Wire},
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::time::timeout;

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
async fn a_sender_whose_own_connection_breaks_gets_an_error_at_once() {
    for is_queue in [false, true] {
        for refuses in [false, true] {
            let redis = Redis::new().await;
            let proxy = Proxy::before_redis(&redis).await;
            let config = RedisConfig::new(redis.url_through(proxy.port()));
            let config = if is_queue { config.queue() } else { config };
            sender_gets_the_error_of_its_broken_connection(config, &redis, proxy, refuses).await;
        }
    }
}

/// Breaks the connection on which events are sent during a send; `refuses`: nothing listens at the
/// address for a moment then, as after the end of Redis.
async fn sender_gets_the_error_of_its_broken_connection(
    config: RedisConfig,
    redis: &Redis,
    mut proxy: Proxy,
    refuses: bool,
) {
    let channels = Channels::redis(config).await.unwrap();
    let (_mailbox, group) = member(&channels, "room").await;
    let blocked = async || {
        let clients = redis.does(&["INFO", "clients"]).await;
        let line = clients
            .lines()
            .find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|count| count.parse::<u32>().ok())
    };
    group.send(&said("before")).await.unwrap();
    let readers = blocked().await;
    redis.does(&["CLIENT", "PAUSE", "20000", "WRITE"]).await;
    let sending = tokio::spawn(async move { group.send(&said("during")).await });
    until("a send that Redis holds back", DEADLINE, async || {
        (blocked().await > readers).then_some(())
    })
    .await;

    if refuses {
        proxy.refuse().await;
    }
    proxy.set_side(Side::Publisher, Wire::Cut);
    until("a broken connection", DEADLINE, async || {
        let why = channels.health().err()?.to_string();
        (!refuses || why.contains("refused")).then_some(())
    })
    .await;
    proxy.restore();
    if refuses {
        proxy.accept().await;
    }

    let told = timeout(Duration::from_secs(3), sending).await;
    let error = told.expect("long before the timeout of a send");
    assert_eq!(error.unwrap().unwrap_err().kind(), ErrorKind::Unconfirmed);
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
    // Now the layer forgets the groups that nobody wants.
    let hall = channels.group::<Said>("hall").unwrap();
    hall.add(mailbox.name()).await.unwrap_err();
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

#[tokio::test]
async fn scripts_are_sent_by_their_hash_and_again_once_redis_has_forgotten_them() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let (mut mailbox, room) = member(&channels, "room").await;
    let lot = channels.topic::<Said>("lot").unwrap();

    for _ in 0..2 {
        redis.does(&["SCRIPT", "FLUSH"]).await;
        for number in 0..10 {
            room.send(&said(&number.to_string())).await.unwrap();
            assert_eq!(next_text(&mut mailbox).await, number.to_string());
            lot.send(&said("later")).await.unwrap();
        }
    }

    let calls = redis.does(&["INFO", "commandstats"]).await;
    let calls = |command: &str| {
        let rest = calls.split_once(&format!("cmdstat_{command}:calls="));
        let digits = rest.and_then(|(_, rest)| rest.split(',').next());
        digits.and_then(|digits| digits.parse::<u32>().ok())
    };
    assert_eq!(calls("eval"), Some(6), "each script, after each flush");
    assert_eq!(calls("evalsha"), Some(80));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_topic_that_is_stored_but_not_sent_is_unconfirmed() {
    let redis = Redis::new().await;
    let channels = queue(&redis).await;
    let topic = channels.topic::<Said>("lot").unwrap();
    // The members of the group cannot be read.
    redis.does(&["SET", "asgi:group:lot", "text"]).await;

    let error = topic.send(&said("ahoy")).await.expect_err("not sent");

    assert_eq!(error.kind(), ErrorKind::Unconfirmed, "{error:#}");
    let stored = redis.does(&["XLEN", "asgi:topic:lot"]).await;
    assert_eq!(stored.trim(), ":1");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_recover_from_a_reconnect_while_a_script_blocks_redis() {
    for is_queue in [false, true] {
        let redis = Redis::new().await;
        let proxy = Proxy::before_redis(&redis).await;
        let config = RedisConfig::new(format!("redis://127.0.0.1:{}", proxy.port()));
        let config = if is_queue { config.queue() } else { config };
        let channels = Channels::redis(config).await.expect("Redis is there");
        let (mut mailbox, room) = member(&channels, "room.busy").await;
        redis
            .does(&["CONFIG", "SET", "busy-reply-threshold", "10"])
            .await;

        let script = redis.ask(&["EVAL", "while true do end", "0"]);
        let fault = async {
            redis.until_busy().await;
            proxy.reset();
            unhealthy(&channels, &["BUSY", "INFO"]).await;
            redis.does(&["SCRIPT", "KILL"]).await;
        };
        tokio::join!(script, fault);

        receives_again(&room, &mut mailbox).await;
    }
}

/// Returns the number of connections that Redis has, without that of the question.
async fn connections(redis: &Redis) -> usize {
    redis.does(&["CLIENT", "LIST"]).await.matches("id=").count() - 1
}

#[tokio::test]
async fn what_is_left_of_a_lost_connection_does_not_run_after_what_the_next_one_has_sent() {
    let redis = Redis::new().await;
    let proxy = Proxy::before_redis(&redis).await;
    let config = RedisConfig::new(redis.url_through(proxy.port()));
    let config = config.send_timeout(Duration::from_secs(1));
    let sender = Channels::redis(config).await.unwrap();
    let room = sender.group::<Said>("room").unwrap();
    let receiver = connect(&redis).await;
    let (mut mailbox, _) = member(&receiver, "room").await;
    let before = connections(&redis).await;

    proxy.hold();
    let error = room.send(&said("old")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unconfirmed);
    until("a send on the next connection", DEADLINE, async || {
        room.send(&said("new")).await.ok()
    })
    .await;
    proxy.restore();
    until("the end of the lost connections", DEADLINE, async || {
        (connections(&redis).await == before).then_some(())
    })
    .await;
    room.send(&said("last")).await.unwrap();

    for expected in ["new", "last"] {
        assert_eq!(next_text(&mut mailbox).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_queues_recovers_once_its_user_may_call_info() {
    let redis = Redis::new().await;
    redis
        .does(&[
            "ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all",
        ])
        .await;
    let url = format!("redis://shop:secret@127.0.0.1:{}", redis.port());
    let config = RedisConfig::new(url).queue();
    let channels = Channels::redis(config).await.expect("Redis is there");
    let (mut mailbox, room) = member(&channels, "room.info").await;

    redis.does(&["ACL", "SETUSER", "shop", "-info"]).await;
    redis.does(&["CLIENT", "KILL", "USER", "shop"]).await;
    unhealthy(&channels, &["INFO"]).await;
    redis.does(&["ACL", "SETUSER", "shop", "+info"]).await;

    receives_again(&room, &mut mailbox).await;
}

/// Waits until the layer reports a failure with one of these words.
async fn unhealthy(channels: &Channels, words: &[&str]) {
    until("a failure", DEADLINE, async || {
        let error = channels.health().err()?.to_string();
        words.iter().any(|word| error.contains(word)).then_some(())
    })
    .await;
}

/// Waits until an event can be sent, and is received after the notice of a gap.
async fn receives_again(room: &Group<Said>, mailbox: &mut Mailbox) {
    until("a send", DEADLINE, async || {
        room.send(&said("again")).await.ok()
    })
    .await;
    next_is_a_notice(mailbox).await;
    assert_eq!(next_text(mailbox).await, "again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_refused_and_a_primary_that_becomes_one_is_left() {
    let (primary, redis) = (Redis::new().await, Redis::new().await);
    let channels = connect(&redis).await;

    let port = primary.port().to_string();
    redis.does(&["REPLICAOF", "127.0.0.1", &port]).await;

    unhealthy(&channels, &["it is a replica"]).await;
    let error = Channels::redis(redis.url()).await.unwrap_err();
    assert!(error.to_string().contains("it is a replica"), "{error}");
    redis.does(&["REPLICAOF", "NO", "ONE"]).await;
    until("a primary", DEADLINE, async || channels.health().ok()).await;
}
