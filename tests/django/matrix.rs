//! The versions of Django, session engines and databases with which a case is run.

use seaway_tests::support::{Database, Databases, Django, Redis, django::Version};
use serde_json::{Value, json};

const ENGINES: [&str; 4] = ["db", "cached_db", "signed_cookies", "cache"];

/// Runs tests with each version of Django.
macro_rules! with_each_version {
    ($($test:ident),*) => {$(
        mod $test {
            use seaway_tests::support::django::Version;

            #[tokio::test]
            async fn with_django_4_2() {
                super::$test(Version::V4_2).await;
            }

            #[tokio::test]
            async fn with_django_5_2() {
                super::$test(Version::V5_2).await;
            }

            #[tokio::test]
            async fn with_the_newest_django() {
                super::$test(Version::Newest).await;
            }
        }
    )*};
}
pub(super) use with_each_version;

/// One cell of the matrix: a site without users, with one of the session engines.
pub(super) struct Place<'a> {
    pub(super) site: &'a mut Django,
    pub(super) redis: &'a Redis,
    pub(super) engine: &'a str,
}

/// Runs a case with each session engine on each database.
pub(super) async fn everywhere(version: Version, settings: Value, case: impl AsyncFn(Place<'_>)) {
    let databases = Databases::shared().await;
    for on in databases.all() {
        // The engines differ in their queries only on whether they read the table of sessions.
        let engines = match on {
            Database::MariaDb(_) => &ENGINES[..1],
            _ => &ENGINES,
        };
        with_engines(engines, version, on, settings.clone(), &case).await;
    }
}

/// Runs a case with each session engine on SQLite, where databases make no difference.
pub(super) async fn with_each_engine(case: impl AsyncFn(Place<'_>)) {
    let newest = (Version::Newest, Database::Sqlite);
    with_engines(&ENGINES, newest.0, newest.1, json!({}), &case).await;
}

/// Runs a case with these session engines, one after the other, on a site that they share.
async fn with_engines(
    engines: &[&str],
    version: Version,
    on: Database<'_>,
    settings: Value,
    case: &impl AsyncFn(Place<'_>),
) {
    let redis = Redis::new().await;
    let mut site = Django::start(version, on, &redis, settings).await;
    for engine in engines {
        // Shown if the case fails.
        println!("{version:?} {on:?} {engine}");
        site.call("begin", json!([engine])).await;
        let (site, redis) = (&mut site, &redis);
        case(Place {
            site,
            redis,
            engine,
        })
        .await;
    }
}
