//! Tests of graceful shutdown: the server sends close frames to all clients, and then exits.

use std::time::Duration;

use seaway_tests::support::{Server, raw};

/// The limit of a shutdown whose clients reply to the close frame: there is nothing to wait for.
const AT_ONCE: Duration = Duration::from_secs(3);

/// More than the close timeout of 5 s, and far less than the drain timeout of 30 s.
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
async fn a_client_that_ignores_the_close_frame_does_not_delay_the_shutdown() {
    let mut arena = Server::arena().await;
    let mut silent = arena.raw_client().await;
    assert_eq!(silent.upgrade("/ws/echo", "").await, 101);

    arena.terminate();

    assert_eq!(silent.close_code().await.0, 1001);
    let status = arena.ended(CLOSE_LIMIT).await;
    assert!(status.success(), "{status}: {}", arena.errors());
}

#[tokio::test]
async fn a_second_signal_ends_the_shutdown_at_once() {
    let mut arena = Server::arena().await;
    let mut silent = arena.raw_client().await;
    assert_eq!(silent.upgrade("/ws/echo", "").await, 101);
    arena.terminate();
    assert_eq!(silent.close_code().await.0, 1001);

    arena.terminate();

    // The client's close timeout of 5 s has hardly begun.
    let status = arena.ended(AT_ONCE).await;
    assert!(status.success(), "{status}: {}", arena.errors());
    let line = "received a second stop signal: aborting the remaining connections";
    assert!(arena.errors().contains(line), "{}", arena.errors());
}
