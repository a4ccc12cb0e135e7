//! Tests of the sessions that lead to a user.

use super::{
    app::who_is,
    site::{COOKIE_SALT, KEY, ROW_SALT, Site, log_in, now, signed, signed_json, with},
};
use crate::log::Log;
use seaway::{
    django::{DjangoSessions, SecretKeys},
    testing::TestClient,
};
use serde_json::{Value, json};
use std::time::Duration;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

#[tokio::test]
async fn a_session_of_django_leads_to_its_user() {
    let site = Site::new().await;
    let app = site.app().await;

    for (cookie, who) in [
        (format!("sessionid={KEY}"), "alice"),
        (format!("sessionid=\"{KEY}\""), "alice"),
        (
            format!("sessionid=unknown0unknown0; sessionid={KEY}"),
            "alice",
        ),
        (
            format!("sessionid={KEY}; sessionid=unknown0unknown0"),
            "nobody",
        ),
        (format!("session={KEY}"), "nobody"),
        ("sessionid=unknown0unknown0".to_owned(), "nobody"),
        ("sessionid=short".to_owned(), "nobody"),
        ("sessionid=".to_owned(), "nobody"),
        (format!("sessionid=\"{}\"", "a\\000b".repeat(4)), "nobody"),
        ("theme=dark".to_owned(), "nobody"),
    ] {
        assert_eq!(who_is(&app, &cookie).await.1, who, "{cookie}");
    }
}

/// Channels deletes the session of a rotated key, where Django and Seaway keep the user; in all other
/// cases, the user is the same in Channels.
#[tokio::test]
async fn each_case_of_channels_has_the_user_that_django_knows() {
    let site = Site::new().await;
    let alices = log_in(1, &site.hash("alice"));
    let cases = site.vectors["channels_end_to_end"].as_object().unwrap();
    for (case, recorded) in cases {
        let mut keys = SecretKeys::new(site.secret_key());
        let (mut in_cookies, mut fallback) = (false, false);
        let row = async |session: &Value, expires| {
            let row = site.signed(ROW_SALT, session);
            site.store("anotherrow", &row, expires).await;
            "anotherrow".to_owned()
        };
        let (valid, past) = ("2099-01-01 00:00:00", "2020-01-01 00:00:00");
        let mut in_cookie = |value: &str| {
            in_cookies = true;
            value.to_owned()
        };
        let value = match case.as_str() {
            "valid db session" => KEY.to_owned(),
            "no cookie" => String::new(),
            "unknown key" => KEY.replace('a', "b"),
            "short key (<8 chars)" => "short".to_owned(),
            "after SECRET_KEY rotation with fallback: django.contrib.auth.get_user"
            | "after SECRET_KEY rotation with fallback: channels AuthMiddleware" => {
                keys = SecretKeys::new("the next key").fallback(site.secret_key());
                fallback = true;
                KEY.to_owned()
            }
            "inactive user" | "backend not in AUTHENTICATION_BACKENDS" => {
                row(&recorded["session"], valid).await
            }
            "wrong hash" => row(&with(&alices, "_auth_user_hash", "0"), valid).await,
            "expired row" => row(&alices, past).await,
            "tampered data" => {
                let data = site.signed(ROW_SALT, &alices).replacen('e', "f", 1);
                site.store("anotherrow", &data, valid).await;
                "anotherrow".to_owned()
            }
            "signed_cookies engine, fresh cookie" => in_cookie(&site.signed(COOKIE_SALT, &alices)),
            "signed_cookies engine, cookie older than SESSION_COOKIE_AGE" => {
                let old = now() - MONTH.as_secs() - 1;
                in_cookie(&signed(&site.secret_key(), COOKIE_SALT, &alices, old))
            }
            "quoted cookie value" => format!("\"{KEY}\""),
            "two sessionid cookies (last wins)" => format!("unknown0unknown0; sessionid={KEY}"),
            // Each of these is a cookie alone.
            "signed_cookies cookie value example" => {
                let cookie = recorded.as_str().unwrap();
                assert_eq!(site.in_old_cookie(cookie).await, "alice", "{case}");
                continue;
            }
            "http" => {
                let cookie = |response: &str| {
                    let headers = recorded[response].as_array().unwrap();
                    let line = headers.last().unwrap()[1].as_str().unwrap();
                    let (pair, _) = line.split_once(';').unwrap();
                    pair.strip_prefix("sessionid=").unwrap().to_owned()
                };
                let log_in = cookie("login with signed_cookies engine");
                let log_out = cookie("logout response headers");
                assert_eq!(site.in_old_cookie(&log_in).await, "alice");
                assert_eq!(site.in_old_cookie(&log_out).await, "nobody");
                continue;
            }
            // Middleware of Channels that misses another; here it has none of these parts.
            "middleware errors" => continue,
            _ => panic!("no test of {case}"),
        };
        let user = match recorded["user"].as_str().unwrap() {
            "AnonymousUser" if !fallback => "nobody",
            _ => "alice",
        };
        let sessions = in_cookies.then(|| DjangoSessions::signed_cookies(MONTH));
        let app = site.app_with(|auth| auth, keys, sessions).await;

        let known = who_is(&app, &format!("sessionid={value}")).await.1;

        assert_eq!(known, user, "{case}");
    }
}

