//! Tests of a database that responds late, or whose connections fall silent.

use super::{
    app::{is_open, open, router, who_is},
    postgres::Postgres,
    site::Site,
};
use futures_util::future::join_all;
use seaway::{
    django::{DjangoAuth, DjangoDatabase, DjangoSessions, SecretKeys},
    routing::ProtocolTypeRouter,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const RECHECK: Duration = Duration::from_secs(60);

async fn app_on(server: &Postgres, site: &Site) -> ProtocolTypeRouter {
    let database = DjangoDatabase::connect(&server.url()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    let keys = SecretKeys::new(site.secret_key());
    let auth = DjangoAuth::new(keys, sessions, &database).recheck(RECHECK);
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

#[tokio::test]
async fn checks_of_open_sockets_leave_half_of_the_connections_to_new_clients() {
    let site = Site::new().await;
    let server = Postgres::start(&site).await;
    tokio::time::pause();
    let app = app_on(&server, &site).await;
    let keys: Vec<_> = (0..20)
        .map(|number| format!("open-session-{number}"))
        .collect();
    let cookies: Vec<_> = keys.iter().map(|key| format!("sessionid={key}")).collect();
    let mut sockets = join_all(cookies.iter().map(|cookie| who_is(&app, cookie))).await;
    server.fall_silent_at(keys.iter().map(String::as_str));

    // The checks are due and wait for the server, then time out, and the next ones are due.
    sleep(RECHECK).await;

    for second in 1..=12 {
        sleep(Duration::from_secs(1)).await;
        let asked = Instant::now();
        assert_eq!(who_is(&app, "sessionid=another-session").await.1, "alice");
        assert!(asked.elapsed() < Duration::from_secs(1), "{second}");
    }
    for (socket, _) in &mut sockets {
        is_open(socket).await;
    }
}

#[tokio::test]
async fn a_new_client_waits_5_seconds_for_the_session_and_the_user_together() {
    let site = Site::new().await;
    let server = Postgres::start(&site).await;
    tokio::time::pause();
    let app = app_on(&server, &site).await;
    server.delay(Duration::from_secs(3));

    let mut refused = open(&app, "sessionid=any-session");
    sleep(Duration::from_secs(5)).await;

    let asked = Instant::now();
    assert_eq!(refused.status().await, 503);
    assert!(asked.elapsed() < Duration::from_secs(1));
}
