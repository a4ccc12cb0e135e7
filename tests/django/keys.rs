//! Rotated keys, and those of other sites.

use super::{
    matrix::{Place, everywhere, with_each_version},
    site::alone,
    socket::who_is,
};
use seaway_tests::support::django::{SECRET_KEY, Version};
use serde_json::{Value, json};

with_each_version!(a_rotated_key_counts_while_it_is_a_fallback_and_that_of_another_site_never);

async fn a_rotated_key_counts_while_it_is_a_fallback_and_that_of_another_site_never(
    version: Version,
) {
    everywhere(version, json!({}), async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let old = site.log_in("ana").await;
        let new = "the next key of the site";
        for (key, fallbacks, user) in [
            (new, &[SECRET_KEY][..], json!("ana")),
            (new, &[], Value::Null),
            ("another site's", &[], Value::Null),
        ] {
            let mut flags = vec!["--secret-key", key];
            flags.extend(
                fallbacks
                    .iter()
                    .flat_map(|key| ["--secret-key-fallback", key]),
            );
            let server = alone(site, redis, engine, &flags).await;
            assert_eq!(who_is(&server, &old).await.1, user, "{flags:?}");
            // Django gives a session of an old key another id, and deletes one of a wrong key.
            let asked = site.log_in_again("ana").await;
            site.call("rotate_key", json!([key, fallbacks])).await;
            let page = site.call("knows", json!([asked])).await;
            assert_eq!(page, user, "{flags:?}");
            site.call("rotate_key", json!([SECRET_KEY, []])).await;
        }
        let page = site.call("knows", json!([old])).await;
        assert_eq!(page, "ana", "Seaway has deleted nothing");
    })
    .await;
}
