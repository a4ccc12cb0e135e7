//! Tests that the layer does what every channel layer does.

use super::said::{Said, connect, queue};
use seaway::{
    Channels,
    channels::redis::{RedisConfig, Serializer},
    testing::{channel_layer, topics},
};
use seaway_tests::support::Redis;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_layer_conforms() {
    let redis = Redis::new().await;

    channel_layer::conforms(|| connect(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_layer_conforms() {
    let redis = Redis::new().await;

    channel_layer::conforms(|| queue(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_in_redis_expire_with_both_formats_on_one_host_and_on_two() {
    // Long enough for a machine that stalls for a second.
    const EXPIRY: Duration = Duration::from_secs(4);
    for (is_queue, hosts) in [(false, 1), (true, 1), (false, 2), (true, 2)] {
        let redis = [Redis::new().await, Redis::new().await];

        channel_layer::jobs_expire(EXPIRY, async || {
            let config = RedisConfig::new(redis[0].url()).expiry(EXPIRY);
            let config = if is_queue { config.queue() } else { config };
            let config = match hosts {
                1 => config,
                _ => config.host(redis[1].url()),
            };
            Channels::redis(config).await.expect("both are there")
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_conform_with_both_formats() {
    let redis = Redis::new().await;

    topics::conforms(|| connect(&redis)).await;
    topics::conforms(|| queue(&redis)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_conform_with_json_and_with_encryption() {
    let redis = Redis::new().await;
    let config = |prefix: &str| RedisConfig::new(redis.url()).prefix(prefix);

    topics::conforms(async || {
        let config = config("json").serializer(Serializer::Json);
        Channels::redis(config).await.expect("Redis is there")
    })
    .await;
    topics::conforms(async || {
        let config = config("secret").symmetric_encryption_keys(["a secret"]);
        Channels::redis(config).await.expect("Redis is there")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_formats_conform_on_two_hosts() {
    for is_queue in [false, true] {
        let hosts = [Redis::new().await, Redis::new().await];

        channel_layer::conforms(async || {
            let config = RedisConfig::new(hosts[0].url()).host(hosts[1].url());
            let config = if is_queue { config.queue() } else { config };
            Channels::redis(config).await.expect("both are there")
        })
        .await;
    }
}

#[tokio::test]
async fn groups_are_shared_among_hosts() {
    let hosts = [Redis::new().await, Redis::new().await];
    let config = RedisConfig::new(hosts[0].url())
        .host(hosts[1].url())
        .queue();
    let channels = Channels::redis(config).await.unwrap();
    let mailbox = channels.open().await.unwrap();
    for number in 0..20 {
        let group = channels.group::<Said>(format!("room-{number}")).unwrap();
        group.add(mailbox.name()).await.unwrap();
    }

    // Their CRC-32 decides.
    for (name, expected) in [("room-1", 1), ("room-8", 0)] {
        let key = format!("asgi:group:{name}");
        for (number, redis) in hosts.iter().enumerate() {
            let members = redis.does(&["ZCARD", &key]).await;
            let is_there = members == ":1\r\n";
            assert_eq!(is_there, number == expected, "{name} on {number}");
        }
    }
}
