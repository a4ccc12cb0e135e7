//! Values that are written to a session.

use super::site::site_on;
use seaway::{
    django::{DjangoAuth, DjangoDatabase, DjangoSession, DjangoSessions, SecretKeys},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    Databases, Redis,
    django::{SECRET_KEY, Version},
};
use serde_json::json;

#[tokio::test]
async fn a_value_that_is_written_to_a_session_is_read_by_django() {
    let (redis, databases) = (Redis::new().await, Databases::shared().await);
    for on in databases.all() {
        let mut site = site_on(Version::Newest, on, &redis, "db", json!({})).await;
        let cookie = site.log_in("ana").await;
        site.call("put", json!([cookie, "theme", "dark ☾"])).await;
        let database = DjangoDatabase::connect(site.database()).await.unwrap();
        let sessions = DjangoSessions::writable_database(&database).await.unwrap();
        let auth = DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database);
        let pages = axum::Router::new().route("/", axum::routing::get(write));
        let app = ProtocolTypeRouter::new()
            .http(from_service(pages))
            .with(auth);
        let client = TestClient::new(&app);
        client.set_cookie("sessionid", &cookie);

        assert_eq!(client.get("/").await.status(), 200);

        for (key, value) in [("cart", json!(["äpfel", 3])), ("theme", json!("dark ☾"))] {
            assert_eq!(site.call("value", json!([cookie, key])).await, value);
        }
        assert_eq!(site.call("knows", json!([cookie])).await, "ana");
        site.call("flush", json!([cookie])).await;
        assert_eq!(client.get("/").await.status(), 401);
    }
}

/// Writes a value to the session.
async fn write(session: DjangoSession) -> Result<(), seaway::Error> {
    session.write("cart", &json!(["äpfel", 3])).await
}
