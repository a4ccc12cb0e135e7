//! Tests of processes whose clock differs from that of Redis.

use super::said::{Said, connect, said};
use seaway::{ChannelName, channels::Envelope};
use seaway_tests::support::{Redis, wait::DEADLINE};
use std::time::Duration;

const MINUTES: i64 = 2 * 60;

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
