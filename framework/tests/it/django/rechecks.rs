//! Tests of open WebSockets whose session or user changes, or cannot be read.

use super::{
    app::{is_open, open, who_is},
    site::{KEY, Site},
};
use crate::metrics::Counters;
use data_encoding::HEXLOWER;
use seaway::{
    Close, NoEvent,
    django::{DjangoAuth, SecretKeys},
};
use sha2::{Digest, Sha256};
use std::time::Duration;

#[tokio::test]
async fn a_socket_closes_when_its_user_is_no_longer_the_same_and_one_of_nobody_stays_open() {
    for change in [
        "DELETE FROM django_session",
        "UPDATE django_session SET expire_date = datetime('now', '-1 second')",
        "UPDATE auth_user SET password = 'another'",
        "UPDATE auth_user SET is_active = 0",
        "UPDATE auth_user SET is_staff = 1",
        "UPDATE auth_user SET is_superuser = 1",
        "DELETE FROM auth_user",
    ] {
        let site = Site::new().await;
        let app = site.app().await;
        let (mut alice, _) = who_is(&app, &format!("sessionid={KEY}")).await;
        let (mut nobody, _) = who_is(&app, "").await;

        sqlx::query(change).execute(&site.pool).await.unwrap();

        assert_eq!(
            alice.receive_close().await.code,
            Close::UNAUTHORIZED,
            "{change}"
        );
        is_open(&mut nobody).await;
    }
}

#[tokio::test]
async fn a_database_that_fails_for_too_long_closes_the_sockets_with_1013() {
    let counters = Counters::default();
    let _counting = metrics::set_default_local_recorder(&counters);
    let counted =
        |outcome: &str| counters.get(&format!("seaway_failed_rechecks_total outcome={outcome}"));
    let site = Site::new().await;
    let keys = || SecretKeys::new(site.secret_key());
    let keeping = site.app_with(|auth| auth, keys(), None).await;
    let limited = |auth: DjangoAuth| auth.max_outage(Duration::from_millis(100));
    let limited = site.app_with(limited, keys(), None).await;
    let cookie = format!("sessionid={KEY}");
    let (mut kept, _) = who_is(&keeping, &cookie).await;
    let (mut closed, _) = who_is(&limited, &cookie).await;
    let (mut nobody, _) = who_is(&limited, "").await;

    sqlx::query("ALTER TABLE auth_user RENAME TO away")
        .execute(&site.pool)
        .await
        .unwrap();

    assert_eq!(closed.receive_close().await.code, Close::TRY_AGAIN);
    is_open(&mut kept).await;
    is_open(&mut nobody).await;
    assert_eq!(counted("closed"), 1);
    assert!(counted("kept") > 1);
}

#[tokio::test]
async fn a_change_that_is_not_of_the_user_closes_nothing() {
    let site = Site::new().await;
    let app = site.app().await;
    let (mut alice, _) = who_is(&app, &format!("sessionid={KEY}")).await;
    let (mut watched, _) = who_is(&app, &format!("sessionid={}", site.second().await)).await;
    for change in [
        "UPDATE auth_user SET last_login = '2026-01-01 00:00:00', email = 'new@example.com'",
        "UPDATE django_session SET expire_date = '2098-01-01 00:00:00'",
        "DELETE FROM django_session WHERE session_key = 'bobs-session'",
    ] {
        sqlx::query(change).execute(&site.pool).await.unwrap();
    }

    // Rechecks have run since the changes.
    assert_eq!(watched.receive_close().await.code, Close::UNAUTHORIZED);
    is_open(&mut alice).await;
}

#[tokio::test]
async fn a_database_that_fails_logs_nobody_out_and_admits_nobody() {
    let site = Site::new().await;
    let app = site.app().await;
    let cookie = format!("sessionid={KEY}");
    let (mut alice, _) = who_is(&app, &cookie).await;
    let (mut bob, _) = who_is(&app, &format!("sessionid={}", site.second().await)).await;

    sqlx::query("ALTER TABLE auth_user RENAME TO away")
        .execute(&site.pool)
        .await
        .unwrap();

    let mut refused = open(&app, &cookie);
    assert_eq!(refused.status().await, 503);
    is_open(&mut alice).await;

    sqlx::query("DELETE FROM django_session WHERE session_key = 'bobs-session'")
        .execute(&site.pool)
        .await
        .unwrap();
    assert_eq!(bob.receive_close().await.code, Close::UNAUTHORIZED);
    is_open(&mut alice).await;

    sqlx::query("ALTER TABLE away RENAME TO auth_user")
        .execute(&site.pool)
        .await
        .unwrap();
    assert_eq!(who_is(&app, &cookie).await.1, "alice");
    sqlx::query("DELETE FROM django_session")
        .execute(&site.pool)
        .await
        .unwrap();
    assert_eq!(alice.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn an_announced_logout_closes_the_sockets_of_its_session_at_once() {
    let site = Site::new().await;
    let seldom = |auth: DjangoAuth| auth.recheck(Duration::from_secs(3600));
    let app = site
        .app_with(seldom, SecretKeys::new(site.secret_key()), None)
        .await;
    let (mut alice, _) = who_is(&app, &format!("sessionid={KEY}")).await;
    let (mut bob, _) = who_is(&app, &format!("sessionid={}", site.second().await)).await;

    let digest = HEXLOWER.encode(&Sha256::digest(KEY));
    let group = format!("seaway.session.{}", &digest[..32]);
    let group = site.channels.group::<NoEvent>(&group).unwrap();
    group
        .disconnect(Close::from(Close::UNAUTHORIZED))
        .await
        .unwrap();

    assert_eq!(alice.receive_close().await.code, Close::UNAUTHORIZED);
    is_open(&mut bob).await;
    site.channels.disconnect_user("2").await.unwrap();
    assert_eq!(bob.receive_close().await.code, Close::UNAUTHORIZED);
}
