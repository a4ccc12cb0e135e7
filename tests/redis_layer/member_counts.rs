//! Tests of the members of a group, counted over all processes.

use super::said::{connect, member};
use seaway::{Channels, ErrorKind, GroupName, channels::redis::RedisConfig};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::time::Duration;

async fn counted(channels: &Channels, members: u64) {
    let room = GroupName::new("room").unwrap();
    until(&format!("{members} members"), DEADLINE, async || {
        (channels.members(&room).await.unwrap() == members).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_over_all_processes_with_both_formats() {
    for format in ["pubsub", "queue"] {
        let redis = Redis::new().await;
        let connect = async || {
            let config = RedisConfig::new(redis.url()).count_members();
            let config = config.presence_lease(Duration::from_secs(1));
            let config = match format {
                "queue" => config.queue(),
                _ => config,
            };
            Channels::redis(config).await.unwrap()
        };
        let (here, there, outside) = (connect().await, connect().await, connect().await);
        counted(&outside, 0).await;

        let (one, _) = member(&here, "room").await;
        let (_two, room) = member(&here, "room").await;
        let (_three, _) = member(&there, "room").await;
        let (_elsewhere, _) = member(&there, "another").await;
        for channels in [&here, &there, &outside] {
            counted(channels, 3).await;
        }
        room.discard(one.name()).await.unwrap();
        counted(&outside, 2).await;
        drop(one);
        redis.does(&["FLUSHALL"]).await;
        counted(&outside, 2).await;
        // It ends without a word, as if it was killed.
        drop(there);
        counted(&outside, 1).await;

        drop((here, room));
        counted(&outside, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_emptied_before_redis_lost_its_last_writes_is_not_counted() {
    let mut redis = Redis::new().await;
    let connect = async || {
        let config = RedisConfig::new(redis.url()).count_members();
        Channels::redis(config).await.unwrap()
    };
    let (here, there) = (connect().await, connect().await);
    let (left, _) = member(&here, "room").await;
    let (_keeps_the_lease, _) = member(&here, "another").await;
    let (_stays, _) = member(&there, "room").await;
    counted(&there, 2).await;
    redis.does(&["SAVE"]).await;
    drop(left);
    counted(&there, 1).await;

    redis.stop();
    redis.start().await;

    counted(&there, 1).await;
}

#[tokio::test]
async fn members_that_are_not_to_be_counted_are_an_error_that_says_how() {
    let redis = Redis::new().await;
    let room = GroupName::new("room").unwrap();

    let error = connect(&redis).await.members(&room).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("count_members"), "{error}");
}
