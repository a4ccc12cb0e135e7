//! The cost of a publish to a topic, next to that of a plain group send over the same Redis.
//!
//! Two channel layers in this process, each with one member of every group, stand for two processes
//! of a program. Both kinds of event are received in the same way, so that the difference is that
//! of sending.

use std::{
    io::{Error, Result},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use seaway::{Channels, Event, channels::redis::RedisConfig};
use tokio::{task::JoinSet, time::sleep};

use crate::{figures::median, gauge::Gauge, options::Options, redis::Redis};

const WARM_UP: Duration = Duration::from_millis(500);
const WATCH: Duration = Duration::from_secs(2);

/// The target: how many times a plain send a publish to a topic may cost.
const MOST_TIMES: f64 = 3.0;

/// How many tasks send, each waiting for its event to be accepted before the next one, and to how
/// many topics or groups.
const LOADS: [(usize, usize); 5] = [(1, 1), (8, 1), (64, 1), (8, 8), (64, 64)];

#[derive(Event)]
enum LotEvent {
    Raised {
        lot: u64,
        cents: u64,
        bidder: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Group,
    Topic,
}

/// The CPU time of Redis and of this process for one event, in microseconds, and events per second.
#[derive(Clone, Copy)]
struct Cost {
    redis: f64,
    own: f64,
    rate: f64,
}

/// Measures all loads and prints a table.
///
/// # Errors
///
/// If Redis does not start, or an event is not accepted.
pub(crate) async fn measure(options: &Options) -> Result<()> {
    println!("| senders | topics | | events/s | Redis CPU µs | own CPU µs |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (senders, topics) in LOADS {
        let mut costs = [const { Vec::new() }; 2];
        for _ in 0..options.effort.rounds {
            for (kind, costs) in [Kind::Group, Kind::Topic].into_iter().zip(&mut costs) {
                costs.push(sample(kind, senders, topics).await?);
            }
        }
        let [group, topic] = costs.map(|costs| middle(&costs));
        for (name, Cost { redis, own, rate }) in [("group", group), ("topic", topic)] {
            println!("| {senders} | {topics} | {name} | {rate:.0} | {redis:.2} | {own:.2} |");
        }
        let (redis, own) = (topic.redis / group.redis, topic.own / group.own);
        let verdict = match redis <= MOST_TIMES && own <= MOST_TIMES {
            true => "",
            false => ", more than 3 times",
        };
        println!("| | | ratio{verdict} | | {redis:.2} | {own:.2} |");
    }
    Ok(())
}

fn middle(costs: &[Cost]) -> Cost {
    let of = |figure: fn(&Cost) -> f64| {
        let values = costs.iter().map(figure).collect();
        median(values).expect("one round at least")
    };
    Cost {
        redis: of(|cost| cost.redis),
        own: of(|cost| cost.own),
        rate: of(|cost| cost.rate),
    }
}

async fn sample(kind: Kind, senders: usize, topics: usize) -> Result<Cost> {
    let redis = Redis::start().await?;
    let mut layers = Vec::new();
    for _ in 0..2 {
        let channels = Channels::redis(RedisConfig::new(redis.url()));
        layers.push(channels.await.map_err(Error::other)?);
    }
    let sent = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for topic in 0..topics {
        for channels in &layers {
            let events = channels.listen::<LotEvent>(&name(topic)).await;
            let mut events = events.map_err(Error::other)?;
            tasks.spawn(async move {
                // A queue that is full is no end: this measures what sending costs.
                loop {
                    _ = events.next().await;
                }
            });
        }
    }
    for sender in 0..senders {
        let (channels, sent) = (layers[0].clone(), sent.clone());
        tasks.spawn(async move { send(kind, &channels, sender, topics, &sent).await });
    }

    sleep(WARM_UP).await;
    let first = read(&redis, &sent)?;
    tokio::select! {
        () = sleep(WATCH) => {}
        Some(ended) = tasks.join_next() => return Err(ended.unwrap_or_else(Error::other)),
    }
    let last = read(&redis, &sent)?;

    let events = last.2 - first.2;
    Ok(Cost {
        redis: (last.0 - first.0) / events,
        own: (last.1 - first.1) / events,
        rate: events / WATCH.as_secs_f64(),
    })
}

/// Sends until an event is not accepted, and returns why.
async fn send(
    kind: Kind,
    channels: &Channels,
    sender: usize,
    topics: usize,
    sent: &AtomicU64,
) -> Error {
    let name = name(sender % topics);
    let (Ok(group), Ok(topic)) = (channels.group(&name), channels.topic(&name)) else {
        return Error::other("the name of a group is not valid");
    };
    loop {
        let event = LotEvent::Raised {
            lot: sender as u64,
            cents: sent.fetch_add(1, Relaxed),
            bidder: "a bidder with a name of usual length".to_owned(),
        };
        let accepted = match kind {
            Kind::Group => group.send(&event).await,
            Kind::Topic => topic.send(&event).await.map(drop),
        };
        if let Err(error) = accepted {
            return Error::other(error);
        }
    }
}

fn name(topic: usize) -> String {
    format!("lot.{topic}")
}

/// Returns the CPU times of Redis and of this process in microseconds, and the number of events.
fn read(redis: &Redis, sent: &AtomicU64) -> Result<(f64, f64, f64)> {
    let own = Gauge::of(std::process::id()).cpu()?.as_secs_f64() * 1e6;
    let redis = redis.cpu()?.as_secs_f64() * 1e6;
    Ok((redis, own, sent.load(Relaxed) as f64))
}
