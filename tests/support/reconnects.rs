//! Thousands of members that join and leave, beside a group that continues to receive.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use seaway::{Channels, channels::Mailbox};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{Redis, wait::DEADLINE};

/// The number of concurrent joins.
const AT_ONCE: usize = 256;

/// The interval between messages to the group.
const EVERY: Duration = Duration::from_millis(5);

/// The results of a run.
#[derive(Clone, Copy, Debug)]
pub struct Churn {
    /// Members that have joined a group of their own and left it.
    pub members: usize,
    /// The duration of all joins and leaves.
    pub took: Duration,
    /// Messages that the other group received meanwhile.
    pub received: usize,
    /// The longest delivery of one of them.
    pub slowest: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename = "number")]
struct Number {
    number: usize,
}

impl seaway::Event for Number {}

/// Makes members of one process join and leave as fast as they can, while another process sends to
/// a group of the first.
///
/// # Panics
/// If a message is lost or out of order.
pub async fn churn(redis: &Redis, members: usize) -> Churn {
    let channels = async || Channels::redis(redis.url()).await.expect("Redis is there");
    let (here, there) = (channels().await, channels().await);
    let mut listener = joined(&here, "listeners".to_owned()).await;
    let group = there.group::<Number>("listeners").expect("a name");
    let is_over = AtomicBool::new(false);

    let coming_and_going = async {
        let start = Instant::now();
        let visits = (0..members).map(|number| joined(&here, format!("visit.{number}")));
        let visits = stream::iter(visits).buffer_unordered(AT_ONCE);
        visits.for_each(|mailbox| async { drop(mailbox) }).await;
        is_over.store(true, Relaxed);
        start.elapsed()
    };
    let sending = async {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut received, mut slowest) = (0, Duration::ZERO);
        while !is_over.load(Relaxed) {
            ticks.tick().await;
            let sent = Instant::now();
            group
                .send(&Number { number: received })
                .await
                .expect("Redis takes it");
            let envelope = timeout(DEADLINE, listener.receive()).await;
            let envelope = envelope.expect("a message").expect("nothing was missed");
            let number = envelope.decode::<Number>().expect("a number").number;
            assert_eq!(number, received);
            received += 1;
            slowest = slowest.max(sent.elapsed());
        }
        (received, slowest)
    };
    let (took, (received, slowest)) = tokio::join!(coming_and_going, sending);
    Churn {
        members,
        took,
        received,
        slowest,
    }
}

async fn joined(channels: &Channels, group: String) -> Mailbox {
    let mailbox = channels.open().await.expect("a mailbox");
    let group = channels.group::<Number>(&group).expect("a name");
    group.add(mailbox.name()).await.expect("Redis confirms it");
    mailbox
}

impl fmt::Display for Churn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.members as f64 / self.took.as_secs_f64();
        write!(
            f,
            "{} members joined and left in {:.2?} ({rate:.0}/s); {} messages meanwhile, the slowest in {:.2?}",
            self.members, self.took, self.received, self.slowest
        )
    }
}
