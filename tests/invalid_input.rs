//! Tests of invalid input: it gets the documented response, and does not affect another client.

use std::time::{Duration, Instant};

use seaway_tests::support::{
    Client, Server, raw,
    raw::{frame, text_frame, unmasked_text_frame},
};

#[tokio::test]
async fn an_unmasked_frame_is_a_protocol_error() {
    ends_with(1002, &unmasked_text_frame(b"hello")).await;
}

#[tokio::test]
async fn reserved_bits_are_a_protocol_error() {
    for reserved in [0x40, 0x20, 0x10] {
        ends_with(1002, &frame(0x81 | reserved, b"hello")).await;
    }
}

#[tokio::test]
async fn an_unknown_opcode_is_a_protocol_error() {
    ends_with(1002, &frame(0x83, b"hello")).await;
}

#[tokio::test]
async fn a_fragmented_ping_is_a_protocol_error() {
    ends_with(1002, &frame(0x09, b"hello")).await;
}

#[tokio::test]
async fn a_text_with_invalid_utf_8_closes_with_1007() {
    ends_with(1007, &text_frame(b"\xf0\x28\x8c\x28")).await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    ends_with(1009, &text_frame(&[b'a'; 1025])).await;
}

#[tokio::test]
async fn a_fragmented_message_over_the_limit_closes_with_1009() {
    let pieces = [frame(0x01, &[b'a'; 1000]), frame(0x80, &[b'a'; 1000])].concat();
    ends_with(1009, &pieces).await;
}

#[tokio::test]
async fn a_message_of_exactly_the_limit_is_accepted() {
    let arena = Server::arena_with(&["--max-message-size", "1024"]).await;
    let mut client = arena.client("/ws/echo").await;

    client.echoes(&"a".repeat(1024)).await;
}

#[tokio::test]
async fn an_incomplete_frame_affects_no_other_client() {
    let arena = Server::arena().await;
    let mut neighbour = Neighbour::of(&arena).await;
    let mut client = arena.raw_client().await;
    assert_eq!(client.upgrade("/ws/room/harbour", "").await, 101);

    client.write(&text_frame(b"half of th")[..9]).await;
    drop(client);

    neighbour.noticed_nothing().await;
}

#[tokio::test]
async fn an_unknown_path_responds_404() {
    let arena = Server::arena().await;
    let mut neighbour = Neighbour::of(&arena).await;

    assert_eq!(
        arena.raw_client().await.upgrade("/ws/nowhere", "").await,
        404
    );
    assert_eq!(raw::get(arena.port(), "/nowhere").await, Some(404));

    neighbour.noticed_nothing().await;
}

#[tokio::test]
async fn a_foreign_origin_is_rejected_and_the_same_origin_is_not() {
    let arena = Server::arena().await;
    let mut neighbour = Neighbour::of(&arena).await;
    let ours = format!("Origin: http://127.0.0.1:{}\r\n", arena.port());

    for (origin, expected) in [
        ("Origin: https://elsewhere.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://127.0.0.1:1\r\n", 403),
        (ours.as_str(), 101),
        ("", 101),
    ] {
        assert_eq!(
            arena.raw_client().await.upgrade("/ws/echo", origin).await,
            expected,
            "{origin}"
        );
    }

    neighbour.noticed_nothing().await;
}

#[tokio::test]
async fn a_head_that_never_ends_is_closed_at_the_timeout() {
    let limit = Duration::from_millis(500);
    let arena = Server::arena_with(&["--head-timeout", "0.5"]).await;
    let mut neighbour = Neighbour::of(&arena).await;
    let mut client = arena.raw_client().await;
    let start = Instant::now();

    client
        .write(b"GET /ws/echo HTTP/1.1\r\nHost: here\r\nX-Slow: ")
        .await;
    // Single bytes at intervals must not extend the timeout.
    let trickle = async {
        while client.write(b"a").await {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if start.elapsed() > limit {
                break;
            }
        }
    };
    trickle.await;
    client.hung_up().await;

    assert!(
        (limit / 2..limit * 6).contains(&start.elapsed()),
        "cut after {:?}",
        start.elapsed()
    );
    neighbour.noticed_nothing().await;
}

/// Sends bytes on an open WebSocket and expects this close code.
async fn ends_with(code: u16, bytes: &[u8]) {
    let arena = Server::arena_with(&["--max-message-size", "1024"]).await;
    let mut neighbour = Neighbour::of(&arena).await;
    let mut client = arena.raw_client().await;
    assert_eq!(client.upgrade("/ws/room/harbour", "").await, 101);

    client.write(bytes).await;

    assert_eq!(client.close_code().await.0, code);
    client.hung_up().await;
    neighbour.noticed_nothing().await;
}

/// Another client on the same server, in the room of the faulty client.
struct Neighbour(Client);

impl Neighbour {
    async fn of(server: &Server) -> Self {
        let mut client = server.client("/ws/room/harbour").await;
        client.echoes("before").await;
        Self(client)
    }

    /// Checks that the next message is its own echo: it received nothing else, and is still served.
    async fn noticed_nothing(&mut self) {
        self.0.echoes("after").await;
    }
}
