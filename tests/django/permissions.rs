//! Permissions and groups.

use super::site::site_on;
use seaway::{
    User,
    django::{DjangoAuth, DjangoDatabase, DjangoSessions, DjangoUser, SecretKeys},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    Databases, Django, Redis,
    django::{SECRET_KEY, Version},
};
use serde_json::{Value, json};

#[tokio::test]
async fn permissions_and_groups_are_those_that_django_grants() {
    let (redis, databases) = (Redis::new().await, Databases::shared().await);
    for on in databases.all() {
        let mut site = site_on(Version::Newest, on, &redis, "db", json!({})).await;
        let superuser = json!({ "is_superuser": true });
        site.call_with("sign_up", json!(["root"]), superuser).await;
        let cookies = [
            ("ana", site.log_in("ana").await),
            ("bo", site.log_in("bo").await),
            ("root", site.log_in_again("root").await),
        ];
        site.call(
            "grant",
            json!(["ana", ["add_user", "view_group"], ["change_user"]]),
        )
        .await;
        let asked = [
            "auth.add_user",
            "auth.change_user",
            "auth.delete_user",
            "auth.view_group",
        ];
        let pages = axum::Router::new()
            .route("/", axum::routing::get(permissions))
            .route("/groups", axum::routing::get(groups));
        let app = ProtocolTypeRouter::new()
            .http(from_service(pages))
            .with(auth(&site).await);

        for (name, cookie) in cookies {
            let client = TestClient::new(&app);
            client.set_cookie("sessionid", &cookie);
            let granted: Value = client.get("/").await.json();
            assert_eq!(
                granted,
                site.call("has_perms", json!([name, asked])).await,
                "{name}"
            );
            let in_groups: Value = client.get("/groups").await.json();
            assert_eq!(
                in_groups,
                site.call("groups", json!([name])).await,
                "{name}"
            );
        }
    }
}

/// Returns which permissions the user has.
pub(super) async fn permissions(User(user): User<DjangoUser>) -> seaway::Result<String> {
    let mut granted = Vec::new();
    for permission in [
        "auth.add_user",
        "auth.change_user",
        "auth.delete_user",
        "auth.view_group",
    ] {
        if user.has_perm(permission).await? {
            granted.push(permission);
        }
    }
    Ok(json!(granted).to_string())
}

/// Returns the groups of the user.
pub(super) async fn groups(User(user): User<DjangoUser>) -> seaway::Result<String> {
    Ok(json!(user.groups().await?).to_string())
}

async fn auth(site: &Django) -> DjangoAuth {
    let database = DjangoDatabase::connect(site.database()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database)
}
