//! Changes that the next check of a socket finds.

use super::{
    matrix::{Place, everywhere, with_each_version},
    site::{OFTEN, alone, site_with},
    socket::{assert_open, who, who_is},
};
use seaway_tests::support::{
    Redis,
    django::Version,
    wait::{DEADLINE, until},
};
use serde_json::{Value, json};

/// How long a cookie of `signed_cookies` lasts that is to expire while its socket is open.
const SOON: u64 = 3;

with_each_version!(what_ends_a_login_in_django_closes_the_socket_at_the_next_check);

async fn what_ends_a_login_in_django_closes_the_socket_at_the_next_check(version: Version) {
    let changes = [
        ("change_password", json!(["COOKIE", "a new long one 9"])),
        ("reset_password", json!(["NAME", "another"])),
        ("deactivate", json!(["NAME"])),
        ("delete_user", json!(["NAME"])),
        ("log_out", json!(["COOKIE"])),
        ("flush", json!(["COOKIE"])),
        ("expire", json!(["COOKIE", -1])),
    ];
    everywhere(version, json!({}), async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        // The cookie of this engine is the session, which no server can take back.
        let is_cookie = engine == "signed_cookies";
        let server = alone(site, redis, engine, &OFTEN).await;
        let (mut nobody, _) = who(&server, &[]).await;
        let mut changed = Vec::new();
        for (function, arguments) in &changes {
            let mut cookie = site.log_in(function).await;
            let expires = is_cookie && *function == "expire";
            if expires {
                let expiring = site.call("expire", json!([cookie, SOON])).await;
                cookie = expiring.as_str().expect("a session cookie").to_owned();
            }
            let (socket, known) = who_is(&server, &cookie).await;
            assert_eq!(known, *function);

            if !expires {
                let arguments = arguments.to_string().replace("COOKIE", &cookie);
                let arguments = arguments.replace("NAME", function);
                let arguments = serde_json::from_str(&arguments).unwrap();
                site.call(function, arguments).await;
            }
            changed.push((*function, cookie, socket));
        }
        for (function, cookie, mut socket) in changed {
            let user = match is_cookie && matches!(function, "log_out" | "flush") {
                true => {
                    assert_open(&mut socket).await;
                    json!(function)
                }
                false => {
                    assert_eq!(socket.closed().await.0, 4401, "{function}");
                    Value::Null
                }
            };
            assert_eq!(who_is(&server, &cookie).await.1, user, "{function}");
            let page = site.call("knows", json!([cookie])).await;
            assert_eq!(page, user, "{function}");
        }
        assert_open(&mut nobody).await;
    })
    .await;
}

#[tokio::test]
async fn a_cached_session_that_becomes_a_list_closes_its_socket_and_the_log_says_why() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "cache", json!({})).await;
    let mut server = alone(&site, &redis, "cache", &OFTEN).await;
    let cookie = site.log_in("ana").await;
    let (socket, known) = who_is(&server, &cookie).await;
    assert_eq!(known, "ana");

    redis.does(&["RPUSH", "list", "item"]).await;
    let name = format!(":1:django.contrib.sessions.cache{cookie}");
    redis.does(&["RENAME", "list", &name]).await;

    assert_eq!(socket.closed().await.0, 4401);
    assert_eq!(who_is(&server, &cookie).await.1, Value::Null);
    until("a warning", DEADLINE, async || {
        let log = server.errors();
        log.contains("its key holds a list").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_new_cookie_of_a_changed_password_is_known() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let server = alone(&site, &redis, "db", &OFTEN).await;
    let before = site.log_in("ana").await;

    let after = site
        .call("change_password", json!([before, "a new long one 9"]))
        .await;

    assert_eq!(who_is(&server, &before).await.1, Value::Null);
    assert_eq!(who_is(&server, after.as_str().unwrap()).await.1, "ana");
}
