//! Users who are disconnected, or no longer allowed.

use crate::auth_app::Site;
use seaway::Close;
use std::time::Duration;

#[tokio::test]
async fn disconnect_user_closes_all_websockets_of_a_user() {
    let site = Site::new();
    let (here, there, bo) = (
        site.log_in("ana").await,
        site.log_in("ana").await,
        site.log_in("bo").await,
    );
    let (mut first, _) = site.who(&here).await;
    let (mut second, _) = site.who(&there).await;
    let (mut other, _) = site.who(&bo).await;

    site.channels.disconnect_user("ana").await.unwrap();

    for socket in [&mut first, &mut second] {
        let close = socket.receive_close().await;
        assert_eq!((close.code, close.reason()), (4401, "log in again"));
    }
    other.send("still here").await;
    assert_eq!(other.receive_text().await, "still here");
}

#[tokio::test(start_paused = true)]
async fn a_recheck_closes_the_websockets_of_a_banned_user() {
    let site = Site::with(
        |auth| auth.recheck(Duration::from_secs(60)),
        |sessions| sessions,
    );
    let (ana, bo) = (site.log_in("ana").await, site.log_in("bo").await);
    let (mut banned, _) = site.who(&ana).await;
    let (mut careful, _) = site.who(&bo).await;

    site.accounts.ban("ana");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(banned.receive_close().await.code, Close::UNAUTHORIZED);
    careful.send("still here").await;
    assert_eq!(careful.receive_text().await, "still here");

    site.accounts.set_password("bo", "another");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(careful.receive_close().await.code, Close::UNAUTHORIZED);
    assert_eq!(site.get("/me", &[("cookie", &bo)]).await.status(), 401);
}

#[tokio::test]
async fn disconnect_user_ends_a_long_poll_and_a_stream() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let mut poll = site.ask("/waiting/poll", &ana);
    let mut stream = site.ask("/waiting/stream", &ana);
    assert_eq!(stream.receive_event().await.data, "ana");
    tokio::task::yield_now().await;

    site.channels.disconnect_user("ana").await.unwrap();

    assert_eq!(poll.status().await, 401);
    assert_eq!(stream.receive().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_recheck_ends_the_stream_of_a_banned_user() {
    let minute = Duration::from_secs(60);
    let site = Site::with(|auth| auth.recheck(minute), |sessions| sessions);
    let ana = site.log_in("ana").await;
    let mut stream = site.ask("/waiting/stream", &ana);
    assert_eq!(stream.receive_event().await.data, "ana");

    site.accounts.ban("ana");
    tokio::time::sleep(minute).await;

    let rest = async { while stream.receive().await.is_some() {} };
    rest.await;
}
