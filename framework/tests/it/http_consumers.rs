//! Tests of HTTP consumers: long polls, bodies, disconnects.

use crate::{
    support::eventually,
    test_consumer::{TestState, asking},
};
use seaway::{Close, Disconnect, bytes::Bytes, testing::HttpCommunicator};

#[tokio::test]
async fn a_long_poll_responds_with_the_next_event() {
    let state = TestState::new();
    let mut client = state.open("next event");
    eventually(|| (state.members() == 1).then_some(())).await;

    state.publish(1, "ahoy").await;

    assert_eq!(client.receive().await.unwrap(), "ahoy");
    assert_eq!(
        state.recorder.wait_for(2).await,
        ["connect", "disconnect Responded"]
    );
    assert_eq!(state.members(), 0);
}

#[tokio::test]
async fn a_slow_consumer_gets_the_number_of_dropped_events() {
    let state = TestState::new();
    let mut client = state.open("count dropped");
    eventually(|| (state.members() == 1).then_some(())).await;

    for number in 0..1030 {
        state.publish(number, "ahoy").await;
    }
    state.go_on.notify_one();

    assert_eq!(client.status().await, 202);
    assert_eq!(client.receive().await.unwrap(), "6 were lost");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_may_time_out_and_be_repeated() {
    let state = TestState::new();

    // The communicator's own timeout is five seconds.
    let mut client = state.open("time out");
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;

    assert_eq!(client.status().await, 204);
}

#[tokio::test]
async fn a_request_rejected_in_connect_joins_no_group() {
    let state = TestState::new();

    let request = asking("reject", "");
    let response = HttpCommunicator::request(&state.app(), request).await;

    let response = response.unwrap();
    assert_eq!(response.status(), 403);
    assert_eq!(response.body(), "you have no ticket");
    assert_eq!(state.recorder.entries(), [""; 0]);
    assert_eq!(state.members(), 0);
}

#[tokio::test]
async fn a_responses_headers_win_over_those_of_connect_and_cookies_are_merged() {
    let mut client = TestState::new().open("cookies");

    let headers = client.response().await.headers();

    let all = |name| -> Vec<_> { headers.get_all(name).iter().collect() };
    assert_eq!(all("set-cookie"), ["hand=1", "greeting=1"]);
    assert_eq!(all("vary"), ["hand"]);
    assert_eq!(all("x-greeting"), ["1"]);
}

#[tokio::test]
async fn every_connected_consumer_disconnects_once_for_any_reason() {
    for (action, status, end) in [
        ("respond", 200, "Responded"),
        ("numbers", 200, "Responded"),
        ("fail", 500, "Failed(User)"),
        ("panic", 500, "Failed(User)"),
    ] {
        let state = TestState::new();

        let mut client = state.open(action);

        assert_eq!(client.status().await, status, "{action}");
        while client.receive().await.is_some() {}
        _ = client.drop_connection().await;
        let entries = state.recorder.wait_for(2).await;
        assert_eq!(entries, ["connect".to_owned(), format!("disconnect {end}")]);
        assert_eq!(state.members(), 0, "{action}");
    }
}

#[tokio::test]
async fn a_client_that_leaves_disconnects_once_whether_waiting_or_streaming() {
    for action in ["next event", "hang", "events", "silent stream"] {
        let state = TestState::new();
        let mut client = state.open(action);
        state.recorder.wait_for(1).await;
        if matches!(action, "events" | "silent stream") {
            assert_eq!(client.status().await, 200);
        }

        client.drop_connection().await.unwrap();

        assert_eq!(
            state.recorder.wait_for(2).await,
            ["connect", "disconnect ClientLeft"],
            "{action}"
        );
        assert_eq!(state.members(), 0, "{action}");
    }
}

#[tokio::test]
async fn a_body_is_read_whole_or_in_chunks_up_to_its_limit() {
    let state = TestState::new();
    for action in ["read body", "read chunks"] {
        for (length, status) in [(0, 200), (1000, 200), (1001, 413)] {
            // A body of unknown length has no Content-Length.
            let pieces = vec![
                Bytes::from(vec![b'x'; length / 2]),
                vec![b'x'; length.div_ceil(2)].into(),
            ];
            for body in [vec![b'x'; length].into(), of_unknown_length(pieces.clone())] {
                let request = asking(action, body);
                let response = HttpCommunicator::request(&state.app(), request).await;
                assert_eq!(response.unwrap().status(), status, "{action}, {length}");
            }
        }
    }
}

fn of_unknown_length(pieces: Vec<Bytes>) -> seaway::protocol::Body {
    struct Pieces(std::vec::IntoIter<Bytes>);
    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(self.0.next().map(|piece| Ok(http_body::Frame::data(piece))))
        }
    }
    seaway::protocol::Body::new(Pieces(pieces.into_iter()))
}

#[tokio::test]
async fn a_disconnect_of_a_group_ends_requests_and_is_not_counted_as_undecodable() {
    for (close, status) in [(4000, 403), (Close::UNAUTHORIZED, 401)] {
        for action in ["next event", "hang"] {
            let state = TestState::new();
            let mut client = state.open(action);
            eventually(|| (state.members() == 1).then_some(())).await;
            let room = state.channels.group::<seaway::NoEvent>("room").unwrap();

            let close = Close::new(close, "enough");
            room.disconnect(close.clone()).await.unwrap();

            assert_eq!(client.status().await, status);
            assert_eq!(client.receive().await.unwrap(), "enough");
            let entries = state.recorder.wait_for(2).await;
            let end = Disconnect::Revoked(close);
            assert_eq!(entries[1], format!("disconnect {end:?}"));
            assert_eq!(state.channels.undecodable(), 0);
        }
    }
}
