//! The expiry of a session.

use super::{
    matrix::{Place, everywhere, with_each_version},
    site::{NEVER, alone},
    socket::who_is,
};
use seaway_tests::support::django::Version;
use serde_json::{Value, json};

with_each_version!(an_expiry_is_that_of_django_in_another_time_zone);

/// A local time that is taken for UTC, or the other way round, is wrong by at least 12 hours here:
/// an expired session would count, or a valid one would not.
async fn an_expiry_is_that_of_django_in_another_time_zone(version: Version) {
    let far = json!({ "TIME_ZONE": "Pacific/Auckland" });
    everywhere(version, far, async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let cookie = site.log_in("ana").await;
        let server = alone(site, redis, engine, &NEVER).await;
        for (seconds, user) in [(60, json!("ana")), (-1, Value::Null)] {
            let expiring = site.call("expire", json!([cookie, seconds])).await;
            let cookie = expiring.as_str().expect("a session cookie");
            assert_eq!(site.call("knows", json!([cookie])).await, user);
            assert_eq!(who_is(&server, cookie).await.1, user);
        }
    })
    .await;
}
