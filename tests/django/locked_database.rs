//! A database that is locked for a while.

use super::{
    matrix::{Place, everywhere},
    site::{OFTEN, alone, site_with},
    socket::{assert_open, warns_of_a_failed_check, who_is},
};
use seaway_tests::support::{Redis, django::Version};
use serde_json::json;

/// Only with the newest Django: what waits for a lock are the drivers of the database.
#[tokio::test]
async fn a_database_that_is_locked_for_two_seconds_logs_nobody_out() {
    everywhere(Version::Newest, json!({}), async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let cookie = site.log_in("ana").await;
        let server = alone(site, redis, engine, &OFTEN).await;
        let (mut socket, _) = who_is(&server, &cookie).await;

        site.call("lock", json!([2])).await;

        // The handshake waits for the database, and so does a page.
        let (mut during, known) = who_is(&server, &cookie).await;
        assert_eq!(known, "ana");
        assert_eq!(site.call("knows", json!([cookie])).await, "ana");
        assert_open(&mut during).await;
        assert_open(&mut socket).await;
        site.call("deactivate", json!(["ana"])).await;
        for socket in [socket, during] {
            assert_eq!(socket.closed().await.0, 4401);
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_locked_for_longer_keeps_the_users_and_says_so() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let mut server = alone(&site, &redis, "db", &OFTEN).await;
    let (mut socket, _) = who_is(&server, &cookie).await;

    site.call("lock", json!([9])).await;

    warns_of_a_failed_check(&mut server).await;
    assert_open(&mut socket).await;
}
