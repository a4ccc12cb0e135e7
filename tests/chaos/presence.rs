//! Presence while hundreds come and go, and processes and Redis with them; and its cost.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::Request;
use seaway::{
    ApplicationExt, Channels, Context, Handshake, PresenceEvent, Rejection, Result,
    WebSocketConsumer, testing::WebSocketCommunicator,
};
use seaway_tests::support::{
    Redis, Roster, Server,
    presence_list::{GRACE, LATE, LEASE, List, arena, no_key_is_left},
    wait::{DEADLINE, until},
};
use tokio::time::{Instant, sleep};

#[tokio::test(flavor = "multi_thread")]
async fn all_lists_are_true_after_hundreds_came_and_went_through_every_fault() {
    Chaos::new(Redis::new().await, 500)
        .await
        .run(Duration::from_secs(2))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_lists_are_true_after_faults_of_a_redis_that_keeps_its_data() {
    let redis = Redis::with(&["--appendonly", "yes", "--appendfsync", "always"]).await;
    Chaos::new(redis, 200)
        .await
        .run(Duration::from_secs(1))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a soak: `cargo xtask soak`"]
async fn all_lists_are_true_after_two_thousand_came_and_went_for_a_minute() {
    Chaos::new(Redis::new().await, 2000)
        .await
        .run(Duration::from_secs(12))
        .await;
}

/// Clients that come and go at two processes.
struct Chaos {
    redis: Redis,
    servers: [Server; 2],
    crowd: Vec<Roster>,
    size: usize,
    came: usize,
}

impl Chaos {
    async fn new(redis: Redis, size: usize) -> Self {
        Self {
            servers: [arena(&redis).await, arena(&redis).await],
            redis,
            crowd: Vec::new(),
            size,
            came: 0,
        }
    }

    async fn run(mut self, each: Duration) {
        self.fill().await;
        self.churn(each).await;

        self.servers[1].kill();
        self.churn(each).await;
        self.servers[1].start().await;
        self.churn(each).await;

        self.redis.stop();
        self.churn(each / 2).await;
        self.redis.start().await;
        self.churn(each).await;

        self.servers[0].freeze();
        self.churn(LEASE + GRACE + LATE).await;
        self.servers[0].thaw();
        self.churn(each).await;
        self.fill().await;

        self.check().await;
        let came = self.came;
        drop(self.crowd);
        no_key_is_left(&self.redis).await;
        println!("{came} connections");
    }

    /// Connects until the crowd has its size.
    async fn fill(&mut self) {
        loop {
            self.drop_ended();
            if self.crowd.len() >= self.size {
                return;
            }
            self.come().await;
        }
    }

    /// Forgets the clients whose connection has ended, after a look at what they were told.
    fn drop_ended(&mut self) {
        self.crowd.retain(|client| {
            let has_ended = client.has_ended();
            if has_ended {
                assert_eq!(client.faults(), Vec::<String>::new());
            }
            !has_ended
        });
    }

    /// Lets clients leave and others come for a while.
    async fn churn(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            for _ in 0..self.crowd.len().min(4) {
                let one = fastrand::usize(..self.crowd.len());
                let client = self.crowd.swap_remove(one);
                assert_eq!(client.faults(), Vec::<String>::new());
            }
            self.come().await;
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Connects some clients at once, each with one of few keys, to either process.
    async fn come(&mut self) {
        let coming = (0..8).map(|_| {
            let key = format!("k{}", fastrand::usize(..self.size / 2));
            let port = self.servers[fastrand::usize(..2)].port();
            tokio::spawn(async move { Roster::try_connect(port, "hall", &key).await })
        });
        let coming: Vec<_> = coming.collect();
        for client in coming {
            if let Some(client) = client.await.expect("no client panics") {
                self.came += 1;
                self.crowd.push(client);
            }
        }
    }

    /// Checks that all lists become the true one, and that no client was told anything twice.
    async fn check(&mut self) {
        let mut last = String::new();
        let deadline = Instant::now() + LEASE + GRACE + DEADLINE;
        loop {
            self.drop_ended();
            let mut truth = List::new();
            for client in &self.crowd {
                *truth.entry(client.key().to_owned()).or_default() += 1;
            }
            let wrong = self.crowd.iter().find_map(|client| {
                let list = client.list()?;
                (list != truth).then(|| difference(&list, &truth))
            });
            match wrong {
                None if self.crowd.iter().all(|client| client.list().is_some()) => break,
                None => "a client without a list".clone_into(&mut last),
                Some(wrong) => last = wrong,
            }
            assert!(Instant::now() < deadline, "not the true list: {last}");
            sleep(Duration::from_millis(50)).await;
        }
        assert!(self.crowd.len() > self.size / 2, "{}", self.crowd.len());
        for client in &self.crowd {
            assert_eq!(client.faults(), Vec::<String>::new());
        }
    }
}

fn difference(list: &List, truth: &List) -> String {
    let mut keys: Vec<_> = list.keys().chain(truth.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let differing = keys
        .into_iter()
        .filter(|key| list.get(*key) != truth.get(*key));
    let shown = differing.map(|key| format!("{key}: {:?} for {:?}", list.get(key), truth.get(key)));
    shown.take(5).collect::<Vec<_>>().join(", ")
}

/// A consumer that is present and tells its client nothing.
struct Quiet;

impl WebSocketConsumer for Quiet {
    type Input = String;
    type Event = PresenceEvent<String>;

    async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        let meta = format!("the name of {key}");
        handshake.present("hall", key, meta).await?;
        Ok(Quiet)
    }

    async fn receive(&mut self, _: &mut Context<Self::Event>, _: String) -> Result<()> {
        Ok(())
    }
}

async fn enter(channels: &Channels, key: usize) -> WebSocketCommunicator {
    let app = Quiet::application(channels).boxed();
    let request = Request::get(format!("/?key={key}"));
    let mut client = WebSocketCommunicator::open(&app, request);
    assert_eq!(client.status().await, 101);
    client
}

/// Returns the mean duration of some calls.
async fn mean<T>(calls: u32, mut call: impl AsyncFnMut() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..calls {
        call().await;
    }
    start.elapsed() / calls
}

/// Prints what presence costs with 10,000 members in one group.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: `cargo xtask soak`"]
async fn the_cost_of_ten_thousand_members() {
    const MEMBERS: usize = 10_000;
    let redis = Redis::new().await;
    let channels = async || Channels::redis(redis.url()).await.expect("Redis is there");
    let (one, other, outside) = (channels().await, channels().await, channels().await);

    let start = Instant::now();
    let entering = stream::iter(0..MEMBERS).map(|key| {
        let channels = if key % 2 == 0 { &one } else { &other };
        enter(channels, key)
    });
    let members: Vec<_> = entering.buffer_unordered(256).collect().await;
    println!("{} members joined in {:?}", members.len(), start.elapsed());
    let (here, there) = ("hall", outside.presence::<String>("hall").expect("a name"));
    let own = one.presence::<String>(here).expect("a name");
    until("all of them", DEADLINE, async || {
        (own.list().await.ok()?.len() == MEMBERS).then_some(())
    })
    .await;

    redis.does(&["CONFIG", "RESETSTAT"]).await;
    let list = mean(20, async || own.list().await.expect("a list").len()).await;
    let far = mean(20, async || there.list().await.expect("a list").len()).await;
    let count = mean(1000, async || there.count().await.expect("a count")).await;
    let mut more = Vec::new();
    let join = mean(200, async || {
        more.push(enter(&one, MEMBERS + more.len()).await)
    })
    .await;
    println!(
        "list: {list:?} in a process with members, {far:?} in another; count: {count:?}; join: {join:?}"
    );
    for command in ["eval", "hgetall", "hlen", "hget"] {
        let stats = redis.does(&["INFO", "commandstats"]).await;
        let name = format!("cmdstat_{command}:");
        println!(
            "{}",
            stats
                .lines()
                .find(|line| line.starts_with(&name))
                .unwrap_or("-")
        );
    }
    println!("keys: {}", redis.does(&["DBSIZE"]).await.trim());

    redis.does(&["CONFIG", "RESETSTAT"]).await;
    sleep(Duration::from_secs(30)).await;
    let stats = redis.does(&["INFO", "stats"]).await;
    let commands = stats
        .lines()
        .find(|line| line.starts_with("total_commands_processed"));
    println!("idle for 30 s: {}", commands.unwrap_or("-"));
}