#[tokio::test]
async fn a_session_counts_only_if_django_would_accept_it() {
    let site = Site::new().await;
    let log_in = self::log_in(1, &site.hash("alice"));
    for (key, session, expires, who) in [
        ("accepted", log_in.clone(), "2099-01-01 00:00:00", "alice"),
        ("expired0", log_in.clone(), "2020-01-01 00:00:00", "nobody"),
        (
            "nologin0",
            json!({ "cart": [1, 2] }),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "inactive",
            self::log_in(5, &site.hash("inactive")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "wronghash",
            self::log_in(1, &site.hash("bob")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "hashless",
            without(&log_in, "_auth_user_hash"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "unknown0",
            self::log_in(99, &site.hash("alice")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "nonumber",
            with(&log_in, "_auth_user_id", "1 or 1"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "backend0",
            with(&log_in, "_auth_user_backend", "x.Y"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
    ] {
        site.store(key, &site.signed(ROW_SALT, &session), expires)
            .await;
        let app = site.app().await;
        assert_eq!(
            who_is(&app, &format!("sessionid={key}")).await.1,
            who,
            "{key}"
        );
    }
    let tampered = site.signed(ROW_SALT, &log_in).replacen('e', "f", 1);
    let cookie = site.signed(COOKIE_SALT, &log_in);
    let foreign = signed("another site's key", ROW_SALT, &log_in, now());
    for (key, data) in [
        ("tampered", &*tampered),
        ("othersalt", &cookie),
        ("otherkey", &foreign),
        ("rubbish0", "rubbish"),
        ("empty000", ""),
    ] {
        site.store(key, data, "2099-01-01 00:00:00").await;
        let app = site.app().await;
        assert_eq!(
            who_is(&app, &format!("sessionid={key}")).await.1,
            "nobody",
            "{key}"
        );
    }
}

#[tokio::test]
async fn what_rust_cannot_represent_does_not_hide_the_other_values_of_a_session() {
    let site = Site::new().await;
    let rest = with(&log_in(1, &site.hash("alice")), "cart", "3 apples").to_string();
    let rest = &rest[1..];
    let age = Duration::from_secs(3600);
    for other in [
        r#""\ud800":1"#,
        r#""a\udfff\ud800":1,"b":"\ud800""#,
        r#""big":1e999"#,
        // Python takes the last of several.
        r#""_auth_user_id":"2","cart":[]"#,
    ] {
        let json = format!("{{{other},{rest}");
        let sign = |salt| signed_json(&site.secret_key(), salt, &json, now());
        site.store("halfpair", &sign(ROW_SALT), "2099-01-01 00:00:00")
            .await;
        for (sessions, cookie) in [
            (None, "halfpair".to_owned()),
            (Some(DjangoSessions::signed_cookies(age)), sign(COOKIE_SALT)),
        ] {
            let keys = SecretKeys::new(site.secret_key());
            let client = TestClient::new(&site.app_with(|auth| auth, keys, sessions).await);
            for (page, text) in [("/me", "alice"), ("/cart", "3 apples")] {
                let request = client.get(page);
                let response = request.header("cookie", &format!("sessionid={cookie}"));
                assert_eq!(response.await.text(), text, "{json}");
            }
        }
    }
}

#[tokio::test]
async fn an_expiry_within_the_current_second_is_compared_in_utc() {
    let site = Site::new().await;
    let app = site.app().await;
    for (offset, who) in [("+5 seconds", "alice"), ("-1 seconds", "nobody")] {
        let change = "UPDATE django_session SET expire_date = datetime('now', ?)";
        sqlx::query(change)
            .bind(offset)
            .execute(&site.pool)
            .await
            .unwrap();
        assert_eq!(
            who_is(&app, &format!("sessionid={KEY}")).await.1,
            who,
            "{offset}"
        );
    }
}

#[tokio::test]
async fn a_rotated_key_counts_as_long_as_it_is_a_fallback() {
    let site = Site::new().await;
    for (keys, who) in [
        (SecretKeys::new("new").fallback(site.secret_key()), "alice"),
        (SecretKeys::new("new"), "nobody"),
    ] {
        let app = site.app_with(|auth| auth, keys, None).await;
        assert_eq!(who_is(&app, &format!("sessionid={KEY}")).await.1, who);
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM django_session")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1, "nothing is deleted");
}

#[tokio::test]
async fn a_signed_cookie_leads_to_its_user_until_it_is_too_old() {
    let site = Site::new().await;
    let age = Duration::from_secs(100);
    let app = site
        .app_with(
            |auth| auth,
            SecretKeys::new(site.secret_key()),
            Some(DjangoSessions::signed_cookies(age)),
        )
        .await;
    let session = log_in(1, &site.hash("alice"));
    let signed = |before: u64| signed(&site.secret_key(), COOKIE_SALT, &session, now() - before);
    let fresh = signed(0);
    for (cookie, who) in [
        (fresh.clone(), "alice"),
        (signed(90), "alice"),
        (signed(102), "nobody"),
        (fresh[..fresh.len() - 1].to_owned(), "nobody"),
        (fresh.replacen('e', "f", 1), "nobody"),
        (site.signed(ROW_SALT, &session), "nobody"),
        (KEY.to_owned(), "nobody"),
    ] {
        assert_eq!(who_is(&app, &format!("sessionid={cookie}")).await.1, who);
    }
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_logged_with_the_cause() {
    let site = Site::new().await;
    let app = site.app().await;
    let session = log_in(1, &site.hash("alice"));
    let mut large = session.clone();
    large["value"] = "x".repeat(1024 * 1024).into();
    for (name, stored, cause) in [
        (
            "ofanother",
            site.signed("accounts.sessions.SessionStore", &session),
            "SECRET_KEY_FALLBACKS",
        ),
        (
            "toolarge",
            site.signed(ROW_SALT, &large),
            "larger than 1 MiB",
        ),
        (
            "toolong0",
            "x".repeat(2 * 1024 * 1024 + 1),
            "larger than 2 MiB",
        ),
        (
            "pickled0",
            site.signed(ROW_SALT, &json!(["pickled"])),
            "SESSION_SERIALIZER",
        ),
    ] {
        let log = Log::listen();
        site.store(name, &stored, "2099-01-01 00:00:00").await;

        assert_eq!(who_is(&app, &format!("sessionid={name}")).await.1, "nobody");

        let line = log.line("cannot read a Django session");
        assert!(line.contains(cause), "{line}");
    }
}

fn without(session: &Value, key: &str) -> Value {
    let mut session = session.clone();
    session.as_object_mut().unwrap().remove(key);
    session
}
