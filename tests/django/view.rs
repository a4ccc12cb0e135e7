//! A view of the site that says who is logged in.

use super::{
    matrix::{Place, with_each_engine},
    permissions::{groups, permissions},
    site::{NEVER, OFTEN, asking, site_with},
    socket::{assert_open, warns_of_a_failed_check, who, who_is},
};
use seaway::{
    django::{DjangoAuth, DjangoView},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    RawClient, Redis,
    django::{Pages, SECRET_KEY},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_view_of_the_site_says_who_is_logged_in_and_a_logout_closes_the_socket() {
    with_each_engine(async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let staff = json!({ "is_staff": true });
        site.call_with("sign_up", json!(["root"]), staff).await;
        let (ana, root) = (site.log_in("ana").await, site.log_in_again("root").await);
        let pages = Pages::of(site, redis, engine, &[]).await;
        let server = asking(&pages, &OFTEN).await;
        let (mut nobody, known) = who(&server, &[]).await;
        assert_eq!(known, json!({ "user": null, "staff": false }));
        let (_, known) = who(&server, &["sessionid=\"a; b\"".to_owned()]).await;
        assert_eq!(known["user"], Value::Null);
        let (mut roots, known) = who(&server, &[format!("sessionid={root}")]).await;
        assert_eq!(known, json!({ "user": "root", "staff": true }));
        let (anas, known) = who_is(&server, &ana).await;
        assert_eq!(known, "ana");

        // A logout takes no cookie back with `signed_cookies`, in Django as well.
        match engine {
            "signed_cookies" => site.call("deactivate", json!(["ana"])).await,
            _ => site.call("log_out", json!([ana])).await,
        };

        assert_eq!(anas.closed().await.0, 4401);
        assert_eq!(who_is(&server, &ana).await.1, Value::Null);
        for socket in [&mut roots, &mut nobody] {
            assert_open(socket).await;
        }
        site.call("reset_password", json!(["root", "another"]))
            .await;
        assert_eq!(roots.closed().await.0, 4401);
    })
    .await;
}

#[tokio::test]
async fn a_view_that_is_down_keeps_the_users_of_open_sockets_and_rejects_new_ones_with_503() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let mut pages = Pages::of(&site, &redis, "db", &[]).await;
    let mut server = asking(&pages, &OFTEN).await;
    let (mut socket, _) = who_is(&server, &cookie).await;

    pages.kill();

    warns_of_a_failed_check(&mut server).await;
    assert_open(&mut socket).await;
    let log_in = format!("Cookie: sessionid={cookie}\r\n");
    let mut client = RawClient::connect(server.port()).await;
    assert_eq!(client.upgrade("/ws/whoami", &log_in).await, 503);
    assert!(!server.errors().contains(&cookie), "the cookie is secret");

    pages.start().await;
    let (again, known) = who_is(&server, &cookie).await;
    assert_eq!(known, "ana");
    site.call("flush", json!([cookie])).await;
    for socket in [socket, again] {
        assert_eq!(socket.closed().await.0, 4401);
    }
}

#[tokio::test]
async fn a_question_to_the_view_changes_no_session_while_a_key_is_rotated() {
    with_each_engine(async |place: Place<'_>| {
        let Place {
            site,
            redis,
            engine,
        } = place;
        let cookie = site.log_in("ana").await;
        let rotated = [
            ("SECRET_KEY", "the next key of the site"),
            ("SECRET_KEY_FALLBACKS", SECRET_KEY),
        ];
        let pages = Pages::of(site, redis, engine, &rotated).await;
        let server = asking(&pages, &NEVER).await;

        for _ in 0..2 {
            assert_eq!(who_is(&server, &cookie).await.1, "ana");
        }

        let id = site.call("value", json!([cookie, "_auth_user_id"])).await;
        assert_ne!(id, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn the_view_states_the_permissions_and_groups_that_django_grants() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    site.call("grant", json!(["ana", ["add_user"], ["change_user"]]))
        .await;
    let pages = Pages::of(&site, &redis, "db", &[]).await;
    let view = DjangoView::new(&pages.url(), "/seaway/user/");
    let app = axum::Router::new()
        .route("/", axum::routing::get(permissions))
        .route("/groups", axum::routing::get(groups));
    let app = ProtocolTypeRouter::new()
        .http(from_service(app))
        .with(DjangoAuth::from_view(view));
    let client = TestClient::new(&app);
    client.set_cookie("sessionid", &cookie);

    let granted: Value = client.get("/").await.json();

    assert_eq!(granted, json!(["auth.add_user", "auth.change_user"]));
    let groups: Value = client.get("/groups").await.json();
    assert_eq!(groups, json!(["group of ana"]));
}
