//! Tests of presences that another program or an operator has damaged in Redis.

use futures_util::future::join_all;
use seaway_tests::support::{
    Redis, Roster,
    presence_list::arena,
    wait::{DEADLINE, until},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_key_is_too_long_is_left_out_and_ends_no_process() {
    const HARM: &str = "\
        local lot = 'asgi:presence:lot'
        local long, ana = string.rep('x', 70000), redis.call('HGET', lot, 'kana')
        redis.call('HSET', lot, 'k' .. long, ana)
        for _, field in ipairs(redis.call('HKEYS', 'asgi:presence$of:lot')) do
            local process = field:match('^(.+)ana$')
            if process then redis.call('HSET', 'asgi:presence$of:lot', process .. long, 1) end
        end
        local number = redis.call('HINCRBY', lot, 's', 1)
        local change = {redis.call('HGET', lot, 'e'), number, 0, {long, ana}}
        redis.call('PUBLISH', lot, cmsgpack.pack(change))";
    let redis = Redis::new().await;
    let (one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    ana.sees("itself", &[("ana", 1)]).await;

    redis.does(&["EVAL", HARM, "0"]).await;

    let bo = Roster::connect(other.port(), "lot", "bo").await;
    let cy = Roster::connect(one.port(), "lot", "cy").await;
    for client in [&ana, &bo, &cy] {
        let everyone = [("ana", 1), ("bo", 1), ("cy", 1)];
        client.sees("everyone", &everyone).await;
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

/// Otherwise nobody knows in which groups a killed process had people.
#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_a_process_are_known_for_longer_than_their_lists_last() {
    let redis = Redis::new().await;
    let arena = arena(&redis).await;

    let _ana = Roster::connect(arena.port(), "lot", "ana").await;

    let process = redis.ask(&["KEYS", "asgi:presence$process:*"]).await;
    let process = process.as_deref().and_then(|keys| keys.lines().last());
    let process = process.expect("a process with people");
    let ends = async |key| {
        let remaining = redis.ask(&["PTTL", key]).await?;
        remaining.trim().strip_prefix(':')?.parse::<u64>().ok()
    };
    let (list, groups) = (ends("asgi:presence:lot").await, ends(process).await);
    assert!(
        groups > list.map(|list| list + 1000),
        "{groups:?}, {list:?}"
    );
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
