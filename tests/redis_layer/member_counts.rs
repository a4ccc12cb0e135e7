//! Tests of the members of a group, counted over all processes.

use super::said::{connect, member};
use seaway::{Channels, ErrorKind, GroupName, channels::redis::RedisConfig};
use seaway_tests::support::{
    Redis,
    wait::{DEADLINE, until},
};
use std::time::Duration;

async fn counted(channels: &Channels, members: u64) {
    counted_in("room", channels, members).await;
}

async fn counted_in(group: &str, channels: &Channels, members: u64) {
    let group = GroupName::new(group).unwrap();
    until(&format!("{members} members"), DEADLINE, async || {
        (channels.members(&group).await.unwrap() == members).then_some(())
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

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_respond_delays_no_count_on_another() {
    let hosts = [Redis::new().await, Redis::new().await];
    let config = RedisConfig::new(hosts[0].url()).host(hosts[1].url());
    let channels = Channels::redis(config.count_members()).await.unwrap();
    let (on_first, on_second) = (group_on(0), group_on(1));
    let (delayed, _) = member(&channels, &on_first).await;
    let (one, _) = member(&channels, &on_second).await;
    let (two, _) = member(&channels, &on_second).await;
    let (_three, _) = member(&channels, &on_second).await;
    counted_in(&on_first, &channels, 1).await;
    counted_in(&on_second, &channels, 3).await;

    hosts[0].freeze();
    drop(delayed);
    drop(one);
    // The first host was sent its number before, or is being sent it.
    counted_in(&on_second, &channels, 2).await;
    drop(two);

    counted_in(&on_second, &channels, 1).await;
}

/// Returns a group whose members are counted on this one of two hosts.
fn group_on(host: u32) -> String {
    let mut names = (0..100).map(|number| format!("room-{number}"));
    let group = names.find(|name| (crc32fast::hash(name.as_bytes()) & 0xfff) / 0x800 == host);
    group.expect("one of 100 groups is on each host")
}

#[tokio::test]
async fn members_that_are_not_to_be_counted_are_an_error_that_says_how() {
    let redis = Redis::new().await;
    let room = GroupName::new("room").unwrap();

    let error = connect(&redis).await.members(&room).await.unwrap_err();

    assert_eq!(error.kind(), ErrorKind::Layer);
    assert!(error.to_string().contains("count_members"), "{error}");
}
