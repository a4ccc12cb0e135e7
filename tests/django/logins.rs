//! A login on a page.

use super::{
    matrix::{Place, everywhere, with_each_version},
    site::{NEVER, alone, server, site_with},
    socket::{who, who_is},
};
use seaway_tests::support::{Redis, django::Version};
use serde_json::{Value, json};

with_each_version!(a_login_on_a_page_is_known_to_the_socket);

async fn a_login_on_a_page_is_known_to_the_socket(version: Version) {
    everywhere(version, json!({}), async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let staff = json!({ "is_staff": true });
        site.call_with("sign_up", json!(["root"]), staff).await;
        let (ana, root) = (site.log_in("ana").await, site.log_in_again("root").await);
        let server = server(site, redis, engine, &NEVER).await;

        // Not in letter case alone, which MariaDB ignores.
        let other = if ana.starts_with('0') { '1' } else { '0' };
        let altered = format!("{other}{}", &ana[1..]);
        for (cookies, user) in [
            (vec![format!("sessionid={ana}")], json!("ana")),
            (vec![format!("sessionid={root}")], json!("root")),
            (vec![format!("sessionid=\"{ana}\"")], json!("ana")),
            (
                vec![format!("sessionid={root}; sessionid={ana}")],
                json!("ana"),
            ),
            (
                vec![format!("sessionid={root}"), format!("sessionid={ana}")],
                json!("ana"),
            ),
            (
                vec![format!("sessionid={}", &ana[..ana.len() - 1])],
                Value::Null,
            ),
            (vec![format!("sessionid={altered}")], Value::Null),
            (vec!["sessionid=".to_owned()], Value::Null),
            (vec![], Value::Null),
        ] {
            let (_, known) = who(&server, &cookies).await;
            let staff = user == "root";
            assert_eq!(
                known,
                json!({ "user": user, "staff": staff }),
                "{cookies:?}"
            );
            let page = site.call("sees", json!([cookies.join("; ")])).await;
            assert_eq!(page, user, "{cookies:?}");
        }
        // A collation of MariaDB ignores case, and with it Django; the group of a logout does not.
        assert_eq!(who_is(&server, &ana.to_uppercase()).await.1, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_cached_session_is_found_by_the_prefix_and_version_of_the_cache() {
    let redis = Redis::new().await;
    let cache = json!({
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": redis.url(),
        "KEY_PREFIX": "shop:eu",
        "VERSION": 3,
    });
    let settings = json!({ "CACHES": { "default": cache } });
    let mut site = site_with(&redis, "cache", settings).await;
    let cookie = site.log_in("ana").await;
    let flags = ["--cache-key-prefix", "shop:eu", "--cache-version", "3"];

    let same = alone(&site, &redis, "cache", &flags).await;
    let other = alone(&site, &redis, "cache", &flags[..2]).await;

    assert_eq!(who_is(&same, &cookie).await.1, "ana");
    assert_eq!(who_is(&other, &cookie).await.1, Value::Null);
}
