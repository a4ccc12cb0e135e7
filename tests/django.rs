//! Tests of `examples/beside-django` with real Django: a socket knows the user who is logged in on a
//! Django page, and is closed when that is no longer so.

use seaway::{
    User,
    django::{DjangoAuth, DjangoDatabase, DjangoSessions, DjangoUser, SecretKeys},
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    Client, Django, Postgres, Redis, Server,
    django::{SECRET_KEY, Version},
    wait::{DEADLINE, until},
};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// The flag for re-checks that a test waits for, and for those that never happen in a test.
const OFTEN: [&str; 2] = ["--recheck", "1"];
const NEVER: [&str; 2] = ["--recheck", "3600"];

const ENGINES: [&str; 4] = ["db", "cached_db", "signed_cookies", "cache"];

/// Runs tests with each version of Django.
macro_rules! with_each_version {
    ($($test:ident),*) => {$(
        mod $test {
            use super::Version;

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

with_each_version!(
    a_log_in_on_a_page_is_known_to_the_socket,
    what_ends_a_log_in_in_django_closes_the_socket_at_the_next_check
);

async fn a_log_in_on_a_page_is_known_to_the_socket(version: Version) {
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    for (engine, on) in everywhere(&postgres) {
        let mut site = site_on(version, on, &redis, engine, json!({})).await;
        let staff = json!({ "is_staff": true });
        site.call_with("sign_up", json!(["root"]), staff).await;
        let (ana, root) = (site.log_in("ana").await, site.log_in_again("root").await);
        let server = server(&site, &redis, engine, &NEVER).await;

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
            (vec![format!("sessionid=X{}", &ana[1..])], Value::Null),
            (vec!["sessionid=".to_owned()], Value::Null),
            (vec![], Value::Null),
        ] {
            let (_, known) = who(&server, &cookies).await;
            let staff = user == "root";
            assert_eq!(
                known,
                json!({ "user": user, "staff": staff }),
                "{engine} {cookies:?}"
            );
            let page = site.call("sees", json!([cookies.join("; ")])).await;
            assert_eq!(page, user, "{engine} {cookies:?}");
        }
    }
}

#[tokio::test]
async fn a_log_out_on_a_page_closes_the_sockets_of_its_session_at_once() {
    let redis = Redis::new().await;
    for engine in ENGINES {
        let mut site = site_with(&redis, engine, json!({})).await;
        let (here, bo) = (site.log_in("ana").await, site.log_in("bo").await);
        // A cookie of `signed_cookies` would be the same, if it is from the same second.
        let there = match engine {
            "signed_cookies" => None,
            _ => Some(site.log_in_again("ana").await),
        };
        let server = server(&site, &redis, engine, &NEVER).await;
        let (first, _) = who_is(&server, &here).await;
        let (second, _) = who_is(&server, &here).await;
        let (mut bos, _) = who_is(&server, &bo).await;
        let elsewhere = match &there {
            Some(cookie) => Some(who_is(&server, cookie).await.0),
            None => None,
        };
        let (mut nobody, _) = who(&server, &[]).await;

        site.call("log_out", json!([here])).await;

        for socket in [first, second] {
            assert_eq!(
                socket.closed().await,
                (4401, "logged out".to_owned()),
                "{engine}"
            );
        }
        for socket in [&mut bos, &mut nobody] {
            assert_open(socket).await;
        }
        if let Some(mut socket) = elsewhere {
            assert_open(&mut socket).await;
        }
    }
}

async fn what_ends_a_log_in_in_django_closes_the_socket_at_the_next_check(version: Version) {
    let changes = [
        ("change_password", json!(["COOKIE", "a new long one 9"])),
        ("reset_password", json!(["NAME", "another"])),
        ("deactivate", json!(["NAME"])),
        ("delete_user", json!(["NAME"])),
        ("log_out", json!(["COOKIE"])),
        ("flush", json!(["COOKIE"])),
        ("expire", json!(["COOKIE", -1])),
    ];
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    for (engine, on) in everywhere(&postgres) {
        let mut site = site_on(version, on, &redis, engine, json!({})).await;
        let server = alone(&site, &redis, engine, &OFTEN).await;
        let (mut nobody, _) = who(&server, &[]).await;
        let mut closing = Vec::new();
        for (function, arguments) in &changes {
            // The cookie of this engine is the session, which no server can take back.
            let ends_session = matches!(*function, "log_out" | "flush" | "expire");
            let is_row = matches!(engine, "db" | "cached_db");
            if (engine == "signed_cookies" && ends_session) || (*function == "expire" && !is_row) {
                continue;
            }
            let cookie = site.log_in(function).await;
            let (socket, known) = who_is(&server, &cookie).await;
            assert_eq!(known, *function);

            let arguments = arguments.to_string().replace("COOKIE", &cookie);
            let arguments = arguments.replace("NAME", function);
            site.call(function, serde_json::from_str(&arguments).unwrap())
                .await;
            closing.push((function, cookie, socket));
        }
        for (function, cookie, socket) in closing {
            assert_eq!(socket.closed().await.0, 4401, "{engine} {function}");
            let (_, known) = who_is(&server, &cookie).await;
            assert_eq!(known, Value::Null, "{engine} {function}");
            // The cache of `cached_db` does not know that the row has expired.
            if (engine, *function) != ("cached_db", "expire") {
                let page = site.call("knows", json!([cookie])).await;
                assert_eq!(page, Value::Null, "{engine} {function}");
            }
        }
        assert_open(&mut nobody).await;
    }
}

#[tokio::test]
async fn the_new_cookie_of_a_changed_password_is_known() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let server = alone(&site, &redis, "db", &OFTEN).await;
    let before = site.log_in("ana").await;

    let after = site
        .call("change_password", json!([before, "a new long one 9"]))
        .await;

    assert_eq!(who_is(&server, &before).await.1, Value::Null);
    assert_eq!(who_is(&server, after.as_str().unwrap()).await.1, "ana");
}

#[tokio::test]
async fn a_rotated_key_counts_while_it_is_a_fallback_and_that_of_another_site_never() {
    let redis = Redis::new().await;
    for engine in ENGINES {
        let mut site = site_with(&redis, engine, json!({})).await;
        let old = site.log_in("ana").await;
        let new_key = "the next key of the site";
        for (flags, user) in [
            (
                vec!["--secret-key", new_key, "--secret-key-fallback", SECRET_KEY],
                json!("ana"),
            ),
            (vec!["--secret-key", new_key], Value::Null),
            (vec!["--secret-key", "another site's"], Value::Null),
        ] {
            let server = alone(&site, &redis, engine, &flags).await;
            assert_eq!(who_is(&server, &old).await.1, user, "{engine} {flags:?}");
        }
        site.call("rotate_key", json!([new_key, [SECRET_KEY]]))
            .await;
        assert_eq!(
            site.call("knows", json!([old])).await,
            "ana",
            "nothing was deleted"
        );
    }
}

#[tokio::test]
async fn a_database_that_is_locked_for_two_seconds_logs_nobody_out() {
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    for on in [None, Some(&postgres)] {
        let mut site = site_on(Version::Newest, on, &redis, "db", json!({})).await;
        let cookie = site.log_in("ana").await;
        let server = alone(&site, &redis, "db", &OFTEN).await;
        let (mut socket, _) = who_is(&server, &cookie).await;

        site.call("lock", json!([2])).await;

        // The handshake waits for the database.
        let (mut during, known) = who_is(&server, &cookie).await;
        assert_eq!(known, "ana");
        assert_open(&mut during).await;
        assert_open(&mut socket).await;
        site.call("flush", json!([cookie])).await;
        for socket in [socket, during] {
            assert_eq!(socket.closed().await.0, 4401);
        }
    }
}

#[tokio::test]
async fn a_database_that_is_locked_for_longer_keeps_the_users_and_says_so() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let mut server = alone(&site, &redis, "db", &OFTEN).await;
    let (mut socket, _) = who_is(&server, &cookie).await;

    site.call("lock", json!([9])).await;

    until("a warning", DEADLINE, async || {
        let log = server.errors();
        log.contains("could not recheck a user of Django")
            .then_some(())
    })
    .await;
    assert_open(&mut socket).await;
}

#[tokio::test]
async fn a_custom_user_model_with_a_uuid_is_read_from_its_table() {
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    let mut apps: Vec<_> = [
        "admin",
        "auth",
        "contenttypes",
        "messages",
        "sessions",
        "staticfiles",
    ]
    .map(|app| format!("django.contrib.{app}"))
    .to_vec();
    apps.push("accounts".to_owned());
    let settings = json!({ "AUTH_USER_MODEL": "accounts.Member", "INSTALLED_APPS": apps });
    for on in [None, Some(&postgres)] {
        let mut site = site_on(Version::Newest, on, &redis, "db", settings.clone()).await;
        let cookie = site.log_in("ana@example.com").await;
        let mut flags = OFTEN.to_vec();
        flags.extend("--user-id key --user-table people --user-name email".split(' '));
        flags.extend("--user-active enabled --user-staff team".split(' '));
        let server = alone(&site, &redis, "db", &flags).await;

        let (socket, known) = who_is(&server, &cookie).await;
        assert_eq!(known, "ana@example.com");
        let fields = json!({ "is_active": false });
        site.call_with("change", json!(["ana@example.com"]), fields)
            .await;
        assert_eq!(socket.closed().await.0, 4401);
    }
}

#[tokio::test]
async fn an_expiry_is_that_of_django_in_any_time_zone() {
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    for (zone, on) in [
        ("Pacific/Auckland", None),
        ("America/Los_Angeles", None),
        ("Pacific/Auckland", Some(&postgres)),
        ("America/Los_Angeles", Some(&postgres)),
    ] {
        let mut site = site_on(
            Version::Newest,
            on,
            &redis,
            "db",
            json!({ "TIME_ZONE": zone }),
        )
        .await;
        let cookie = site.log_in("ana").await;
        let server = alone(&site, &redis, "db", &NEVER).await;
        for (seconds, user) in [(60, json!("ana")), (-1, Value::Null)] {
            site.call("expire", json!([cookie, seconds])).await;
            assert_eq!(site.call("knows", json!([cookie])).await, user, "{zone}");
            assert_eq!(who_is(&server, &cookie).await.1, user, "{zone}");
        }
    }
}

#[tokio::test]
async fn permissions_are_those_that_django_grants() {
    let (redis, postgres) = (Redis::new().await, Postgres::new().await);
    for on in [None, Some(&postgres)] {
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
        let pages = axum::Router::new().route("/", axum::routing::get(permissions));
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
        }
    }
}

