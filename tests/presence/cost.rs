//! Tests of what a presence costs Redis: keys, reads and scripts.

use super::connect;
use std::collections::BTreeSet;

use futures_util::future::join_all;
use seaway::channels::redis::RedisConfig;
use seaway_tests::support::{
    Client, Redis, Roster, Server,
    presence_list::{arena, no_key_is_left},
    wait::{DEADLINE, until},
};

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
