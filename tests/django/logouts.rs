//! Logouts that Django announces.

use super::{
    matrix::{Place, everywhere, with_each_engine},
    site::{NEVER, guest_flags, guests, member_flags, members, server, site_with},
    socket::{assert_open, who, who_is},
};
use seaway_tests::support::{Redis, django::Version};
use serde_json::{Value, json};

#[tokio::test]
async fn a_logout_on_a_page_closes_the_sockets_of_its_session_at_once() {
    with_each_engine(async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let (here, bo) = (site.log_in("ana").await, site.log_in("bo").await);
        // A cookie of `signed_cookies` would be the same, if it is from the same second.
        let there = match engine {
            "signed_cookies" => None,
            _ => Some(site.log_in_again("ana").await),
        };
        let server = server(site, redis, engine, &NEVER).await;
        let (first, _) = who_is(&server, &here).await;
        let (second, _) = who_is(&server, &here).await;
        let (mut bos, _) = who_is(&server, &bo).await;
        let elsewhere = match &there {
            Some(cookie) => Some(who_is(&server, cookie).await.0),
            None => None,
        };
        let (mut nobody, _) = who(&server, &[]).await;

        site.call("log_out", json!([here])).await;

        for socket in [first, second] {
            assert_eq!(socket.closed().await, (4401, "logged out".to_owned()));
        }
        for socket in [&mut bos, &mut nobody] {
            assert_open(socket).await;
        }
        if let Some(mut socket) = elsewhere {
            assert_open(&mut socket).await;
        }
    })
    .await;
}

/// With `signed_cookies` the session has another cookie then, and only the user is the same: with
/// any primary key, also one that is no name of a group.
#[tokio::test]
async fn a_logout_closes_the_sockets_from_before_the_session_was_saved_again() {
    let long = "x".repeat(150);
    for (settings, flags, [name, other]) in [
        (json!({}), vec![], ["ana", "bo"]),
        (
            members(),
            member_flags(),
            ["ana@example.com", "bo@example.com"],
        ),
        (guests(), guest_flags(), ["åna/1@example.com", &long]),
        (guests(), guest_flags(), [&long, "åna/1@example.com"]),
    ] {
        everywhere(Version::Newest, settings, async |place: Place<'_>| {
            let Place {
                site,
                redis,
                engine,
                ..
            } = place;
            let (before, bo) = (site.log_in(name).await, site.log_in(other).await);
            let flags = [&NEVER[..], &flags].concat();
            let server = server(site, redis, engine, &flags).await;
            let (first, _) = who_is(&server, &before).await;
            let after = site.call("put", json!([before, "cart", [1]])).await;
            let after = after.as_str().expect("a session cookie");
            assert_eq!(after != before, engine == "signed_cookies");
            let (second, known) = who_is(&server, after).await;
            assert_eq!(known, name);
            let (mut bos, _) = who_is(&server, &bo).await;

            site.call("log_out", json!([after])).await;

            for socket in [first, second] {
                assert_eq!(socket.closed().await, (4401, "logged out".to_owned()));
            }
            assert_open(&mut bos).await;
        })
        .await;
    }
}

/// Channels sends the signal without a request, and ends the session only afterwards.
#[tokio::test]
async fn a_logout_in_a_consumer_of_channels_closes_all_sockets_of_the_user() {
    with_each_engine(async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let (here, bo) = (site.log_in("ana").await, site.log_in("bo").await);
        let there = site.log_in_again("ana").await;
        let server = server(site, redis, engine, &NEVER).await;
        let (first, _) = who_is(&server, &here).await;
        let (second, _) = who_is(&server, &there).await;
        let (mut bos, _) = who_is(&server, &bo).await;

        site.call("log_out_in_channels", json!([here])).await;

        for socket in [first, second] {
            assert_eq!(socket.closed().await, (4401, "logged out".to_owned()));
        }
        assert_open(&mut bos).await;
        if engine != "signed_cookies" {
            assert_eq!(site.call("knows", json!([here])).await, Value::Null);
        }
    })
    .await;
}

#[tokio::test]
async fn a_logout_succeeds_while_redis_is_down_or_frozen() {
    type Outage = fn(&mut Redis);
    let outages: [Outage; 2] = [Redis::stop, |redis| redis.freeze()];
    for outage in outages {
        let mut redis = Redis::new().await;
        let mut site = site_with(&redis, "db", json!({})).await;
        let cookies = [site.log_in("ana").await, site.log_in_again("ana").await];
        for cookie in &cookies {
            assert_eq!(site.call("knows", json!([cookie])).await, "ana");
        }

        outage(&mut redis);

        // It checks that the page redirects.
        site.call("log_out", json!([cookies[0]])).await;
        site.call("log_out_in_channels", json!([cookies[1]])).await;
        for cookie in &cookies {
            assert_eq!(site.call("knows", json!([cookie])).await, Value::Null);
        }
    }
}
