//! Tests of rooms over two processes in which all members publish and read concurrently.

use std::time::Duration;

use seaway_tests::support::{
    Redis, Server,
    load::{Load, LoadRun, SlowReader},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_a_thousand_that_all_publish_at_once_loses_nothing() {
    let redis = Redis::new().await;
    let arenas = [
        Server::arena_on(&redis).await,
        Server::arena_on(&redis).await,
    ];
    let load = Load {
        rooms: 1,
        members: 1000,
        senders: 1000,
        bytes: 0,
        lasts: Duration::from_secs(3),
        pause: Duration::ZERO,
    };
    let run = LoadRun::join(&[arenas[0].port(), arenas[1].port()], load).await;

    let count = run.run().await;

    println!("burst: {count}");
    count.is_complete();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_with_1013_and_others_lose_nothing() {
    let redis = Redis::new().await;
    let arguments = [
        "--redis",
        &redis.url(),
        // Smaller than what a room of a thousand sends at once, so that this takes seconds.
        "--mailbox-capacity",
        "256",
        // The slow reader reads again only when the others are done, and must find the close frame
        // then.
        "--close-timeout",
        "60",
    ];
    let arenas = [
        Server::arena_with(&arguments).await,
        Server::arena_with(&arguments).await,
    ];
    let load = Load {
        rooms: 1,
        members: 1000,
        senders: 1000,
        // The kernels buffer some megabytes for the slow reader before its mailbox fills.
        bytes: 4 * 1024,
        lasts: Duration::from_secs(6),
        pause: Duration::ZERO,
    };
    let slow = SlowReader::join(arenas[0].port(), 0).await;
    let run = LoadRun::join(&[arenas[0].port(), arenas[1].port()], load).await;

    let count = run.run().await;

    println!("slow reader: {count}");
    count.is_complete();
    assert_eq!(slow.close_code().await, Some(1013));
}
