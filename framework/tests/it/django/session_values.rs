//! Tests of the values in a session, which pages read and write.

use super::site::{KEY, ROW_SALT, Site, log_in, with};
use seaway::{
    django::{DjangoDatabase, DjangoSessions, SecretKeys},
    testing::TestClient,
};
use std::future::IntoFuture;

#[tokio::test]
async fn pages_know_the_user_and_the_session_and_caches_are_told() {
    let site = Site::new().await;
    let session = with(&log_in(1, &site.hash("alice")), "cart", "3 apples");
    site.store(
        "withcart",
        &site.signed(ROW_SALT, &session),
        "2099-01-01 00:00:00",
    )
    .await;
    let app = site.app().await;
    let alice = TestClient::new(&app);
    alice.set_cookie("sessionid", "withcart");
    let nobody = TestClient::new(&app);

    let me = alice.get("/me").await;
    assert_eq!((me.text(), me.header("vary")), ("alice", Some("cookie")));
    assert_eq!(alice.get("/cart").await.text(), "3 apples");
    assert_eq!(nobody.get("/cart").await.text(), "empty");
    assert_eq!(nobody.get("/me").await.status(), 401);
    let open = nobody.get("/open").await;
    assert_eq!((open.text(), open.header("vary")), ("open", None));
    let members = nobody.get("/members?page=2").await;
    assert_eq!(members.status(), 303);
    assert_eq!(
        members.header("location"),
        Some("/accounts/login/?next=%2Fmembers%3Fpage%3D2")
    );
}

#[tokio::test]
async fn a_value_is_written_to_a_session_that_exists_and_the_others_are_kept() {
    let site = Site::new().await;
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let client = async |sessions, key: &str| {
        let keys = SecretKeys::new(site.secret_key());
        let client = TestClient::new(&site.app_with(|auth| auth, keys, Some(sessions)).await);
        client.set_cookie("sessionid", key);
        client
    };
    let writable = DjangoSessions::writable_database(&database).await.unwrap();
    let alice = client(writable.clone(), KEY).await;

    assert_eq!(alice.get("/fill").await.text(), "3 äpfel");
    assert_eq!(alice.get("/cart").await.text(), "3 äpfel");
    assert_eq!(alice.get("/me").await.text(), "alice");
    let expires: String = sqlx::query_scalar("SELECT expire_date FROM django_session")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(expires, site.vectors["db_row"]["expire_date"]);

    let only_read = DjangoSessions::database(&database).await.unwrap();
    assert_eq!(
        client(only_read, KEY).await.get("/fill").await.status(),
        503
    );
    let change = "UPDATE django_session SET expire_date = '2020-01-01 00:00:00'";
    sqlx::query(change).execute(&site.pool).await.unwrap();
    for key in [KEY, "unknown0unknown0", "short"] {
        let gone = client(writable.clone(), key).await.get("/fill").await;
        assert_eq!(gone.status(), 401, "{key}");
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM django_session")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1, "no session is created");
}

#[tokio::test]
async fn values_that_are_written_at_the_same_time_are_all_kept() {
    let site = Site::new().await;
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let writable = DjangoSessions::writable_database(&database).await.unwrap();
    let keys = SecretKeys::new(site.secret_key());
    let app = site.app_with(|auth| auth, keys, Some(writable)).await;
    let alice = TestClient::new(&app);
    alice.set_cookie("sessionid", KEY);

    let written = ["/fill/a", "/fill/b", "/fill/c"].map(|path| alice.get(path).into_future());
    for written in futures_util::future::join_all(written).await {
        assert_eq!(written.status(), 200);
    }

    for name in ["a", "b", "c"] {
        assert_eq!(alice.get(&format!("/value/{name}")).await.text(), name);
    }
}

#[tokio::test]
async fn a_cookie_that_is_no_session_key_writes_nothing() {
    let site = Site::new().await;
    let session = with(&log_in(1, &site.hash("alice")), "cart", "3 apples");
    let row = site.signed(ROW_SALT, &session);
    site.store("short", &row, "2099-01-01 00:00:00").await;
    let client = writing(&site, "short").await;

    assert_eq!(client.get("/fill").await.status(), 401);

    let query = "SELECT session_data FROM django_session WHERE session_key = 'short'";
    let stored: String = sqlx::query_scalar(query)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(stored, row);
}

#[tokio::test]
async fn an_application_cannot_write_the_keys_of_django() {
    let site = Site::new().await;
    let alice = writing(&site, KEY).await;

    for key in ["_auth_user_id", "_auth_user_hash", "_session_expiry"] {
        let written = alice.get(&format!("/fill/{key}")).await;
        assert_eq!(written.status(), 400, "{key}");
    }

    assert_eq!(alice.get("/me").await.text(), "alice");
}

/// Returns a client with this session cookie, of an application that can write sessions.
async fn writing(site: &Site, cookie: &str) -> TestClient {
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let writable = DjangoSessions::writable_database(&database).await.unwrap();
    let keys = SecretKeys::new(site.secret_key());
    let client = TestClient::new(&site.app_with(|auth| auth, keys, Some(writable)).await);
    client.set_cookie("sessionid", cookie);
    client
}
