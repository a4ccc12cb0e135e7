//! Tests with cookies of other applications on the same host, which must not hide ours.

use crate::site::{Site, asking};
use http::{HeaderValue, header::COOKIE};

/// Returns a `Cookie` header with our cookie, and another application's before or behind it.
fn line(before: &[u8], ours: &str, behind: &[u8]) -> HeaderValue {
    let line = [before, ours.as_bytes(), behind].concat();
    HeaderValue::from_bytes(&line).unwrap()
}

#[tokio::test]
async fn a_foreign_cookie_with_any_bytes_does_not_log_a_user_out() {
    let site = Site::new();
    let ours = site.log_in("ana").await;
    for (before, behind) in [
        (&b"name=Zo\xeb; "[..], &b""[..]),
        (b"", b"; name=Zo\xeb"),
        (b"name=Zo%EB; ", b""),
        (b"\xff; =; ;; ", b"; \xfe\xff=\xff"),
    ] {
        let cookies = line(before, &ours, behind);

        let page = site.request(asking("/me", &[]).header(COOKIE, &cookies));
        assert_eq!(page.await.body(), "ana", "{cookies:?}");

        let mut socket = site.knock(asking("/who", &[]).header(COOKIE, &cookies));
        assert_eq!(socket.status().await, 101, "{cookies:?}");
        assert_eq!(socket.receive_text().await, "ana");
    }
}

#[tokio::test]
async fn the_first_of_two_session_cookies_counts() {
    let site = Site::new();
    let ana = site.log_in("ana").await;
    let bo = site.log_in("bo").await;
    for (first, second, expected) in [(&ana, &bo, "ana"), (&bo, &ana, "bo")] {
        let both = format!("{first}; {second}");

        let page = site.get("/me", &[("cookie", &both)]).await;
        assert_eq!(page.body(), expected);
        assert_eq!(site.who(&both).await.1, expected);
    }
}

#[tokio::test]
async fn a_percent_encoded_name_is_another_name() {
    let site = Site::new();
    let ours = site.log_in("ana").await;
    let disguised = ours.replacen("session", "%73ession", 1);

    let page = site.get("/perhaps", &[("cookie", &disguised)]).await;

    assert_eq!(page.body(), "nobody");
}
