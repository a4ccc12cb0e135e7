//! Tests of presence over Redis, between processes.

mod clock;
mod cost;
mod encrypted;
mod repair;
mod restart;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Request;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    HttpResponse, Json, Missed, PresenceEvent, Rejection, Result, Shared, WebSocketConsumer,
    channels::redis::RedisConfig,
    consumer::Disconnect,
    middleware::Provide,
    testing::{HttpCommunicator, WebSocketCommunicator, presence},
};
use seaway_tests::support::{
    Client, Cluster, Redis, Roster, Server,
    presence_list::{GRACE, LATE, LEASE, arena, no_key_is_left},
    wait::{DEADLINE, until},
};
use tokio::time::Instant;

async fn connect(config: RedisConfig) -> Channels {
    let config = config
        .presence_grace(Duration::from_secs(1))
        .presence_lease(Duration::from_secs(2));
    let channels = Channels::redis(config).await;
    channels.unwrap_or_else(|error| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_over_redis_conforms() {
    let redis = Redis::new().await;

    presence::conforms(async || connect(RedisConfig::new(redis.url())).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_with_queues_and_encryption_conforms() {
    let redis = Redis::new().await;

    presence::conforms(async || {
        let config = RedisConfig::new(redis.url()).queue();
        connect(config.symmetric_encryption_keys(["secret"])).await
    })
    .await;
}

#[tokio::test]
async fn a_lease_and_a_grace_time_without_an_end_reject_no_one() {
    const ENDLESS: &str = "18000000000000000000";
    let redis = Redis::new().await;
    let url = redis.url();
    for redis in [&[][..], &["--redis", url.as_str()]] {
        let times = ["--lease", ENDLESS, "--grace", ENDLESS];
        let server = Server::arena_with(&[&times, redis].concat()).await;

        let mut ana = Client::connect(server.port(), "/ws/presence/lot?key=ana").await;

        assert!(ana.text().await.contains(r#""key":"ana""#), "{redis:?}");
        ana.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_in_a_cluster_conforms() {
    let cluster = Cluster::new().await;

    presence::conforms(async || connect(RedisConfig::new(cluster.url())).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_people_of_a_killed_process_leave_after_lease_and_grace_time_once() {
    let redis = Redis::new().await;
    let (mut one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let both = Roster::connect(one.port(), "lot", "bo").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    let witness = Roster::connect(other.port(), "lot", "witness").await;
    witness
        .sees("everyone", &[("ana", 1), ("bo", 2), ("witness", 1)])
        .await;

    let killed = Instant::now();
    one.kill();

    witness
        .sees(
            "the people of the other process",
            &[("bo", 1), ("witness", 1)],
        )
        .await;
    let [left] = witness.left("ana")[..] else {
        panic!("told more than once: {:?}", witness.left("ana"));
    };
    let after = left - killed;
    assert!(after >= GRACE && after <= LEASE + GRACE + LATE, "{after:?}");
    drop((ana, both, bo, witness));
    drop(other);
    no_key_is_left(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_process_that_stops_have_the_grace_time_to_come_back_to_another() {
    let redis = Redis::new().await;
    let (mut one, other) = (arena(&redis).await, arena(&redis).await);
    let _ana = Roster::connect(one.port(), "lot", "ana").await;
    let _bo = Roster::connect(one.port(), "lot", "bo").await;
    let witness = Roster::connect(other.port(), "lot", "witness").await;
    witness
        .sees("everyone", &[("ana", 1), ("bo", 1), ("witness", 1)])
        .await;

    one.terminate();
    witness
        .sees("nobody connected", &[("ana", 0), ("bo", 0), ("witness", 1)])
        .await;
    let back = Roster::connect(other.port(), "lot", "ana").await;

    witness
        .sees("one back, one gone", &[("ana", 1), ("witness", 1)])
        .await;
    assert_eq!(witness.left("ana").len(), 0);
    assert_eq!(witness.left("bo").len(), 1);
    assert_eq!(witness.joins(), 3);
    back.sees("the same", &[("ana", 1), ("witness", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_suspended_longer_than_its_lease_brings_its_people_back() {
    let redis = Redis::new().await;
    let (mut one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let witness = Roster::connect(other.port(), "lot", "witness").await;
    let both = [("ana", 1), ("witness", 1)];
    witness.sees("both", &both).await;

    one.freeze();
    witness.sees("itself", &[("witness", 1)]).await;
    one.thaw();

    witness.sees("both again", &both).await;
    ana.sees("both again", &both).await;
    assert_eq!((witness.left("ana").len(), witness.joins()), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_redis_without_data_sends_no_presence_event() {
    let mut redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    let cy = Roster::connect(other.port(), "lot", "cy").await;
    for client in [&ana, &bo, &cy] {
        client
            .sees("everyone", &[("ana", 1), ("bo", 1), ("cy", 1)])
            .await;
    }

    redis.stop();
    drop(cy);
    redis.start().await;

    for client in [&ana, &bo] {
        client
            .sees("those who are still connected", &[("ana", 1), ("bo", 1)])
            .await;
        assert_eq!(client.left("cy").len(), 1);
        assert!(client.left("ana").is_empty() && client.left("bo").is_empty());
    }
    let di = Roster::connect(one.port(), "lot", "di").await;
    for client in [&ana, &bo, &di] {
        client
            .sees("a new one", &[("ana", 1), ("bo", 1), ("di", 1)])
            .await;
    }
}

/// Starts an arena whose lease outlasts a restart of Redis.
async fn leased_arena(redis: &Redis) -> Server {
    let times = ["--lease", "15", "--grace", "1"];
    Server::arena_with(&[&["--redis", &redis.url()], &times[..]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_that_redis_has_lost_with_its_last_writes_is_stored_again() {
    let mut redis = Redis::new().await;
    let (one, other) = (leased_arena(&redis).await, leased_arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let elsewhere = Roster::connect(other.port(), "lot", "ana").await;
    let bo = Roster::connect(one.port(), "lot", "bo").await;
    bo.sees("everyone", &[("ana", 2), ("bo", 1)]).await;
    redis.does(&["SAVE"]).await;
    drop(ana);
    bo.sees("one of two", &[("ana", 1), ("bo", 1)]).await;

    redis.stop();
    redis.start().await;

    drop(elsewhere);
    bo.sees("nobody else", &[("bo", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_group_that_a_process_has_left_do_not_come_back_with_older_data() {
    let mut redis = Redis::new().await;
    let (one, other) = (leased_arena(&redis).await, leased_arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let _keeps_the_lease = Roster::connect(one.port(), "another", "cy").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    bo.sees("both", &[("ana", 1), ("bo", 1)]).await;
    redis.does(&["SAVE"]).await;
    drop(ana);
    bo.sees("one", &[("bo", 1)]).await;

    redis.stop();
    redis.start().await;

    until("a list without ana", DEADLINE, async || {
        let listed = redis.ask(&["HEXISTS", "asgi:presence:lot", "kana"]).await?;
        (listed == ":0\r\n").then_some(())
    })
    .await;
    bo.sees("one again", &[("bo", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_whose_connections_in_two_processes_close_at_once_leave() {
    const PEOPLE: usize = 40;
    let redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let mut tabs = Vec::new();
    for person in 0..PEOPLE {
        for server in [&one, &other] {
            let key = format!("p{person}");
            tabs.push(Roster::connect(server.port(), "lot", &key).await);
        }
    }
    let watched = redis.ask(&["HLEN", "asgi:presence:lot"]).await;
    assert_eq!(watched.unwrap(), format!(":{}\r\n", PEOPLE + 3));

    drop(tabs);

    let soon = GRACE + Duration::from_secs(2);
    until("nobody listed", soon, async || {
        (redis.ask(&["EXISTS", "asgi:presence:lot"]).await? == ":0\r\n").then_some(())
    })
    .await;
}

/// Is present in the hall, and counts its ends.
struct Guest(Arc<AtomicUsize>);

impl WebSocketConsumer for Guest {
    type Input = String;
    type Event = PresenceEvent<()>;

    async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
        handshake.present("hall", "ana", ()).await?;
        Ok(Self(handshake.state::<Arc<AtomicUsize>>()?.clone()))
    }

    async fn receive(&mut self, _: &mut Context<Self::Event>, _: String) -> Result<()> {
        Ok(())
    }

    async fn disconnect(self, _: Close) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Is present in the hall, and sends what it is told of others.
struct Witness;

impl WebSocketConsumer for Witness {
    type Input = String;
    type Event = PresenceEvent<()>;

    async fn connect(handshake: &mut Handshake<Self::Event>) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        handshake.present("hall", key, ()).await?;
        Ok(Self)
    }

    async fn receive(&mut self, _: &mut Context<Self::Event>, _: String) -> Result<()> {
        Ok(())
    }

    async fn event(
        &mut self,
        ctx: &mut Context<Self::Event>,
        event: Shared<Self::Event>,
    ) -> Result<()> {
        Ok(ctx.send(Json(event)).await?)
    }

    async fn missed(&mut self, _: &mut Context<Self::Event>, _: Missed) -> Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_announced_after_redis_has_ended_a_subscription() {
    let cluster = Cluster::new().await;
    let sockets = async || {
        // Longer than the test: the renewal of a lease finds what was missed, too.
        let config = RedisConfig::new(cluster.url()).presence_lease(Duration::from_secs(600));
        let channels = Channels::redis(config).await.expect("a Cluster");
        <Witness as WebSocketConsumer>::application(&channels).boxed()
    };
    let mut ana = WebSocketCommunicator::open(&sockets().await, Request::get("/?key=ana"));
    assert_eq!(ana.status().await, 101);
    assert!(ana.receive_text().await.contains("ana"));

    cluster.end_subscriptions().await;

    let mut bo = WebSocketCommunicator::open(&sockets().await, Request::get("/?key=bo"));
    assert_eq!(bo.status().await, 101);
    while !ana.receive_text().await.contains("bo") {}
}

impl HttpConsumer for Guest {
    type Event = PresenceEvent<()>;

    async fn connect(handshake: &mut HttpHandshake<Self::Event>) -> Result<Self, Rejection> {
        handshake.present("hall", "ana", ()).await?;
        Ok(Self(handshake.state::<Arc<AtomicUsize>>()?.clone()))
    }

    async fn handle(&mut self, _: &mut HttpContext<Self::Event>) -> Result<HttpResponse> {
        panic!("its client is not present")
    }

    async fn disconnect(self, _: Disconnect) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_presence_is_not_stored_gets_503_and_its_consumer_ends() {
    let redis = Redis::new().await;
    let config = RedisConfig::new(redis.url()).send_timeout(Duration::from_secs(1));
    let channels = connect(config).await;
    let ends = Arc::new(AtomicUsize::new(0));
    let sockets = <Guest as WebSocketConsumer>::application(&channels);
    let sockets = sockets.with(Provide(ends.clone())).boxed();
    let pages = <Guest as HttpConsumer>::application(&channels);
    let pages = pages.with(Provide(ends.clone())).boxed();
    redis.freeze();

    let mut socket = WebSocketCommunicator::open(&sockets, Request::get("/"));
    let page = HttpCommunicator::request(&pages, Request::get("/").body("").unwrap()).await;

    assert_eq!(socket.status().await, 503);
    assert_eq!(page.unwrap().status(), 503);
    until("the end of both consumers", DEADLINE, async || {
        (ends.load(Ordering::Relaxed) == 2).then_some(())
    })
    .await;
    redis.thaw();
}
