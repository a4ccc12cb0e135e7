//! Tokens instead of cookies.

use crate::auth_app::Site;
use seaway::Close;

#[tokio::test]
async fn a_client_without_cookies_sends_a_token_in_a_header_or_as_a_subprotocol() {
    let site = Site::with(
        |auth| {
            auth.tokens(
                |token| async move { Ok(token.strip_prefix("token-of-").map(str::to_owned)) },
            )
        },
        |sessions| sessions,
    );
    let bearer = ("authorization", "Bearer token-of-ana");
    let offer = ("sec-websocket-protocol", "bearer, token-of-ana");

    assert_eq!(site.get("/me", &[bearer]).await.body(), "ana");
    assert_eq!(
        site.get("/me", &[("authorization", "Bearer stolen")])
            .await
            .status(),
        401
    );
    assert_eq!(site.get("/me?token=token-of-ana", &[]).await.status(), 401);
    assert_eq!(
        site.get("/me", &[offer]).await.status(),
        401,
        "a page offers no subprotocols"
    );
    let mut socket = site.open("/members", &[offer]).await;
    assert_eq!(
        socket.response().await.headers()["sec-websocket-protocol"],
        "bearer"
    );
    assert_eq!(socket.receive_text().await, "ana");
    site.channels.disconnect_user("ana").await.unwrap();
    assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_has_precedence_over_the_cookie() {
    let site = Site::with(
        |auth| {
            auth.tokens(
                |token| async move { Ok(token.strip_prefix("token-of-").map(str::to_owned)) },
            )
        },
        |sessions| sessions,
    );
    let ana = site.log_in("ana").await;

    let page = site
        .get(
            "/me",
            &[("cookie", &ana), ("authorization", "Bearer token-of-bo")],
        )
        .await;
    assert_eq!(page.body(), "bo");
    let page = site
        .get(
            "/me",
            &[("cookie", &ana), ("authorization", "Bearer nonsense")],
        )
        .await;
    assert_eq!(page.status(), 401);
}
