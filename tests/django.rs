//! Tests of `examples/beside-django` with real Django: a socket knows the user who is logged in on
//! a Django page, and is closed when that is no longer so.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use seaway::{
    User,
    django::{
        ColumnValue, DjangoAuth, DjangoDatabase, DjangoSession, DjangoSessions, DjangoUser,
        DjangoView, SecretKeys, UserTable,
    },
    from_service,
    routing::ProtocolTypeRouter,
    testing::TestClient,
};
use seaway_tests::support::{
    Browser, Client, Database, Databases, Django, Page, RawClient, Redis, Server, StartLine,
    child::Process,
    django::{Pages, SECRET_KEY, Version},
    python::interpreter,
    raw,
    scratch::Scratch,
    server::program,
    wait::{DEADLINE, until},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    future::IntoFuture,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// The flag for re-checks that a test waits for, and for those that never happen in a test.
const OFTEN: [&str; 2] = ["--recheck", "1"];
const NEVER: [&str; 2] = ["--recheck", "3600"];

/// The flag for a site whose pages are not served: Django's test client requests them.
const WITHOUT_PAGES: [&str; 2] = ["--django", "http://127.0.0.1:1"];

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
    let (redis, databases) = (Redis::new().await, Databases::new().await);
    for (engine, on) in everywhere(&databases) {
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
        // A collation of MariaDB ignores case, and with it Django; the group of a log-out does not.
        assert_eq!(who_is(&server, &ana.to_uppercase()).await.1, Value::Null);
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

#[tokio::test]
async fn a_log_out_closes_the_sockets_from_before_the_session_was_saved_again() {
    let redis = Redis::new().await;
    for engine in ENGINES {
        let mut site = site_with(&redis, engine, json!({})).await;
        let (before, bo) = (site.log_in("ana").await, site.log_in("bo").await);
        let server = server(&site, &redis, engine, &NEVER).await;
        let (first, _) = who_is(&server, &before).await;
        let after = site.call("put", json!([before, "cart", [1]])).await;
        let after = after.as_str().expect("a session cookie");
        assert_eq!(after != before, engine == "signed_cookies", "{engine}");
        let (second, known) = who_is(&server, after).await;
        assert_eq!(known, "ana", "{engine}");
        let (mut bos, _) = who_is(&server, &bo).await;

        site.call("log_out", json!([after])).await;

        for socket in [first, second] {
            let closed = socket.closed().await;
            assert_eq!(closed, (4401, "logged out".to_owned()), "{engine}");
        }
        assert_open(&mut bos).await;
    }
}

#[tokio::test]
async fn a_log_out_succeeds_while_redis_is_down_or_frozen() {
    type Outage = fn(&mut Redis);
    let outages: [Outage; 2] = [Redis::stop, |redis| redis.freeze()];
    for outage in outages {
        let mut redis = Redis::new().await;
        let mut site = site_with(&redis, "db", json!({})).await;
        let cookie = site.log_in("ana").await;
        assert_eq!(site.call("knows", json!([cookie])).await, "ana");

        outage(&mut redis);

        // It checks that the page redirects.
        site.call("log_out", json!([cookie])).await;
        assert_eq!(site.call("knows", json!([cookie])).await, Value::Null);
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
    let (redis, databases) = (Redis::new().await, Databases::new().await);
    for (engine, on) in everywhere(&databases) {
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
    let (redis, databases) = (Redis::new().await, Databases::new().await);
    for on in databases.all() {
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
    let (redis, databases) = (Redis::new().await, Databases::new().await);
    let settings = members();
    let newest = databases.all().map(|on| (Version::Newest, on));
    // Newer versions of Django have a type of its own for a UUID in MariaDB.
    let oldest = (Version::V4_2, Database::MariaDb(&databases.mariadb));
    for (version, on) in newest.into_iter().chain([oldest]) {
        let mut site = site_on(version, on, &redis, "db", settings.clone()).await;
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
async fn a_user_whom_the_manager_of_the_model_leaves_out_is_nobody() {
    let (redis, databases) = (Redis::new().await, Databases::new().await);
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

#[tokio::test]
async fn an_expiry_is_that_of_django_in_any_time_zone() {
    let (redis, databases) = (Redis::new().await, Databases::new().await);
    let zones = ["Pacific/Auckland", "America/Los_Angeles"];
    for (zone, on) in databases
        .all()
        .map(|on| zones.map(|zone| (zone, on)))
        .concat()
    {
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
async fn permissions_and_groups_are_those_that_django_grants() {
    let (redis, databases) = (Redis::new().await, Databases::new().await);
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

#[tokio::test]
async fn the_example_serves_the_rooms_of_a_site_that_it_starts() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    let superuser = json!({ "is_superuser": true, "is_staff": true });
    site.call_with("sign_up", json!(["root"]), superuser).await;
    let root = site.log_in_again("root").await;
    let beside = beside(&site, &redis).await;
    let port = beside.port();
    let (cookie, origin) = (
        format!("sessionid={root}"),
        format!("http://127.0.0.1:{port}"),
    );
    let headers = [("cookie", &*cookie), ("origin", &*origin)];
    let style = raw::ask(port, "GET /static/admin/css/base.css", &[], "").await;
    assert!(style.starts_with("HTTP/1.1 200"), "{style:.200}");

    // The same room, in Rust and in Python.
    let rust = Client::connect_with(port, "/ws/chat/lobby", &headers).await;
    let python = Client::connect_with(port, "/python/chat/lobby", &headers).await;
    let mut members = [rust, python];
    for (number, text) in ["from Rust", "from Python"].into_iter().enumerate() {
        members[number].send_json(&json!({ "text": text })).await;
        assert_receive(&mut members, "root", text).await;
    }
    let announced = site.call("announce", json!([root, "lobby", "from a view"]));
    assert_eq!(announced.await, 302);
    assert_receive(&mut members, "root", "from a view").await;
    site.call("command", json!(["announce", "lobby", "from a command"]))
        .await;
    assert_receive(&mut members, "announcement", "from a command").await;
    let added = site.call(
        "announce_in_admin",
        json!([root, "lobby", "from the admin"]),
    );
    assert_eq!(added.await, 302);
    assert_receive(&mut members, "announcement", "from the admin").await;

    // What the guide says about the differences.
    for (path, status) in [("/ws/chat/lobby", 401), ("/python/chat/lobby", 403)] {
        let mut stranger = RawClient::connect(port).await;
        let origin = format!("Origin: {origin}\r\n");
        assert_eq!(stranger.upgrade(path, &origin).await, status);
    }
    let [mut rust, _] = members;
    rust.send_json(&json!({ "txt": "mistyped" })).await;
    assert_eq!(rust.closed().await.0, 1007);
}

#[tokio::test]
async fn the_pages_of_the_example_open_sockets_that_know_their_user() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    site.call("sign_up", json!(["ana"])).await;
    let beside = beside(&site, &redis).await;
    let home = format!("http://127.0.0.1:{}/", beside.port());
    let browser = Browser::new().await;
    let page = browser.page().await;
    page.goto(&home).await;
    page_shows(&page, "output", "nobody").await;

    page.click("a[href*=login]").await;
    page.arrives_at("/accounts/login/?next=/").await;
    page.type_text("[name=username]", "ana").await;
    page.type_text("[name=password]", "open sesame").await;
    page.click("button").await;
    page.arrives_at("/").await;
    page_shows(&page, "output", "ana").await;
    page.click("a[href='/rooms/lobby/']").await;
    page_shows(&page, "output", "connected").await;
    page.type_text("#say input", "<b>ahoy</b>").await;
    page.click("#say button").await;
    page_shows(&page, "#messages li", "ana: <b>ahoy</b>").await;

    let tab = browser.tab_beside(&page).await;
    tab.goto(&home).await;
    tab.click("form button").await;
    page_shows(&page, "output", "closed with 4401").await;
}

#[tokio::test]
async fn the_example_passes_its_fallback_keys_to_the_site_that_it_starts() {
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let cookie = format!("Cookie: sessionid={cookie}");
    let rotated = ["--secret-key", "the next key of the site"];
    for (fallback, user) in [
        (
            &[
                "--secret-key-fallback",
                "older",
                "--secret-key-fallback",
                SECRET_KEY,
            ][..],
            "ana",
        ),
        (&[], "nobody"),
    ] {
        let beside = beside_with(&site, &redis, &[&rotated, fallback].concat()).await;

        let page = raw::ask(beside.port(), "GET /", &[&cookie], "").await;

        assert!(page.contains(&format!("The page knows: {user}")), "{page}");
    }
}

#[tokio::test]
async fn the_example_refuses_a_fallback_key_that_its_site_would_take_for_two() {
    let mut command = program("beside-django");
    command.args(["--port", "0", "--secret-key-fallback", "a,b"]);
    let mut refused = Process::start("beside-django", &mut command, "it is not built");

    let status = refused.ended(DEADLINE).await;

    assert!(!status.success());
    let errors = refused.errors();
    assert!(errors.contains("a fallback key has a comma"), "{errors}");
}

#[tokio::test]
async fn a_file_is_uploaded_in_the_admin_with_its_styles_and_forms() {
    let redis = Redis::new().await;
    let hasher = "django.contrib.auth.hashers.PBKDF2PasswordHasher";
    let mut site = site_with(&redis, "db", json!({ "PASSWORD_HASHERS": [hasher] })).await;
    let superuser = json!({ "is_superuser": true, "is_staff": true });
    site.call_with("sign_up", json!(["root"]), superuser).await;
    let beside = beside(&site, &redis).await;
    let port = beside.port();
    let folder = Scratch::new("upload");
    // Larger than Django keeps in memory, and than a buffer of the proxy.
    let file = folder.path().join("plan.txt");
    let contents = "äpfel ".repeat(1024 * 1024);
    fs::write(&file, &contents).unwrap();
    let browser = Browser::new().await;
    let page = browser.page().await;

    let admin = format!("http://127.0.0.1:{port}/admin");
    page.goto(&format!("{admin}/login/?next=/admin/")).await;
    page.type_text("[name=username]", "root").await;
    page.type_text("[name=password]", "open sesame").await;
    page.click("[type=submit]").await;
    page.arrives_at("/admin/").await;
    page.goto(&format!("{admin}/chat/announcement/add/")).await;
    // A rule of a static file, and a script.
    let display = "getComputedStyle(document.querySelector('#main')).display";
    page.wait_for_value(display, &json!("flex")).await;
    page.wait_for("document.querySelector('#id_author') && window.django?.jQuery")
        .await;
    page.type_text("[name=room]", "lobby").await;
    page.type_text("[name=text]", "read the plan").await;
    page.choose_file("[name=attachment]", &file).await;
    page.click("[name=_save]").await;
    page.arrives_at("/admin/chat/announcement/").await;
    page_shows(&page, ".field-text", "read the plan").await;
    page.click("#result_list tbody th a").await;
    page.wait_for("document.querySelector('.file-upload a')")
        .await;

    let uploaded = "fetch(document.querySelector('.file-upload a').href)\
                    .then(response => response.text()).then(text => window.uploaded = text)";
    page.eval(&format!("void {uploaded}")).await;
    page.wait_for_value("window.uploaded?.length", &json!(contents.chars().count()))
        .await;
    let is_whole = "window.uploaded === 'äpfel '.repeat(1024 * 1024)";
    page.wait_for_value(is_whole, &json!(true)).await;
    assert_eq!(page.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_gigabyte_passes_in_each_direction_within_32_mib_of_memory() {
    const PIECE: &[u8] = &[b'x'; 64 * 1024];
    const PIECES: usize = 16 * 1024;
    let redis = Redis::new().await;
    let site = site_with(&redis, "db", json!({})).await;
    let pages = axum::Router::new()
        .route(
            "/down",
            axum::routing::get(async || {
                let pieces = (0..PIECES).map(|_| Ok::<_, Infallible>(Bytes::from_static(PIECE)));
                axum::body::Body::from_stream(stream::iter(pieces))
            }),
        )
        .route(
            "/up",
            axum::routing::post(async |request: axum::extract::Request| {
                let pieces = request.into_body().into_data_stream();
                let sizes = pieces.map(|piece| piece.expect("all arrives").len());
                sizes
                    .fold(0, async |sum, size| sum + size)
                    .await
                    .to_string()
            }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, pages).into_future());
    let flags = ["--django", &url, "--database", site.database()];
    let flags = [&flags[..], &["--secret-key", SECRET_KEY]].concat();
    let mut server = Server::example_with("beside-django", &flags).await;
    let before = server.resident_mib();
    let port = server.port();
    let connect = async || TcpStream::connect(("127.0.0.1", port)).await;
    let mut down = connect().await.unwrap();

    let ask = b"GET /down HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    down.write_all(ask).await.unwrap();
    let (mut received, mut peak, mut buffer) = (0, 0, vec![0; PIECE.len()]);
    loop {
        let count = down.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        let before = received;
        received += count;
        if before >> 26 != received >> 26 {
            peak = peak.max(server.resident_mib());
        }
    }
    assert!(received > PIECE.len() * PIECES, "{received}");

    let length = PIECE.len() * PIECES;
    let whole = (format!("Content-Length: {length}"), PIECE.to_vec(), "");
    let chunk = [b"10000\r\n", PIECE, b"\r\n"].concat();
    let chunked = ("Transfer-Encoding: chunked".to_owned(), chunk, "0\r\n\r\n");
    for (framing, piece, end) in [whole, chunked] {
        let mut up = connect().await.unwrap();
        let ask = format!("POST /up HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        up.write_all(ask.as_bytes()).await.unwrap();
        for number in 0..PIECES {
            up.write_all(&piece).await.unwrap();
            if number % 1024 == 0 {
                peak = peak.max(server.resident_mib());
            }
        }
        up.write_all(end.as_bytes()).await.unwrap();
        let count = up.read(&mut buffer).await.unwrap();
        let response = String::from_utf8_lossy(&buffer[..count]);
        assert!(response.ends_with(&length.to_string()), "{response}");
    }
    assert!(
        peak < before + 32,
        "{before} MiB before, {peak} MiB meanwhile"
    );
}

#[tokio::test]
async fn a_value_that_is_written_to_a_session_is_read_by_django() {
    let (redis, databases) = (Redis::new().await, Databases::new().await);
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

#[tokio::test]
async fn a_view_of_the_site_says_who_is_logged_in_and_a_log_out_closes_the_socket() {
    let redis = Redis::new().await;
    for engine in ENGINES {
        let mut site = site_with(&redis, engine, json!({})).await;
        let staff = json!({ "is_staff": true });
        site.call_with("sign_up", json!(["root"]), staff).await;
        let (ana, root) = (site.log_in("ana").await, site.log_in_again("root").await);
        let pages = Pages::of(&site, &redis, engine, &[]).await;
        let server = asking(&pages, &OFTEN).await;
        let (mut nobody, known) = who(&server, &[]).await;
        assert_eq!(known, json!({ "user": null, "staff": false }), "{engine}");
        let (_, known) = who(&server, &["sessionid=\"a; b\"".to_owned()]).await;
        assert_eq!(known["user"], Value::Null, "{engine}");
        let (mut roots, known) = who(&server, &[format!("sessionid={root}")]).await;
        assert_eq!(known, json!({ "user": "root", "staff": true }), "{engine}");
        let (anas, known) = who_is(&server, &ana).await;
        assert_eq!(known, "ana", "{engine}");

        // A log-out takes no cookie back with `signed_cookies`, in Django as well.
        match engine {
            "signed_cookies" => site.call("deactivate", json!(["ana"])).await,
            _ => site.call("log_out", json!([ana])).await,
        };

        assert_eq!(anas.closed().await.0, 4401, "{engine}");
        assert_eq!(who_is(&server, &ana).await.1, Value::Null, "{engine}");
        for socket in [&mut roots, &mut nobody] {
            assert_open(socket).await;
        }
        site.call("reset_password", json!(["root", "another"]))
            .await;
        assert_eq!(roots.closed().await.0, 4401, "{engine}");
    }
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

    until("a warning", DEADLINE, async || {
        let log = server.errors();
        log.contains("could not recheck a user of Django")
            .then_some(())
    })
    .await;
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
    let redis = Redis::new().await;
    for engine in ["db", "cached_db", "cache"] {
        let mut site = site_with(&redis, engine, json!({})).await;
        let cookie = site.log_in("ana").await;
        let rotated = [
            ("SECRET_KEY", "the next key of the site"),
            ("SECRET_KEY_FALLBACKS", SECRET_KEY),
        ];
        let pages = Pages::of(&site, &redis, engine, &rotated).await;
        let server = asking(&pages, &NEVER).await;

        for _ in 0..2 {
            assert_eq!(who_is(&server, &cookie).await.1, "ana", "{engine}");
        }

        let id = site.call("value", json!([cookie, "_auth_user_id"])).await;
        assert_ne!(id, Value::Null, "{engine}");
    }
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

#[tokio::test]
async fn a_site_that_is_killed_under_load_gives_502_and_serves_again_after_its_restart() {
    const CLIENTS: usize = 8;
    let redis = Redis::new().await;
    let mut site = site_with(&redis, "db", json!({})).await;
    let cookie = site.log_in("ana").await;
    let mut pages = Pages::of(&site, &redis, "db", &[]).await;
    let url = pages.url();
    let flags = ["--django", &url, "--database", site.database()];
    let flags = [&flags[..], &["--secret-key", SECRET_KEY]].concat();
    let server = Server::example_with("beside-django", &flags).await;
    let (mut socket, _) = who_is(&server, &cookie).await;
    let (port, seen) = (server.port(), Arc::new(Mutex::new(BTreeMap::new())));
    let mut load = JoinSet::new();
    for _ in 0..CLIENTS {
        let seen = seen.clone();
        load.spawn(async move {
            loop {
                let status = raw::get(port, "/accounts/login/").await;
                *seen.lock().unwrap().entry(status).or_insert(0_usize) += 1;
            }
        });
    }
    let received = async |status: u16| {
        let count = || {
            seen.lock()
                .unwrap()
                .get(&Some(status))
                .copied()
                .unwrap_or(0)
        };
        let known = count();
        until(&format!("responses with {status}"), DEADLINE, async || {
            (count() >= known + 3 * CLIENTS).then_some(())
        })
        .await;
    };

    received(200).await;
    for _ in 0..2 {
        pages.kill();
        received(502).await;
        pages.start().await;
        received(200).await;
    }

    load.shutdown().await;
    let seen = seen.lock().unwrap().clone();
    let statuses: Vec<_> = seen.keys().copied().collect();
    assert_eq!(statuses, [Some(200), Some(502)], "{seen:?}");
    assert_eq!(raw::get(port, "/accounts/login/").await, Some(200));
    assert_open(&mut socket).await;
}

#[test]
fn the_guide_shows_the_code_of_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(root.join(file)).expect(file);
    let guide = read("docs/from-django.md");
    for file in ["consumers.py", "seaway.py", "signals.py"] {
        let python = read(&format!("examples/beside-django/site/chat/{file}"));
        let (_, code) = python.split_once("\"\"\"\n\n").expect("a docstring first");
        assert!(guide.contains(code), "{file}");
    }
    let rust = read("examples/beside-django/src/main.rs");
    let consumer = rust
        .split_once("#[consumer(forward)]\nimpl Chat {")
        .expect("the chat")
        .1;
    let (consumer, _) = consumer.split_once("\n}\n").expect("its end");
    assert!(guide.contains(consumer));
}

/// Checks that all members of a room receive this message next.
async fn assert_receive(members: &mut [Client], author: &str, text: &str) {
    for member in members {
        let received = member.json("chat.message").await;
        let expected = json!({ "type": "chat.message", "author": author, "text": text });
        assert_eq!(received, expected);
    }
}

async fn page_shows(page: &Page, selector: &str, text: &str) {
    let shown = format!("document.querySelector({selector:?})?.textContent");
    page.wait_for_value(&shown, &json!(text)).await;
}

/// Starts the example with the site in its folder, on the database of this site.
async fn beside(site: &Django, redis: &Redis) -> StartLine {
    beside_with(site, redis, &["--secret-key", SECRET_KEY]).await
}

/// Starts the example with these flags for its keys.
async fn beside_with(site: &Django, redis: &Redis, keys: &[&str]) -> StartLine {
    let mut command = program("beside-django");
    command.args(["--port", "0", "--redis", &redis.url()]);
    command.args(["--database", site.database()]).args(keys);
    command.arg("--python").arg(interpreter());
    StartLine::of("beside-django", &mut command).await
}

/// Returns the settings of a site whose user model is that of `tests/python/accounts`.
fn members() -> Value {
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
    apps.extend(["accounts", "chat"].map(str::to_owned));
    json!({ "AUTH_USER_MODEL": "accounts.Member", "INSTALLED_APPS": apps })
}

/// Returns the name of the user.
async fn name(user: Option<User<DjangoUser>>) -> String {
    user.map_or("nobody".to_owned(), |user| user.name.clone())
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

/// Returns the groups of the user.
async fn groups(User(user): User<DjangoUser>) -> seaway::Result<String> {
    Ok(json!(user.groups().await?).to_string())
}

/// Writes a value to the session.
async fn write(session: DjangoSession) -> Result<(), seaway::Error> {
    session.write("cart", &json!(["äpfel", 3])).await
}

async fn auth(site: &Django) -> DjangoAuth {
    let database = DjangoDatabase::connect(site.database()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    DjangoAuth::new(SecretKeys::new(SECRET_KEY), sessions, &database)
}

/// Returns all engines on SQLite and PostgreSQL, and on MariaDB the one whose queries matter.
fn everywhere(databases: &Databases) -> impl Iterator<Item = (&'static str, Database<'_>)> {
    let [postgres, mariadb] = databases.servers();
    let sqlite = ENGINES.map(|engine| (engine, Database::Sqlite));
    let postgres = ENGINES.map(|engine| (engine, postgres));
    let mariadb = [("db", mariadb)];
    sqlite.into_iter().chain(postgres).chain(mariadb)
}

/// Starts a site with this session engine, on SQLite.
async fn site_with(redis: &Redis, engine: &str, settings: Value) -> Django {
    site_on(Version::Newest, Database::Sqlite, redis, engine, settings).await
}

/// Starts a site with this session engine and database.
async fn site_on(
    version: Version,
    on: Database<'_>,
    redis: &Redis,
    engine: &str,
    mut settings: Value,
) -> Django {
    settings["SESSION_ENGINE"] = format!("django.contrib.sessions.backends.{engine}").into();
    Django::start(version, on, redis, settings).await
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
    let flags = [&WITHOUT_PAGES[..], &shared, &key, flags].concat();
    Server::example_with("beside-django", &flags).await
}

/// Starts the server without a channel layer, unless the engine needs Redis: no log-out is
/// announced to it.
async fn alone(site: &Django, redis: &Redis, engine: &str, flags: &[&str]) -> Server {
    let database = ["--database", site.database(), "--session-engine", engine];
    let url = redis.url();
    let cache = ["--redis", &url];
    let cache = if engine == "cache" { &cache[..] } else { &[] };
    let key = ["--secret-key", SECRET_KEY];
    let flags = [&WITHOUT_PAGES[..], &database, cache, &key, flags].concat();
    Server::example_with("beside-django", &flags).await
}

/// Starts the server that asks the view of these pages; no log-out is announced to it.
async fn asking(pages: &Pages, flags: &[&str]) -> Server {
    let url = pages.url();
    let view = ["--django", &url, "--user-view", "/seaway/user/"];
    let flags = [&view[..], flags].concat();
    Server::example_with("beside-django", &flags).await
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
