//! Tests of processes whose clock differs from that of Redis.

use super::said::{Said, connect, member, next_text, queue, said};
use seaway::{ChannelName, channels::Envelope};
use seaway_tests::support::{Redis, wait::DEADLINE};
use std::time::Duration;

const MINUTES: i64 = 2 * 60;
const DAY: i64 = 25 * 3600;

#[tokio::test]
async fn jobs_expire_by_the_clock_of_redis() {
    let jobs = ChannelName::new("jobs").unwrap();
    for ahead in [-MINUTES, MINUTES] {
        let redis = Redis::with_clock(ahead).await;
        let channels = connect(&redis).await;
        let layer = channels.layer();
        let send = async |text: &str| {
            let job = Envelope::encode(&said(text)).unwrap();
            layer.send(&jobs, job).await.unwrap();
        };

        send("at once").await;
        let job = layer.receive(&jobs, DEADLINE).await.unwrap();
        let job = job.unwrap_or_else(|| panic!("dropped with {ahead} s"));
        assert_eq!(job.decode::<Said>().unwrap().text, "at once");

        send("too late").await;
        redis.set_clock(ahead + MINUTES);
        let job = layer.receive(&jobs, Duration::ZERO).await.unwrap();
        assert!(job.is_none(), "taken with {ahead} s");
    }
}

#[tokio::test]
async fn memberships_begin_and_expire_by_the_clock_of_redis() {
    const OTHER: &str = "specific.0123456789abcdef0123456789abcdef!other";
    for ahead in [-DAY, DAY] {
        let redis = Redis::with_clock(ahead).await;
        let channels = queue(&redis).await;
        let (mut mailbox, room) = member(&channels, "room").await;
        let join = "
            local hour = redis.call('TIME')[1] - 3600
            redis.call('ZADD', KEYS[1], hour, ARGV[1])
            return redis.call('ZCOUNT', KEYS[1], hour, hour + 3660)";
        let joined = redis
            .does(&["EVAL", join, "1", "asgi:group:room", OTHER])
            .await;
        assert_eq!(joined, ":2\r\n", "{ahead} s");

        room.send(&said("to both")).await.unwrap();

        assert_eq!(next_text(&mut mailbox).await, "to both");
        let members = redis.does(&["ZCARD", "asgi:group:room"]).await;
        assert_eq!(members, ":2\r\n", "{ahead} s");
    }
}
