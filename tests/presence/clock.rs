//! Tests of presences in a Redis whose clock was ahead.

use seaway_tests::support::{
    Redis, Roster, Server,
    presence_list::{arena, no_key_is_left},
};

const HOURS: i64 = 6 * 3600;

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_process_leave_that_was_killed_before_the_clock_of_redis_was_set_back() {
    let redis = Redis::with_clock(HOURS).await;
    let (mut one, other) = (arena(&redis).await, arena(&redis).await);
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(other.port(), "lot", "bo").await;
    bo.sees("both", &[("ana", 1), ("bo", 1)]).await;

    one.kill();
    // As if a third process had begun to remove them, and was killed.
    let claim = "
        local later = redis.call('TIME')[1] * 1000 + 3000
        for _, process in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
            redis.call('ZADD', KEYS[1], later, '~' .. process)
        end";
    redis
        .does(&["EVAL", claim, "1", "asgi:presence$processes"])
        .await;
    redis.set_clock(0);

    bo.sees("itself", &[("bo", 1)]).await;
    assert_eq!(bo.left("ana").len(), 1);
    drop((ana, bo));
    no_key_is_left(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_whose_grace_time_began_before_the_clock_of_redis_was_set_back_leave() {
    let redis = Redis::with_clock(HOURS).await;
    // A grace time that does not end before the process is killed.
    let mut one = Server::arena_with(&["--redis", &redis.url(), "--grace", "10"]).await;
    let ana = Roster::connect(one.port(), "lot", "ana").await;
    let bo = Roster::connect(one.port(), "lot", "bo").await;
    bo.sees("both", &[("ana", 1), ("bo", 1)]).await;
    drop(ana);
    bo.sees("one connection", &[("ana", 0), ("bo", 1)]).await;

    one.kill();
    redis.set_clock(0);
    let other = arena(&redis).await;
    let cy = Roster::connect(other.port(), "lot", "cy").await;

    cy.sees("itself", &[("cy", 1)]).await;
    assert_eq!(cy.left("ana").len(), 1);
}
