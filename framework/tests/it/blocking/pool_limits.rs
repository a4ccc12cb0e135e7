//! Two hundred connections with blocking hooks beside one async connection.

use crate::support::{PATIENCE, Server, connect, echo, next_text, send_text};
use seaway::{
    ApplicationExt, BlockingConsumer, BlockingContext, BlockingHandshake, BlockingPool, Channels,
    NoEvent, Rejection, Result,
    middleware::Provide,
    routing::{PathRouter, ProtocolTypeRouter},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::timeout};

const BLOCKS_FOR: Duration = Duration::from_millis(100);
const LIMIT: usize = 50;
const CROWD: usize = 100;

/// The number of hooks that block now, and the most that did at once.
#[derive(Clone, Default)]
struct Count(Arc<(AtomicUsize, AtomicUsize)>);

struct Sleeper(Count);

impl BlockingConsumer for Sleeper {
    type Input = String;
    type Event = NoEvent;

    fn connect(handshake: &mut BlockingHandshake) -> Result<Self, Rejection> {
        Ok(Self(handshake.state::<Count>()?.clone()))
    }

    fn receive(&mut self, ctx: &mut BlockingContext, text: String) -> Result<()> {
        let (now, most) = &*self.0.0;
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        std::thread::sleep(BLOCKS_FOR);
        now.fetch_sub(1, SeqCst);
        Ok(ctx.send(text)?)
    }
}

/// The runtime has one thread: a hook that blocked it would block everything.
#[tokio::test]
async fn two_hundred_blocking_hooks_run_as_the_pool_allows_and_delay_no_other_connection() {
    let count = Count::default();
    let sleepers = Sleeper::application(&Channels::in_memory())
        .pool(&BlockingPool::new(LIMIT))
        .with(Provide(count.clone()));
    let app = PathRouter::new()
        .route("/blocking", sleepers)
        .route("/echo", echo());
    let server = Server::start(ProtocolTypeRouter::new().websocket(app)).await;
    let address = server.address;
    let mut other = connect(address, "/echo").await;
    let mut crowd = Vec::new();
    for _ in 0..2 * CROWD {
        crowd.push(connect(address, "/blocking").await);
    }

    let started = Instant::now();
    let asking = tokio::spawn(async {
        let mut asking = JoinSet::new();
        for (number, mut client) in crowd.into_iter().enumerate() {
            asking.spawn(async move {
                send_text(&mut client, &number.to_string()).await;
                assert_eq!(next_text(&mut client).await, number.to_string());
            });
        }
        asking.join_all().await
    });
    let mut waits = Vec::new();
    while !asking.is_finished() {
        let asked = Instant::now();
        send_text(&mut other, "still here?").await;
        assert_eq!(next_text(&mut other).await, "still here?");
        waits.push(asked.elapsed());
    }
    timeout(PATIENCE, asking).await.unwrap().unwrap();
    let took = started.elapsed();

    waits.sort();
    let (half, slowest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("all blocked for {took:?}; meanwhile {} echoes", waits.len());
    println!("half of the echoes came within {half:?}, the slowest in {slowest:?}");
    assert_eq!(count.0.1.load(SeqCst), LIMIT, "as many as the pool allows");
    // Sequentially it would take 20 s; four rounds take 0.4 s.
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(
        half < BLOCKS_FOR,
        "half of the echoes took {half:?} or more"
    );
}
