//! Tests of session cookies without a session: it has expired, or never existed.

use crate::{
    auth_app::{Site, cookie},
    log::Log,
};
use std::time::Duration;

/// A cookie with an invented id.
const MADE_UP: &str = "session=AAAAAAAAAAAAAAAAAAAAAA";

#[tokio::test]
async fn a_cookie_without_a_session_is_removed_and_nothing_is_logged() {
    let site = Site::with(
        |auth| auth,
        |sessions| sessions.path("/app").domain("site.example"),
    );
    let log = Log::listen();

    for (path, status) in [("/perhaps", 200), ("/me", 401), ("/members", 303)] {
        let page = site.get(path, &[("cookie", MADE_UP)]).await;
        assert_eq!(page.status(), status, "{path}");
        is_removed(page.headers(), path);
    }
    for (path, status) in [("/who", 101), ("/members", 401)] {
        let mut socket = site.open(path, &[("cookie", MADE_UP)]).await;
        let response = socket.response().await;
        assert_eq!(response.status(), status, "{path}");
        is_removed(response.headers(), path);
    }

    assert_eq!(log.complaints(), Vec::<String>::new());
}

fn is_removed(headers: &seaway::http::HeaderMap, path: &str) {
    let lines: Vec<&str> = headers
        .get_all("set-cookie")
        .iter()
        .map(|line| line.to_str().unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{path}: {lines:?}");
    assert!(lines[0].starts_with("session=; "), "{path}: {}", lines[0]);
    for attribute in ["Path=/app", "Domain=site.example", "Max-Age=0", "Secure"] {
        assert!(lines[0].contains(attribute), "{path}: {}", lines[0]);
    }
}

#[tokio::test]
async fn a_new_session_in_place_of_a_missing_one_has_a_new_id() {
    let site = Site::new();

    let page = site.get("/note", &[("cookie", MADE_UP)]).await;

    let begun = cookie(&page).unwrap();
    assert_ne!(begun, MADE_UP);
    assert!(!begun.ends_with('='), "{begun}");
    let noted = async |cookie: &str| site.get("/noted", &[("cookie", cookie)]).await.into_body();
    assert_eq!(noted(&begun).await, "kept");
    assert_eq!(noted(MADE_UP).await, "");
}

#[tokio::test]
async fn a_logout_without_a_login_succeeds_and_nothing_is_logged() {
    let site = Site::new();
    let log = Log::listen();

    let anonymous = site.get("/logout", &[]).await;
    let stale = site.get("/logout", &[("cookie", MADE_UP)]).await;

    assert_eq!(
        (anonymous.status(), stale.status()),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );
    assert_eq!(cookie(&anonymous), None);
    assert_eq!(cookie(&stale).unwrap(), "session=");
    assert_eq!(log.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_request_in_flight_does_not_remove_the_cookie_of_a_concurrent_login() {
    let site = Site::new();
    let headers = [("cookie", MADE_UP)];

    // The page finds no session and waits, while a login replaces the same cookie.
    let (page, log_in) = tokio::join!(site.get("/renew", &headers), async {
        site.meanwhile().await;
        let log_in = site.get("/login/ana/open%20sesame", &headers).await;
        site.go_on();
        log_in
    });

    assert_eq!(page.status(), 200);
    assert_eq!(cookie(&page), None);
    let ana = cookie(&log_in).unwrap();
    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.body(), "ana");
}

#[tokio::test]
async fn a_request_that_was_sent_before_a_logout_does_not_remove_the_cookie_of_the_next_login() {
    let site = Site::new();
    let old = site.log_in("ana").await;
    site.get("/logout", &[("cookie", &old)]).await;
    site.log_in("ana").await;

    let late = site.get("/perhaps", &[("cookie", &old)]).await;

    assert_eq!(late.body(), "nobody");
    assert_eq!(cookie(&late), None);
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_does_not_change_the_cookie() {
    for (milliseconds, after) in [(1_900, Some("session=".to_owned())), (2_000, None)] {
        let site = Site::new();
        let mut page = site.ask("/renew", MADE_UP);
        site.meanwhile().await;

        tokio::time::advance(Duration::from_millis(milliseconds)).await;
        site.go_on();

        assert_eq!(cookie(page.response().await), after, "{milliseconds} ms");
    }
}
