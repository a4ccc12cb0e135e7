//! A server that is asked to stop says goodbye to everyone, and then ends.

use std::time::Duration;

use seaway_tests::support::{Server, raw};

/// A server whose clients answer its goodbye has nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(3);

/// More than the 5 seconds that a client has to answer the goodbye; far less than the 30 that the server would drain.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_stop_closes_every_socket_with_1001_and_exits_0() {
    let mut arena = Server::arena().await;
    let mut echo = arena.client("/ws/echo").await;
    let room = arena.client("/ws/room/harbour").await;
    echo.echoes("before").await;

    arena.terminate();

    assert_eq!(echo.closed().await.0, 1001);
    assert_eq!(room.closed().await.0, 1001);
    let status = arena.ended(AT_ONCE).await;
    assert!(status.success(), "{status}: {}", arena.errors());
    assert_eq!(
        raw::get(arena.port(), "/healthz").await,
        None,
        "nobody listens any more"
    );
}

#[tokio::test]
async fn a_client_that_never_answers_the_goodbye_does_not_hold_up_the_stop() {
    let mut arena = Server::arena().await;
    let mut silent = arena.raw_client().await;
    assert_eq!(silent.upgrade("/ws/echo", "").await, 101);

    arena.terminate();

    assert_eq!(silent.close_code().await.0, 1001);
    let status = arena.ended(CLOSE_LIMIT).await;
    assert!(status.success(), "{status}: {}", arena.errors());
}

#[tokio::test]
async fn a_second_signal_ends_the_wait_at_once() {
    let mut arena = Server::arena().await;
    let mut silent = arena.raw_client().await;
    assert_eq!(silent.upgrade("/ws/echo", "").await, 101);
    arena.terminate();
    assert_eq!(silent.close_code().await.0, 1001);

    arena.terminate();

    // The client still has most of its 5 seconds.
    let status = arena.ended(AT_ONCE).await;
    assert!(status.success(), "{status}: {}", arena.errors());
    let line = "asked again to stop: what is left is cut off";
    assert!(arena.errors().contains(line), "{}", arena.errors());
}
