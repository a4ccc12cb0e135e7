//! Tests of events and histories that are too large.

use super::{
    log::Log,
    said::{Said, connect, member, next_is_a_notice, next_text, said},
};
use seaway::{
    ChannelName, Channels, ErrorKind, TopicEvent,
    channels::redis::{RedisConfig, Serializer},
};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn an_event_that_is_too_large_is_refused_to_its_sender() {
    let redis = Redis::new().await;
    let config = || RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let jobs = ChannelName::new("jobs").unwrap();
    let large = said(&"x".repeat(512 * 1024));
    // An encrypted one is a third larger.
    let fits = said(&"x".repeat(380 * 1024));

    for config in [
        config(),
        config().queue().prefix("queue"),
        config().serializer(Serializer::Json).prefix("json"),
        config()
            .symmetric_encryption_keys(["a secret"])
            .prefix("secret"),
    ] {
        let channels = Channels::redis(config).await.unwrap();
        let (mut mailbox, room) = member(&channels, "room").await;
        let lot = channels.topic::<Said>("lot").unwrap();

        for outcome in [
            room.send(&large).await,
            channels.send(mailbox.name(), &large).await,
            channels.send(&jobs, &large).await,
            lot.send(&large).await.map(drop),
        ] {
            let error = outcome.expect_err("it is too large");
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:#}");
        }
        room.send(&fits).await.unwrap();
        lot.send(&fits).await.unwrap();
        assert_eq!(next_text(&mut mailbox).await, fits.text);
    }
}

#[tokio::test]
async fn a_receiver_is_notified_of_an_event_of_another_program_that_is_too_large() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let channels = Channels::redis(config).await.unwrap();
    let (mut mailbox, room) = member(&channels, "room").await;
    let other = connect(&redis).await.group::<Said>("room").unwrap();

    other.send(&said(&"x".repeat(1024 * 1024))).await.unwrap();

    next_is_a_notice(&mut mailbox).await;
    room.send(&said("hello")).await.unwrap();
    assert_eq!(next_text(&mut mailbox).await, "hello");
}

#[tokio::test]
async fn a_history_that_is_too_large_is_reported_as_a_gap() {
    let redis = Redis::new().await;
    let config = || RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let sender = Channels::redis(config()).await.unwrap();
    let lot = sender.topic::<Said>("lot").unwrap();
    let first = lot.send(&said("first")).await.unwrap();
    for _ in 0..20 {
        lot.send(&said(&"x".repeat(100 * 1024))).await.unwrap();
    }
    let late = lot.send(&said("late")).await.unwrap();
    lot.send(&said("last")).await.unwrap();

    // A process that has received none of them.
    let reader = Channels::redis(config()).await.unwrap();
    let before = connections(&redis).await;
    for (since, expected) in [(first, false), (late, true)] {
        let lot = reader.topic::<Said>("lot").unwrap();
        let mut listener = lot.listen(Some(since)).await.unwrap();
        let recovered = async {
            loop {
                let event = listener.next().await.expect("no notice");
                if let TopicEvent::Recovered { all, .. } = &*event {
                    return *all;
                }
            }
        };
        let all = timeout(DEADLINE, recovered).await.expect("in time");
        assert_eq!(all, expected);
    }
    reader.health().unwrap();
    assert_eq!(connections(&redis).await, before + 1, "none was made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_without_a_limit_is_one_that_redis_accepts() {
    let redis = Redis::new().await;
    let channels = connect(&redis).await;
    let lot = channels.topic::<Said>("lot.7").unwrap();
    let lot = lot.history_size(usize::MAX).history_age(Duration::MAX);

    let position = lot.send(&said("sold")).await.expect("it is stored");

    assert_eq!(position.offset(), 1);
}

/// Returns how many connections Redis has accepted, with the one that asks.
async fn connections(redis: &Redis) -> u64 {
    let stats = redis.does(&["INFO", "stats"]).await;
    let count = |line: &str| {
        line.strip_prefix("total_connections_received:")?
            .parse()
            .ok()
    };
    stats.lines().find_map(count).expect("a count")
}

#[tokio::test]
async fn the_log_says_why_connections_end_repeatedly() {
    let (log, _listening) = Log::listen();
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let channels = Channels::redis(config).await.unwrap();
    let _member = member(&channels, "room").await;

    let publish = "return redis.call('PUBLISH', 'asgi__group__room', string.rep('x', 1024 * 1024))";
    until("the reason", DEADLINE, async || {
        redis.does(&["EVAL", publish, "0"]).await;
        let lines = log.lines("connections to Redis end repeatedly");
        lines.first()?.contains("max_value_size").then_some(())
    })
    .await;
}
