//! Tests of Redis outages while clients are connected.

use std::time::{Duration, Instant};

use seaway_tests::support::{Client, Redis, Server, wait::POLL};

/// The guarantee: delivery resumes this soon after Redis responds again.
const RESUME: Duration = Duration::from_secs(1);

#[tokio::test]
async fn sockets_survive_a_short_outage_and_delivery_resumes() {
    survives_an_outage_of(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn sockets_survive_an_outage_of_30_seconds_and_delivery_resumes() {
    survives_an_outage_of(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_message_sent_during_an_outage_does_not_close_its_websocket() {
    let mut redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    let mut ana = arena.client("/ws/room/harbour").await;
    redis.stop();

    ana.send("into the gap").await;
    redis.start().await;

    let mut bo = joins(&arena, Instant::now()).await;
    delivers(&mut ana, &mut bo, Instant::now()).await;
}

#[tokio::test]
async fn a_handshake_during_an_outage_gets_503_and_succeeds_after_it() {
    let mut redis = Redis::new().await;
    let arena = Server::arena_on(&redis).await;
    redis.stop();

    assert_eq!(
        arena
            .raw_client()
            .await
            .upgrade("/ws/room/harbour", "")
            .await,
        503
    );
    redis.start().await;

    let back = Instant::now();
    let (mut ana, mut bo) = (joins(&arena, back).await, joins(&arena, back).await);
    delivers(&mut ana, &mut bo, back).await;
}

async fn survives_an_outage_of(length: Duration) {
    let mut redis = Redis::new().await;
    let (one, two) = (
        Server::arena_on(&redis).await,
        Server::arena_on(&redis).await,
    );
    let mut ana = one.client("/ws/room/harbour").await;
    let mut bo = two.client("/ws/room/harbour").await;
    let mut echo = one.client("/ws/echo").await;
    ana.echoes("before").await;
    assert_eq!(bo.text().await, "before");

    redis.stop();
    let start = Instant::now();
    while start.elapsed() < length {
        echo.echoes("still served").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    redis.start().await;

    let back = Instant::now();
    delivers(&mut ana, &mut bo, back).await;
    delivers(&mut bo, &mut ana, back).await;
    echo.echoes("still served").await;
}

/// Joins the room as soon as it is possible again.
async fn joins(arena: &Server, back: Instant) -> Client {
    while arena
        .raw_client()
        .await
        .upgrade("/ws/room/harbour", "")
        .await
        != 101
    {
        assert!(
            back.elapsed() < RESUME,
            "nobody can join {:?} after Redis' return",
            back.elapsed()
        );
        tokio::time::sleep(POLL).await;
    }
    arena.client("/ws/room/harbour").await
}

/// Sends messages until the other client receives one.
async fn delivers(from: &mut Client, to: &mut Client, back: Instant) {
    let word = format!("after {:?}", back.elapsed());
    loop {
        from.send(&word).await;
        while let Some(text) = to.text_within(Duration::from_millis(50)).await {
            if text == word {
                assert!(
                    back.elapsed() < RESUME,
                    "delivery resumed only after {:?}",
                    back.elapsed()
                );
                return;
            }
        }
        assert!(back.elapsed() < RESUME * 5, "delivery did not resume");
    }
}
