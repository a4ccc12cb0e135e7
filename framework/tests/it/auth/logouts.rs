//! Logouts, and what they end.

use crate::{
    around::Around,
    auth_app::{Site, cookie},
    support::eventually,
};
use seaway::Close;
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn a_logout_closes_only_the_websockets_of_its_session() {
    let site = Site::new();
    let (here, there, bo) = (
        site.log_in("ana").await,
        site.log_in("ana").await,
        site.log_in("bo").await,
    );
    let (mut first, _) = site.who(&here).await;
    let (mut second, _) = site.who(&here).await;
    let (mut elsewhere, _) = site.who(&there).await;
    let (mut other, _) = site.who(&bo).await;

    let page = site.get("/logout", &[("cookie", &here)]).await;

    assert!(
        cookie(&page).unwrap().ends_with('='),
        "the cookie is taken back"
    );
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    }
    for socket in [&mut elsewhere, &mut other] {
        socket.send("still here").await;
        assert_eq!(socket.receive_text().await, "still here");
    }
    assert_eq!(site.get("/me", &[("cookie", &here)]).await.status(), 401);
    assert_eq!(site.get("/me", &[("cookie", &there)]).await.body(), "ana");
}

#[tokio::test(start_paused = true)]
async fn a_logout_succeeds_while_the_channel_layer_does_not_respond() {
    for path in ["/logout", "/clear", "/clearing-poll"] {
        // A channel layer that does not respond for a minute.
        let slow = Around {
            delay: Duration::from_secs(60),
            ..Around::default()
        };
        let site = Site::over(slow, |auth| auth, |sessions| sessions);
        let ana = site.log_in("ana").await;
        let (mut socket, _) = site.who(&ana).await;
        let start = Instant::now();

        let page = site.get(path, &[("cookie", &ana)]).await;

        assert_eq!(page.status(), 200, "{path}");
        let waited = start.elapsed();
        assert!(waited < Duration::from_secs(3), "{path}: {waited:?}");
        assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_page_that_clears_the_session_logs_its_websockets_out() {
    let site = Site::new();
    let (here, there) = (site.log_in("ana").await, site.log_in("ana").await);
    let (mut socket, _) = site.who(&here).await;
    let (mut elsewhere, _) = site.who(&there).await;

    site.get("/clear", &[("cookie", &here)]).await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    elsewhere.send("still here").await;
    assert_eq!(elsewhere.receive_text().await, "still here");
    assert_eq!(site.get("/me", &[("cookie", &here)]).await.status(), 401);
}

#[tokio::test]
async fn a_request_that_saves_its_cleared_session_still_gets_its_response() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let (mut socket, _) = site.who(&ana).await;

    let page = site.get("/clearing-poll", &[("cookie", &ana)]).await;

    assert_eq!(
        (page.status().as_u16(), &page.body()[..]),
        (200, &b"cleared"[..])
    );
    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn a_websocket_that_reads_its_user_later_is_closed_at_logout() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let mut cut = site.open("/late", &[("cookie", &ana)]).await;
    for _ in 0..2 {
        cut.send("who?").await;
        assert_eq!(cut.receive_text().await, "ana");
    }
    site.channels.disconnect_user("ana").await.unwrap();
    assert_eq!(cut.receive_close().await.code, Close::UNAUTHORIZED);

    let mut late = site.open("/late", &[("cookie", &ana)]).await;
    for _ in 0..2 {
        late.send("who?").await;
        assert_eq!(late.receive_text().await, "ana");
    }
    site.get("/logout", &[("cookie", &ana)]).await;
    assert_eq!(late.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn an_open_websocket_can_log_out_but_not_log_in() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let (mut socket, _) = site.who(&ana).await;

    socket.send("log in").await;
    let response = socket.receive_text().await;
    assert!(response.contains("log in in an HTTP handler"), "{response}");
    socket.send("log out").await;

    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn a_logout_ends_a_long_poll_with_401_and_ends_a_stream() {
    let site = Site::new();
    let (ana, bo) = (site.log_in("ana").await, site.log_in("bo").await);
    let mut poll = site.ask("/waiting/poll", &ana);
    let mut stream = site.ask("/waiting/stream", &ana);
    let mut other = site.ask("/waiting/stream", &bo);
    assert_eq!(stream.receive_event().await.data, "ana");
    assert_eq!(other.receive_event().await.data, "bo");
    // Both observe their session now.
    tokio::task::yield_now().await;

    site.get("/logout", &[("cookie", &ana)]).await;

    assert_eq!(poll.status().await, 401);
    assert_eq!(stream.receive().await, None);
    let waiting = tokio::time::timeout(Duration::ZERO, other.receive());
    assert!(waiting.await.is_err(), "another session's stream goes on");
    assert_eq!(site.channels.undecodable(), 0);
}

#[tokio::test]
async fn a_request_that_reads_its_user_later_is_ended_at_logout() {
    for logs_out in [false, true] {
        let site = Site::new();
        let ana = site.log_in("ana").await;
        let mut poll = site.ask("/late-poll", &ana);
        let mut stream = site.ask("/late-stream", &ana);
        assert_eq!(stream.receive_event().await.data, "ana");
        let is_watched = || {
            let groups = site.local.groups();
            groups.iter().any(|group| site.local.members(group) == 2)
        };
        eventually(|| is_watched().then_some(())).await;

        if logs_out {
            site.get("/logout", &[("cookie", &ana)]).await;
        } else {
            site.channels.disconnect_user("ana").await.unwrap();
        }

        assert_eq!(poll.status().await, 401);
        assert_eq!(stream.receive().await, None);
    }
}
