//! User models of a site's own.

use super::{
    matrix::{Place, everywhere, with_each_version},
    site::{OFTEN, alone, member_flags, members, site_on},
    socket::who_is,
};
use seaway::{
    User,
    django::{
        ColumnValue, DjangoAuth, DjangoDatabase, DjangoSessions, DjangoUser, SecretKeys, UserTable,
    },
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    Database, Databases, Redis,
    django::{SECRET_KEY, Version},
};
use serde_json::{Value, json};

with_each_version!(a_custom_user_model_with_a_uuid_is_read_from_its_table);

async fn a_custom_user_model_with_a_uuid_is_read_from_its_table(version: Version) {
    everywhere(version, members(), async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let cookie = site.log_in("ana@example.com").await;
        let flags = [&OFTEN[..], &member_flags()].concat();
        let server = alone(site, redis, engine, &flags).await;

        let (socket, known) = who_is(&server, &cookie).await;
        assert_eq!(known, "ana@example.com");
        assert_eq!(site.call("knows", json!([cookie])).await, known);
        site.call("deactivate", json!(["ana@example.com"])).await;
        assert_eq!(socket.closed().await.0, 4401);
        assert_eq!(site.call("knows", json!([cookie])).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_user_whom_the_manager_of_the_model_leaves_out_is_nobody() {
    let (redis, databases) = (Redis::new().await, Databases::shared().await);
    let users = UserTable::new("people")
        .id("key")
        .name("email")
        .active("enabled")
        .staff("team")
        .only_if("deleted", false)
        .only_if("left_at", ColumnValue::Null)
        .only_if("branch", 9_000_000_000_i64)
        .only_if("kind", "member");
    for on in databases.all() {
        let mut site = site_on(Version::Newest, on, &redis, "db", members()).await;
        let database = DjangoDatabase::connect_with(site.database(), users.clone())
            .await
            .unwrap();
        let sessions = DjangoSessions::database(&database).await.unwrap();
        let auth = DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database);
        let pages = axum::Router::new().route("/", axum::routing::get(name));
        let app = ProtocolTypeRouter::new()
            .http(from_service(pages))
            .with(auth);
        for (field, value) in [
            ("deleted", json!(true)),
            ("left_at", json!("2026-01-01T00:00:00Z")),
            ("branch", json!(1)),
            ("kind", json!("guest")),
        ] {
            let email = format!("{field}@example.com");
            let cookie = site.log_in(&email).await;
            let client = TestClient::new(&app);
            client.set_cookie("sessionid", &cookie);
            assert_eq!(client.get("/").await.text(), email, "{on:?}");

            site.call_with("change", json!([email]), json!({ field: value }))
                .await;

            assert_eq!(site.call("knows", json!([cookie])).await, Value::Null);
            assert_eq!(client.get("/").await.text(), "nobody", "{on:?} {field}");
        }
        let wrong = users.clone().only_if("email", 1);
        let connecting = DjangoDatabase::connect_with(site.database(), wrong).await;
        // SQLite and MariaDB compare values of different types.
        if let Database::Postgres(_) = on {
            let error = connecting.unwrap_err().to_string();
            assert!(error.contains("UserTable::only_if"), "{error}");
        }
    }
}

/// Returns the name of the user.
async fn name(user: Option<User<DjangoUser>>) -> String {
    user.map_or("nobody".to_owned(), |user| user.name.clone())
}