#[test]
fn the_guide_shows_the_receiver_of_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).expect(file);
    let receiver = read("examples/beside-django/site/log_out.py");
    let (_, code) = receiver
        .split_once("\"\"\"\n\n")
        .expect("a docstring first");

    assert!(read("docs/from-django.md").contains(code));
}

/// Returns which permissions the user has.
async fn permissions(User(user): User<DjangoUser>) -> seaway::Result<String> {
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

async fn auth(site: &Django) -> DjangoAuth {
    let database = DjangoDatabase::connect(site.database()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database)
}

/// Returns all engines on SQLite, and the one whose queries matter on PostgreSQL.
fn everywhere(postgres: &Postgres) -> Vec<(&'static str, Option<&Postgres>)> {
    let sqlite = ENGINES.map(|engine| (engine, None));
    sqlite.into_iter().chain([("db", Some(postgres))]).collect()
}

/// Starts a site with this session engine, on SQLite.
async fn site_with(redis: &Redis, engine: &str, settings: Value) -> Django {
    site_on(Version::Newest, None, redis, engine, settings).await
}

/// Starts a site with this session engine, on PostgreSQL if there is one.
async fn site_on(
    version: Version,
    postgres: Option<&Postgres>,
    redis: &Redis,
    engine: &str,
    mut settings: Value,
) -> Django {
    settings["SESSION_ENGINE"] = format!("django.contrib.sessions.backends.{engine}").into();
    Django::start(version, postgres, redis, settings).await
}

/// Starts the server on the Redis of the site's channel layer.
async fn server(site: &Django, redis: &Redis, engine: &str, flags: &[&str]) -> Server {
    let url = redis.url();
    let shared = [
        "--redis",
        &url,
        "--database",
        site.database(),
        "--session-engine",
        engine,
    ];
    let key = ["--secret-key", SECRET_KEY];
    Server::example_with("beside-django", &[&shared[..], &key, flags].concat()).await
}

/// Starts the server without a channel layer, unless the engine needs Redis: it hears of no log-out.
async fn alone(site: &Django, redis: &Redis, engine: &str, flags: &[&str]) -> Server {
    let database = ["--database", site.database(), "--session-engine", engine];
    let url = redis.url();
    let cache = ["--redis", &url];
    let cache = if engine == "cache" { &cache[..] } else { &[] };
    let key = ["--secret-key", SECRET_KEY];
    Server::example_with(
        "beside-django",
        &[&database[..], cache, &key, flags].concat(),
    )
    .await
}

/// Opens a socket with these `Cookie` headers, and returns whom it knows.
async fn who(server: &Server, cookies: &[String]) -> (Client, Value) {
    let headers: Vec<_> = cookies
        .iter()
        .map(|cookie| ("cookie", cookie.as_str()))
        .collect();
    let mut socket = Client::connect_with(server.port(), "/ws/whoami", &headers).await;
    let known = serde_json::from_str(&socket.text().await).expect("JSON");
    (socket, known)
}

/// Opens a socket with this session cookie, and returns the name of its user.
async fn who_is(server: &Server, cookie: &str) -> (Client, Value) {
    let (socket, mut known) = who(server, &[format!("sessionid={cookie}")]).await;
    (socket, known["user"].take())
}

/// Checks that a socket is open after an exchange with the server.
async fn assert_open(socket: &mut Client) {
    socket.answers_ping().await;
}
