//! Tests of presence over Redis, between processes.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http::Request;
use seaway::{
    ApplicationExt, Channels, Close, Context, Handshake, HttpConsumer, HttpContext, HttpHandshake,
    PresenceEvent, Rejection, Reply, Result, WebSocketConsumer,
    channels::redis::RedisConfig,
    consumer,
    consumer::Disconnect,
    middleware::Provide,
    testing::{HttpCommunicator, WebSocketCommunicator, presence},
};
use seaway_tests::support::{
    Client, Cluster, Redis, Roster, Server,
    presence_list::{GRACE, LATE, LEASE, arena, no_key_is_left},
    wait::{DEADLINE, until},
};
use serde_json::Value;
use tokio::time::{Instant, timeout};

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

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_an_operator_deletes_in_redis_are_stored_again() {
    let redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    ana.sees("both", &[("ana", 1), ("bo", 1)]).await;

    redis.does(&["FLUSHALL"]).await;
    until("the list in Redis", DEADLINE, async || {
        let people = redis.ask(&["HLEN", "asgi:presence:lot"]).await?;
        (people == ":5\r\n").then_some(())
    })
    .await;

    let cy = Roster::connect(one.port(), "lot", "cy").await;
    for client in [&ana, &bo, &cy] {
        client
            .sees("everyone", &[("ana", 1), ("bo", 1), ("cy", 1)])
            .await;
    }
    assert!(ana.left("bo").is_empty() && bo.left("ana").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_that_another_program_has_damaged_is_repaired_and_excludes_no_one() {
    for damage in ["\u{1}", "text", "\u{94}\u{0}", ""] {
        let redis = Redis::new().await;
        let (mut one, other) = (arena(&redis).await, arena(&redis).await);
        let ana = Roster::connect(one.port(), "lot", "ana").await;
        let bo = Roster::connect(other.port(), "lot", "bo").await;
        bo.sees("both", &[("ana", 1), ("bo", 1)]).await;

        for person in ["kana", "kbo"] {
            redis
                .does(&["HSET", "asgi:presence:lot", person, damage])
                .await;
        }
        let cy = Roster::connect(one.port(), "lot", "cy").await;
        let _bo_again = Roster::connect(other.port(), "lot", "bo").await;
        for client in [&ana, &bo] {
            let everyone = [("ana", 1), ("bo", 2), ("cy", 1)];
            client.sees("everyone", &everyone).await;
        }
        drop(ana);
        bo.sees("no connection", &[("bo", 2), ("cy", 1)]).await;

        one.kill();
        bo.sees("those of the other process", &[("bo", 2)]).await;
        assert_eq!(
            (bo.left("ana").len(), bo.left("cy").len()),
            (1, 1),
            "{damage:?}"
        );
        drop(cy);
    }
}

/// As Redis does at its `maxmemory` with another policy than `noeviction`, or another program.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_which_a_part_is_deleted_or_damaged_is_rebuilt() {
    let harms = [
        "redis.call('DEL', 'asgi:presence:lot')",
        "redis.call('DEL', 'asgi:presence$of:lot')",
        "redis.call('DEL', 'asgi:presence$processes')",
        "for _, key in ipairs(redis.call('KEYS', 'asgi:presence$process:*')) do redis.call('DEL', key) end",
        "redis.call('HSET', 'asgi:presence:lot', 's', 'x')",
        "redis.call('HSET', 'asgi:presence:lot', 's', '-5')",
        "redis.call('HSET', 'asgi:presence:lot', 'e', string.char(255, 254))",
        "redis.call('HDEL', 'asgi:presence:lot', 'c')",
        "redis.call('HDEL', 'asgi:presence:lot', 'kana', 'kbo')",
        "for _, field in ipairs(redis.call('HKEYS', 'asgi:presence$of:lot')) do if field:find('ana$') then redis.call('HDEL', 'asgi:presence$of:lot', field) end end",
        "redis.call('SET', 'asgi:presence:lot', 'x')",
        "redis.call('SET', 'asgi:presence$of:lot', 'x')",
        "for _, field in ipairs(redis.call('HKEYS', 'asgi:presence$of:lot')) do redis.call('HSET', 'asgi:presence$of:lot', field, 'x') end",
        "redis.call('ZADD', 'asgi:presence$processes', 1, string.char(255, 254))",
    ];

    join_all(harms.map(heals)).await;
}

async fn heals(harm: &str) {
    let redis = Redis::new().await;
    let (one, mut other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    let _ana_again = Roster::connect(other.port(), "lot", "ana").await;
    ana.sees("both", &[("ana", 2), ("bo", 1)]).await;

    redis.does(&["EVAL", harm, "0"]).await;

    let cy = Roster::connect(one.port(), "lot", "cy").await;
    for client in [&ana, &bo, &cy] {
        let everyone = [("ana", 2), ("bo", 1), ("cy", 1)];
        client.sees("everyone", &everyone).await;
    }
    let di = Roster::connect(other.port(), "lot", "di").await;
    drop(cy);
    bo.sees("three", &[("ana", 2), ("bo", 1), ("di", 1)]).await;
    other.kill();
    ana.sees("those of one process", &[("ana", 1)]).await;
    assert_eq!(ana.left("ana"), [], "{harm}");
    drop((bo, di));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_connections_another_program_has_deleted_is_counted_anew() {
    const HARM: &str = "\
        for _, field in ipairs(redis.call('HKEYS', 'asgi:presence$of:lot')) do
            if field:find('ana$') then redis.call('HDEL', 'asgi:presence$of:lot', field) end
        end";
    for has_second in [true, false] {
        let redis = Redis::new().await;
        let (one, other) = (arena(&redis).await, arena(&redis).await);
        let ana = Roster::connect(one.port(), "lot", "ana").await;
        let bo = Roster::connect(other.port(), "lot", "bo").await;
        bo.sees("both", &[("ana", 1), ("bo", 1)]).await;

        redis.does(&["EVAL", HARM, "0"]).await;
        if has_second {
            let second = Roster::connect(one.port(), "lot", "ana").await;
            bo.sees("two of ana", &[("ana", 2), ("bo", 1)]).await;
            drop(second);
        }
        drop(ana);

        bo.sees("itself", &[("bo", 1)]).await;
        assert_eq!(bo.left("ana").len(), 1, "{has_second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_is_published_although_redis_refuses_what_follows_it() {
    let redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let _cy = Roster::connect(one.port(), "lot", "cy").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    bo.sees("everyone", &[("ana", 1), ("bo", 1), ("cy", 1)])
        .await;

    redis
        .does(&["ACL", "SETUSER", "default", "-srem", "-sadd"])
        .await;
    drop(ana);

    bo.sees("the others", &[("bo", 1), ("cy", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_whose_removal_was_claimed_and_not_done_are_removed_by_another() {
    let redis = Redis::new().await;
    let arena = arena(&redis).await;
    let _ana = Roster::connect(arena.port(), "lot", "ana").await;
    // All ended before their claims did, which ended as well.
    let harm = "for number = 1, 100 do
        redis.call('ZADD', KEYS[1], 1, 'ended' .. number, 2, '~ended' .. number)
    end";
    let processes = "asgi:presence$processes";

    redis.does(&["EVAL", harm, "1", processes]).await;

    until("one process", DEADLINE, async || {
        let count = redis.ask(&["ZCARD", processes]).await?;
        (count == ":1\r\n").then_some(())
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

impl HttpConsumer for Guest {
    type Event = PresenceEvent<()>;

    async fn connect(handshake: &mut HttpHandshake<Self::Event>) -> Result<Self, Rejection> {
        handshake.present("hall", "ana", ()).await?;
        Ok(Self(handshake.state::<Arc<AtomicUsize>>()?.clone()))
    }

    async fn handle(&mut self, _: &mut HttpContext<Self::Event>) -> Result<Reply> {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_restarts_leave_no_key_behind() {
    let redis = Redis::new().await;
    let mut server = arena(&redis).await;
    for number in 0..100 {
        let key = format!("user-{number}");
        let _client = Roster::connect(server.port(), "lot", &key).await;
        if number % 2 == 0 {
            server.kill();
        } else {
            server.terminate();
            server.ended(DEADLINE).await;
        }
        server.start().await;
    }
    let last = Roster::connect(server.port(), "lot", "last").await;
    last.sees("itself", &[("last", 1)]).await;
    // The list, the connections, the groups of the process, and the processes.
    assert_eq!(redis.does(&["DBSIZE"]).await, ":4\r\n");

    drop(last);

    no_key_is_left(&redis).await;
}

/// Stores this many people of a process that has ended, with metas of this many bytes.
async fn people_of_an_ended_process(redis: &Redis, people: usize, meta: usize) {
    let script = "\
        local people, meta = tonumber(ARGV[1]), cmsgpack.pack(string.rep('m', tonumber(ARGV[2])))
        local process = string.rep('f', 32)
        for number = 1, people do
            local packed = cmsgpack.pack({1, 0, 1, meta})
            redis.call('HSET', 'asgi:presence:lot', 'k' .. number, packed)
            redis.call('HSET', 'asgi:presence$of:lot', process .. number, 1)
        end
        redis.call('HSET', 'asgi:presence:lot', 'e', 5, 's', people, 'c', people)
        redis.call('HSET', 'asgi:presence$of:lot', '#' .. process, people)
        redis.call('SADD', 'asgi:presence$process:' .. process, 'lot')
        redis.call('ZADD', 'asgi:presence$processes', 1, process)";
    let (people, meta) = (people.to_string(), meta.to_string());
    redis.does(&["EVAL", script, "0", &people, &meta]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_that_is_larger_than_the_largest_value() {
    const PEOPLE: usize = 200;
    let redis = Redis::new().await;
    people_of_an_ended_process(&redis, PEOPLE, 16_000).await;
    let config = RedisConfig::new(redis.url()).max_value_size(1024 * 1024);
    let channels = connect(config).await;

    let list = channels.presence::<String>("lot").unwrap().list().await;

    let keys: BTreeSet<_> = list
        .unwrap()
        .into_iter()
        .map(|present| present.key)
        .collect();
    assert_eq!(keys.len(), PEOPLE);
    channels.health().expect("its connections are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_removal_of_a_process_reads_each_of_its_people_once() {
    const PEOPLE: usize = 20_000;
    let redis = Redis::new().await;
    people_of_an_ended_process(&redis, PEOPLE, 10).await;
    redis.does(&["CONFIG", "RESETSTAT"]).await;
    let arena = arena(&redis).await;

    let _other = Roster::connect(arena.port(), "other", "ana").await;

    until("no connection of the process", DEADLINE, async || {
        let left = redis.ask(&["EXISTS", "asgi:presence$of:lot"]).await?;
        (left == ":0\r\n").then_some(())
    })
    .await;
    assert_eq!(calls(&redis, "hkeys").await, 0, "which reads all");
    let scans = calls(&redis, "hscan").await;
    assert!((1..=PEOPLE / 50).contains(&scans), "{scans}");
    let reads = calls(&redis, "hget").await;
    assert!(reads <= 3 * PEOPLE, "{reads}");
}

/// Returns how often a command was called.
async fn calls(redis: &Redis, command: &str) -> usize {
    let stats = redis.does(&["INFO", "commandstats"]).await;
    let line = stats.lines().find_map(|line| {
        let line = line.strip_prefix("cmdstat_")?.strip_prefix(command)?;
        line.strip_prefix(":calls=")?.split(',').next()
    });
    line.map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_go_from_group_to_group_cost_a_few_scripts_for_each() {
    const TABS: usize = 8;
    const GROUPS: usize = 20;
    let redis = Redis::new().await;
    let server = Server::arena_with(&["--redis", &redis.url(), "--grace", "20"]).await;
    let port = server.port();

    join_all((0..TABS).map(async |tab| {
        for group in 0..GROUPS {
            let path = format!("/ws/presence/{tab}-{group}?key=ana");
            let mut client = Client::connect(port, &path).await;
            assert!(client.text().await.contains("ana"));
            client.close().await;
        }
    }))
    .await;

    // For each of the connections one declaration at its begin and one at its end, an attempt that
    // is refused, and a lease: twice as many are allowed.
    let scripts = calls(&redis, "evalsha").await;
    assert!(scripts <= 8 * TABS * GROUPS, "{scripts}");
}

/// Is present with a meta that may be absent, which one that cannot be decoded is not.
struct Member;

#[consumer(forward)]
impl Member {
    async fn connect(
        handshake: &mut Handshake<PresenceEvent<Option<String>>>,
    ) -> Result<Self, Rejection> {
        let key: String = handshake.query("key")?;
        handshake.present("lot", &key, Some(key.clone())).await?;
        Ok(Self)
    }
}

/// A connection of a [`Member`], and the people that it has been sent.
struct Viewer {
    client: WebSocketCommunicator,
    people: BTreeSet<String>,
}

impl Viewer {
    async fn enter(channels: &Channels, key: &str) -> Self {
        let app = Member::application(channels).boxed();
        let request = Request::get(format!("/?key={key}"));
        let mut client = WebSocketCommunicator::open(&app, request);
        assert_eq!(client.status().await, 101);
        Self {
            client,
            people: BTreeSet::new(),
        }
    }

    /// Receives events until these people are there.
    async fn sees(&mut self, people: &[&str]) {
        let expected: BTreeSet<_> = people.iter().map(|key| (*key).to_owned()).collect();
        let receiving = async {
            while self.people != expected {
                let event: Value = self.client.receive_json().await;
                for list in ["state", "joined", "updated"] {
                    let people = event[list].as_array().into_iter().flatten();
                    for person in people {
                        assert_eq!(person["meta"], person["key"], "{event}");
                        self.people
                            .insert(person["key"].as_str().unwrap().to_owned());
                    }
                }
                for left in event["left"].as_array().into_iter().flatten() {
                    self.people.remove(left["key"].as_str().unwrap());
                }
            }
        };
        let received = timeout(DEADLINE, receiving).await;
        received.unwrap_or_else(|_| panic!("not {expected:?}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_meta_cannot_be_decrypted_is_left_out_and_nobody_stays_listed() {
    let redis = Redis::new().await;
    let encrypted = async |keys: &[&str]| {
        let config = RedisConfig::new(redis.url());
        connect(config.symmetric_encryption_keys(keys)).await
    };
    for (old, other, rotated) in [
        (
            encrypted(&["old"]).await,
            encrypted(&["old"]).await,
            encrypted(&["new", "old"]).await,
        ),
        (
            connect(RedisConfig::new(redis.url())).await,
            connect(RedisConfig::new(redis.url())).await,
            encrypted(&["new"]).await,
        ),
    ] {
        let mut ana = Viewer::enter(&old, "ana").await;
        let bo = Viewer::enter(&other, "bo").await;
        ana.sees(&["ana", "bo"]).await;
        let cyd = Viewer::enter(&rotated, "cyd").await;
        let mut dan = Viewer::enter(&old, "dan").await;
        let mut eve = Viewer::enter(&other, "eve").await;

        ana.sees(&["ana", "bo", "dan", "eve"]).await;
        dan.sees(&["ana", "bo", "dan", "eve"]).await;
        eve.sees(&["ana", "bo", "dan", "eve"]).await;
        let here = old.presence::<Option<String>>("lot").unwrap();
        assert_eq!(here.list().await.unwrap().len(), 4);
        assert_eq!(here.count().await.unwrap().people, 5);

        drop((bo, cyd));
        ana.sees(&["ana", "dan", "eve"]).await;
        dan.sees(&["ana", "dan", "eve"]).await;
        until("the end of everyone else", DEADLINE, async || {
            (here.count().await.ok()?.people == 3).then_some(())
        })
        .await;
        drop((ana, dan, eve));
        until("the end of everyone", DEADLINE, async || {
            (here.count().await.ok()?.people == 0).then_some(())
        })
        .await;
    }
}
