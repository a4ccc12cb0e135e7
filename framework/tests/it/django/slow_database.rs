//! Tests of a database that responds late, or whose connections fall silent.

use super::{
    app::{open, router, who_is},
    postgres::Postgres,
    site::Site,
};
use seaway::{
    django::{DjangoAuth, DjangoDatabase, DjangoSessions, SecretKeys},
    routing::ProtocolTypeRouter,
};
use std::time::Duration;
use tokio::time::sleep;

async fn app_on(server: &Postgres, site: &Site) -> ProtocolTypeRouter {
    let database = DjangoDatabase::connect(&server.url()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    let keys = SecretKeys::new(site.secret_key());
    let auth = DjangoAuth::new(keys, sessions, &database);
    router(&site.channels, auth)
}

#[tokio::test]
async fn connections_that_fall_silent_during_a_query_are_replaced_within_40_seconds() {
    let site = Site::new().await;
    let server = Postgres::start(&site).await;
    tokio::time::pause();
    let app = app_on(&server, &site).await;
    let keys: Vec<_> = (0..10)
        .map(|number| format!("lost-session-{number}"))
        .collect();
    server.fall_silent_at(keys.iter().map(String::as_str));
    let lost = keys
        .iter()
        .map(|key| open(&app, &format!("sessionid={key}")));
    let mut lost: Vec<_> = lost.collect();
    sleep(Duration::from_secs(5)).await;
    for refused in &mut lost {
        assert_eq!(refused.status().await, 503);
    }

    sleep(Duration::from_secs(31)).await;

    assert_eq!(who_is(&app, "sessionid=another-session").await.1, "alice");
}
