//! A server that is told of a Redis which is not there says so, and what to do.

use seaway_tests::support::{Redis, Server, wait::DEADLINE};

#[tokio::test]
async fn a_redis_that_is_not_there_is_named_with_a_remedy() {
    let redis = Redis::stopped();
    let mut arena = Server::arena_unawaited(&redis);

    let status = arena.ended(DEADLINE).await;

    assert!(!status.success());
    let errors = arena.errors();
    assert!(
        errors.contains(&format!(
            "cannot connect to Redis at 127.0.0.1:{}",
            redis.port()
        )),
        "{errors}"
    );
    assert!(errors.contains("start Redis there"), "no remedy: {errors}");
}
