//! Test that presence publishes nothing right after a restart of Redis, which would be a gap for
//! processes that reconnect later.

use seaway::{Channels, Event};
use seaway_tests::support::{Redis, Roster, presence_list::arena, wait::DEADLINE};
use tokio::time::timeout;

#[derive(Debug, PartialEq, Event)]
enum Said {
    Number { number: u32 },
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_redis_notifies_no_consumer_beside_a_presence() {
    let mut redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    let channels = Channels::redis(redis.url()).await.unwrap();
    let mut events = channels.listen::<Said>("room").await.unwrap();
    let room = channels.group::<Said>("room").unwrap();

    // Which process reconnects first is random. One that the machine delays by 200 ms has a gap.
    let mut gaps = Vec::new();
    for number in 0..6 {
        for client in [&ana, &bo] {
            client.sees("both", &[("ana", 1), ("bo", 1)]).await;
        }
        redis.until_subscribed("asgi__group__room", 1).await;
        redis.stop();
        redis.start().await;

        let said = Said::Number { number };
        let sending = async { while room.send(&said).await.is_err() {} };
        timeout(DEADLINE, sending).await.expect("sent in time");
        loop {
            match timeout(DEADLINE, events.next()).await.expect("in time") {
                Ok(received) => break assert_eq!(*received, said),
                Err(missed) => gaps.push(missed),
            }
        }
        redis.until_subscribed("asgi:presence:lot", 2).await;
    }

    assert!(gaps.len() <= 2, "{gaps:?}");
}
