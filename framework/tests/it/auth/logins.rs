//! Logins, on pages and in handshakes.

use crate::auth_app::{Site, cookie};
use seaway::Close;

#[tokio::test]
async fn a_login_on_a_page_applies_to_pages_and_websockets() {
    let site = Site::new();
    let ana = site.log_in("ana").await;

    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");
    assert_eq!(site.who(&ana).await.1, "ana");
    assert_eq!(site.get("/me", &[]).await.status(), 401);
    assert_eq!(site.get("/perhaps", &[]).await.body(), "nobody");
    assert_eq!(site.who("").await.1, "nobody");
}

#[tokio::test]
async fn a_wrong_password_fails_the_login() {
    let site = Site::new();

    let page = site.get("/login/ana/sesame", &[]).await;

    assert_eq!(page.body(), "wrong name or password");
    assert_eq!(cookie(&page), None);
}

#[tokio::test]
async fn a_handshake_can_log_in_with_or_without_a_session_and_a_logout_closes_its_websocket() {
    let site = Site::new();
    let anonymous = cookie(&site.get("/note", &[]).await).unwrap();

    for headers in [&[][..], &[("cookie", anonymous.as_str())]] {
        let mut socket = site.open("/who?login=ana", headers).await;
        let ana = cookie(socket.response().await).expect("a cookie on the 101");
        assert_eq!(socket.receive_text().await, "ana");
        assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");

        site.get("/logout", &[("cookie", &ana)]).await;

        assert_eq!(socket.receive_close().await.code, Close::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn anonymous_session_values_survive_a_login_and_those_of_another_user_do_not() {
    let site = Site::new();
    let anonymous = cookie(&site.get("/note", &[]).await).unwrap();

    let page = site
        .get("/login/ana/open%20sesame", &[("cookie", &anonymous)])
        .await;
    let ana = cookie(&page).unwrap();
    let noted = async |cookie: &str| site.get("/noted", &[("cookie", cookie)]).await.into_body();
    assert_eq!(noted(&ana).await, "kept");
    let page = site
        .get("/login/bo/open%20sesame", &[("cookie", &ana)])
        .await;
    let bo = cookie(&page).unwrap();

    assert_ne!(anonymous, ana);
    assert_ne!(ana, bo);
    assert_eq!(noted(&bo).await, "");
    assert_eq!(site.get("/me", &[("cookie", &bo)]).await.body(), "bo");
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}
