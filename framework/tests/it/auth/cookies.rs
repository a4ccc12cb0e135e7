//! The cookie of the session, and when the session expires.

use crate::auth_app::{Site, cookie};
use seaway::session::{
    Expiry, Key, SameSite,
    time::{Duration as Span, OffsetDateTime},
};
use std::time::Duration;

#[tokio::test]
async fn the_cookie_has_safe_attributes_by_default() {
    let site = Site::new();
    let page = site.get("/note", &[]).await;
    let line = page.headers()["set-cookie"].to_str().unwrap();
    for attribute in [
        "session=",
        "HttpOnly",
        "SameSite=Lax",
        "Secure",
        "Path=/",
        "Max-Age=12",
    ] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
    assert!(!line.contains("Domain"), "{line}");

    let site = Site::with(
        |auth| auth,
        |sessions| {
            sessions
                .cookie_name("id")
                .path("/members")
                .domain("site.example")
                .same_site(SameSite::Strict)
                .secure(false)
                .http_only(false)
                .expiry(Expiry::OnSessionEnd)
        },
    );
    let page = site.get("/note", &[]).await;
    let line = page.headers()["set-cookie"].to_str().unwrap();
    for attribute in [
        "id=",
        "SameSite=Strict",
        "Path=/members",
        "Domain=site.example",
    ] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
    for attribute in ["HttpOnly", "Secure", "Max-Age", "Expires"] {
        assert!(!line.contains(attribute), "{attribute} in {line}");
    }
}

#[tokio::test]
async fn a_session_expires_at_its_date() {
    let past = Expiry::AtDateTime(OffsetDateTime::now_utc() - Span::seconds(1));
    let site = Site::with(|auth| auth, |sessions| sessions.expiry(past));

    let ana = site.log_in("ana").await;

    assert_eq!(site.get("/me", &[("cookie", &ana)]).await.status(), 401);
}

#[tokio::test]
async fn requests_renew_a_session_that_expires_on_inactivity() {
    let expiry = Expiry::OnInactivity(Span::seconds(30));
    let site = Site::with(|auth| auth, |sessions| sessions.expiry(expiry));
    let ana = site.log_in("ana").await;
    let start = std::time::Instant::now();

    // The cookie is renewed once a tenth of the period has passed.
    loop {
        let page = site.get("/me", &[("cookie", &ana)]).await;
        assert_eq!(page.body(), "ana");
        if cookie(&page).is_some() {
            break;
        }
        tokio::task::yield_now().await;
    }

    assert!(
        start.elapsed() >= Duration::from_secs(2),
        "it was fresh enough"
    );
}

#[tokio::test]
async fn a_session_keeps_an_expiry_of_its_own() {
    let site = Site::new();

    let first = site.get("/briefly", &[]).await;
    let brief = cookie(&first).unwrap();
    let second = site.get("/note", &[("cookie", &brief)]).await;

    for page in [&first, &second] {
        let line = page.headers()["set-cookie"].to_str().unwrap();
        let (_, age) = line.split_once("Max-Age=").expect("an age");
        let age: u64 = age.split(';').next().unwrap().parse().unwrap();
        assert!((590..=600).contains(&age), "{line}");
    }
}

#[tokio::test]
async fn signed_and_private_cookies_identify_their_session() {
    let key = Key::from(&[7; 64]);
    let plain = Site::new().log_in("ana").await;
    for site in [
        Site::with(|auth| auth, |sessions| sessions.signed(key.clone())),
        Site::with(|auth| auth, |sessions| sessions.private(key.clone())),
    ] {
        let ana = site.log_in("ana").await;

        assert_eq!(site.who(&ana).await.1, "ana");
        assert!(ana.len() > plain.len(), "the value is protected: {ana}");
    }
}
