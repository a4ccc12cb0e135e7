//! Tests of `DjangoAuth` on a SQLite database with Django's tables and values that Django has made.

use crate::{log::Log, metrics::Counters};
use axum::{Router, extract::Path, routing::get};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, Mac};
use seaway::{
    Channels, Close, Context, ErrorKind, Handshake, NoEvent, Rejection, Result, User,
    WebSocketConsumer, consumer,
    django::{
        ColumnValue, DjangoAuth, DjangoDatabase, DjangoSession, DjangoSessions, DjangoUser,
        DjangoView, SecretKeys, UserTable,
    },
    from_service,
    http::Request,
    middleware::{RequireUser, Sessions},
    routing::ProtocolTypeRouter,
    serve,
    session::MemoryStore,
    testing::{TestClient, WebSocketCommunicator},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use std::{
    fs,
    future::{IntoFuture, pending},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The interval of re-checks in these tests.
const OFTEN: Duration = Duration::from_millis(10);
const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
const ROW_SALT: &str = "django.contrib.sessions.SessionStore";
const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";

#[tokio::test]
async fn a_session_of_django_leads_to_its_user() {
    let site = Site::new().await;
    let app = site.app().await;

    for (cookie, who) in [
        (format!("sessionid={KEY}"), "alice"),
        (format!("sessionid=\"{KEY}\""), "alice"),
        (
            format!("sessionid=unknown0unknown0; sessionid={KEY}"),
            "alice",
        ),
        (
            format!("sessionid={KEY}; sessionid=unknown0unknown0"),
            "nobody",
        ),
        (format!("session={KEY}"), "nobody"),
        ("sessionid=unknown0unknown0".to_owned(), "nobody"),
        ("sessionid=short".to_owned(), "nobody"),
        ("sessionid=".to_owned(), "nobody"),
        (format!("sessionid=\"{}\"", "a\\000b".repeat(4)), "nobody"),
        ("theme=dark".to_owned(), "nobody"),
    ] {
        assert_eq!(who_is(&app, &cookie).await.1, who, "{cookie}");
    }
}

/// A consumer of a user, and of a session of Django.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Shopper {
    #[user]
    user: DjangoUser,
    session: DjangoSession,
}

#[consumer]
impl Shopper {}

/// A consumer of a value in a session of Seaway.
#[derive(WebSocketConsumer)]
#[expect(dead_code, reason = "the fields are only filled")]
struct Basket {
    #[session("cart")]
    cart: Option<Vec<u64>>,
}

#[consumer]
impl Basket {}

#[tokio::test]
async fn a_consumer_that_needs_a_session_which_django_auth_does_not_have_stops_the_start() {
    let site = Site::new().await;
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let sessions = DjangoSessions::database(&database).await.unwrap();
    let of_tables = DjangoAuth::new(SecretKeys::new(site.secret_key()), sessions, &database);
    let of_view = DjangoAuth::from_view(DjangoView::new("http://127.0.0.1:1", "/seaway/user/"));
    let shopper = || ProtocolTypeRouter::new().websocket(Shopper::application(&site.channels));
    let basket = || ProtocolTypeRouter::new().websocket(Basket::application(&site.channels));

    let served = serve("127.0.0.1:0", basket().with(of_tables.clone())).stop_on(pending());

    let error = served.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert_eq!(
        error.to_string(),
        "it::django::Basket needs a Session: `Session` and #[session] read sessions of Seaway, of \
         the middleware Sessions; for a value in the session of Django, use a field of the type \
         DjangoSession and its `get`"
    );
    let both = Sessions::new(MemoryStore::default(), &site.channels);
    let both = basket().with(of_tables.clone()).with(both);
    assert_eq!(both.required_state().to_string(), "");
    let found = shopper().with(of_tables);
    assert_eq!(found.required_state().to_string(), "");
    let missing = shopper().with(of_view);
    assert_eq!(
        missing.required_state().to_string(),
        "it::django::Shopper needs a DjangoSession: wrap the application in the middleware \
         DjangoAuth, with Django's sessions and not with a view"
    );
}

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_connections_is_not_called_a_pool() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);

    let connecting = DjangoDatabase::connect(&format!("postgres://django@{address}/site")).await;

    assert_eq!(
        format!("{:#}", connecting.unwrap_err()),
        "cannot connect to Django's database: check its URL, and that it runs: no connection \
         within 5 s: it does not accept connections, or all 10 are in use"
    );
}

/// Channels deletes the session of a rotated key, where Django and Seaway keep the user; in all other
/// cases, the user is the same in Channels.
#[tokio::test]
async fn each_case_of_channels_has_the_user_that_django_knows() {
    let site = Site::new().await;
    let alices = log_in(1, &site.hash("alice"));
    let cases = site.vectors["channels_end_to_end"].as_object().unwrap();
    for (case, recorded) in cases {
        let mut keys = SecretKeys::new(site.secret_key());
        let (mut in_cookies, mut fallback) = (false, false);
        let row = async |session: &Value, expires| {
            let row = site.signed(ROW_SALT, session);
            site.store("anotherrow", &row, expires).await;
            "anotherrow".to_owned()
        };
        let (valid, past) = ("2099-01-01 00:00:00", "2020-01-01 00:00:00");
        let mut in_cookie = |value: &str| {
            in_cookies = true;
            value.to_owned()
        };
        let value = match case.as_str() {
            "valid db session" => KEY.to_owned(),
            "no cookie" => String::new(),
            "unknown key" => KEY.replace('a', "b"),
            "short key (<8 chars)" => "short".to_owned(),
            "after SECRET_KEY rotation with fallback: django.contrib.auth.get_user"
            | "after SECRET_KEY rotation with fallback: channels AuthMiddleware" => {
                keys = SecretKeys::new("the next key").fallback(site.secret_key());
                fallback = true;
                KEY.to_owned()
            }
            "inactive user" | "backend not in AUTHENTICATION_BACKENDS" => {
                row(&recorded["session"], valid).await
            }
            "wrong hash" => row(&with(&alices, "_auth_user_hash", "0"), valid).await,
            "expired row" => row(&alices, past).await,
            "tampered data" => {
                let data = site.signed(ROW_SALT, &alices).replacen('e', "f", 1);
                site.store("anotherrow", &data, valid).await;
                "anotherrow".to_owned()
            }
            "signed_cookies engine, fresh cookie" => in_cookie(&site.signed(COOKIE_SALT, &alices)),
            "signed_cookies engine, cookie older than SESSION_COOKIE_AGE" => {
                let old = now() - MONTH.as_secs() - 1;
                in_cookie(&signed(&site.secret_key(), COOKIE_SALT, &alices, old))
            }
            "quoted cookie value" => format!("\"{KEY}\""),
            "two sessionid cookies (last wins)" => format!("unknown0unknown0; sessionid={KEY}"),
            // Each of these is a cookie alone.
            "signed_cookies cookie value example" => {
                let cookie = recorded.as_str().unwrap();
                assert_eq!(site.in_old_cookie(cookie).await, "alice", "{case}");
                continue;
            }
            "http" => {
                let cookie = |response: &str| {
                    let headers = recorded[response].as_array().unwrap();
                    let line = headers.last().unwrap()[1].as_str().unwrap();
                    let (pair, _) = line.split_once(';').unwrap();
                    pair.strip_prefix("sessionid=").unwrap().to_owned()
                };
                let log_in = cookie("login with signed_cookies engine");
                let log_out = cookie("logout response headers");
                assert_eq!(site.in_old_cookie(&log_in).await, "alice");
                assert_eq!(site.in_old_cookie(&log_out).await, "nobody");
                continue;
            }
            // Middleware of Channels that misses another; here it has none of these parts.
            "middleware errors" => continue,
            _ => panic!("no test of {case}"),
        };
        let user = match recorded["user"].as_str().unwrap() {
            "AnonymousUser" if !fallback => "nobody",
            _ => "alice",
        };
        let sessions = in_cookies.then(|| DjangoSessions::signed_cookies(MONTH));
        let app = site.app_with(|auth| auth, keys, sessions).await;

        let known = who_is(&app, &format!("sessionid={value}")).await.1;

        assert_eq!(known, user, "{case}");
    }
}

#[tokio::test]
async fn a_session_counts_only_if_django_would_accept_it() {
    let site = Site::new().await;
    let log_in = self::log_in(1, &site.hash("alice"));
    for (key, session, expires, who) in [
        ("accepted", log_in.clone(), "2099-01-01 00:00:00", "alice"),
        ("expired0", log_in.clone(), "2020-01-01 00:00:00", "nobody"),
        (
            "nologin0",
            json!({ "cart": [1, 2] }),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "inactive",
            self::log_in(5, &site.hash("inactive")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "wronghash",
            self::log_in(1, &site.hash("bob")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "hashless",
            without(&log_in, "_auth_user_hash"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "unknown0",
            self::log_in(99, &site.hash("alice")),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "nonumber",
            with(&log_in, "_auth_user_id", "1 or 1"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
        (
            "backend0",
            with(&log_in, "_auth_user_backend", "x.Y"),
            "2099-01-01 00:00:00",
            "nobody",
        ),
    ] {
        site.store(key, &site.signed(ROW_SALT, &session), expires)
            .await;
        let app = site.app().await;
        assert_eq!(
            who_is(&app, &format!("sessionid={key}")).await.1,
            who,
            "{key}"
        );
    }
    let tampered = site.signed(ROW_SALT, &log_in).replacen('e', "f", 1);
    let cookie = site.signed(COOKIE_SALT, &log_in);
    let foreign = signed("another site's key", ROW_SALT, &log_in, now());
    for (key, data) in [
        ("tampered", &*tampered),
        ("othersalt", &cookie),
        ("otherkey", &foreign),
        ("rubbish0", "rubbish"),
        ("empty000", ""),
    ] {
        site.store(key, data, "2099-01-01 00:00:00").await;
        let app = site.app().await;
        assert_eq!(
            who_is(&app, &format!("sessionid={key}")).await.1,
            "nobody",
            "{key}"
        );
    }
}

#[tokio::test]
async fn an_expiry_within_the_current_second_is_compared_in_utc() {
    let site = Site::new().await;
    let app = site.app().await;
    for (offset, who) in [("+5 seconds", "alice"), ("-1 seconds", "nobody")] {
        let change = "UPDATE django_session SET expire_date = datetime('now', ?)";
        sqlx::query(change)
            .bind(offset)
            .execute(&site.pool)
            .await
            .unwrap();
        assert_eq!(
            who_is(&app, &format!("sessionid={KEY}")).await.1,
            who,
            "{offset}"
        );
    }
}

#[tokio::test]
async fn a_rotated_key_counts_as_long_as_it_is_a_fallback() {
    let site = Site::new().await;
    for (keys, who) in [
        (SecretKeys::new("new").fallback(site.secret_key()), "alice"),
        (SecretKeys::new("new"), "nobody"),
    ] {
        let app = site.app_with(|auth| auth, keys, None).await;
        assert_eq!(who_is(&app, &format!("sessionid={KEY}")).await.1, who);
    }
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM django_session")
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(rows, 1, "nothing is deleted");
}

#[tokio::test]
async fn a_signed_cookie_leads_to_its_user_until_it_is_too_old() {
    let site = Site::new().await;
    let age = Duration::from_secs(100);
    let app = site
        .app_with(
            |auth| auth,
            SecretKeys::new(site.secret_key()),
            Some(DjangoSessions::signed_cookies(age)),
        )
        .await;
    let session = log_in(1, &site.hash("alice"));
    let signed = |before: u64| signed(&site.secret_key(), COOKIE_SALT, &session, now() - before);
    let fresh = signed(0);
    for (cookie, who) in [
        (fresh.clone(), "alice"),
        (signed(90), "alice"),
        (signed(102), "nobody"),
        (fresh[..fresh.len() - 1].to_owned(), "nobody"),
        (fresh.replacen('e', "f", 1), "nobody"),
        (site.signed(ROW_SALT, &session), "nobody"),
        (KEY.to_owned(), "nobody"),
    ] {
        assert_eq!(who_is(&app, &format!("sessionid={cookie}")).await.1, who);
    }
}

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
async fn a_row_that_misses_a_condition_of_the_table_is_no_user() {
    let site = Site::new().await;
    for (column, kind) in [
        ("deleted", "bool NOT NULL DEFAULT 0"),
        ("left_at", "datetime"),
        ("site_id", "bigint NOT NULL DEFAULT 9000000000"),
        ("kind", "varchar(20) NOT NULL DEFAULT 'mem''ber'"),
    ] {
        let add = format!("ALTER TABLE auth_user ADD COLUMN {column} {kind}");
        sqlx::query(&add).execute(&site.pool).await.unwrap();
    }
    let users = UserTable::default()
        .only_if("deleted", false)
        .only_if("left_at", ColumnValue::Null)
        .only_if("site_id", 9_000_000_000_i64)
        .only_if("kind", "mem'ber");
    let database = DjangoDatabase::connect_with(&site.url(), users)
        .await
        .unwrap();
    let app = site.app_on(&database, |auth| auth).await;
    let cookie = format!("sessionid={KEY}");
    for (change, back) in [
        ("deleted = 1", "deleted = 0"),
        ("left_at = '2026-01-01 00:00:00'", "left_at = NULL"),
        ("site_id = 1", "site_id = 9000000000"),
        ("kind = 'Mem''ber'", "kind = 'mem''ber'"),
    ] {
        let (mut alice, name) = who_is(&app, &cookie).await;
        assert_eq!(name, "alice", "{change}");

        let change = format!("UPDATE auth_user SET {change}");
        sqlx::query(&change).execute(&site.pool).await.unwrap();

        assert_eq!(alice.receive_close().await.code, Close::UNAUTHORIZED);
        assert_eq!(who_is(&app, &cookie).await.1, "nobody", "{change}");
        let back = format!("UPDATE auth_user SET {back}");
        sqlx::query(&back).execute(&site.pool).await.unwrap();
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
async fn a_table_between_users_and_groups_with_more_columns_than_djangos_is_not_guessed_at() {
    for (table, pages) in [
        ("auth_user_groups", &["/permissions", "/groups"][..]),
        ("auth_user_user_permissions", &["/permissions"]),
    ] {
        let site = Site::new().await;
        let add = format!("ALTER TABLE {table} ADD COLUMN granted_by_id integer");
        sqlx::query(&add).execute(&site.pool).await.unwrap();
        let client = TestClient::new(&site.app().await);
        client.set_cookie("sessionid", KEY);
        let log = Log::listen();

        for page in pages {
            assert_eq!(client.get(page).await.status(), 500, "{table}");
        }

        let lines = log.lines(table);
        assert_eq!(lines.len(), pages.len());
        assert!(lines[0].contains("DjangoAuth::from_view"), "{lines:?}");
        assert_eq!(client.get("/me").await.text(), "alice");
    }
}

#[tokio::test]
async fn a_session_of_another_store_or_serializer_is_logged_with_both_causes() {
    let site = Site::new().await;
    let app = site.app().await;
    let log = Log::listen();
    let stored = site.signed(
        "accounts.sessions.SessionStore",
        &log_in(1, &site.hash("alice")),
    );
    site.store("ofanother", &stored, "2099-01-01 00:00:00")
        .await;

    assert_eq!(who_is(&app, "sessionid=ofanother").await.1, "nobody");

    let line = log.line("cannot read a Django session");
    assert!(line.contains("SECRET_KEY_FALLBACKS"), "{line}");
    assert!(line.contains("SESSION_SERIALIZER"), "{line}");
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

    // Re-checks have run since the changes.
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
async fn an_announced_log_out_closes_the_sockets_of_its_session_at_once() {
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

#[tokio::test]
async fn permissions_and_groups_are_those_of_django() {
    let site = Site::new().await;
    for change in [
        "INSERT INTO django_content_type (id, app_label, model) VALUES (1, 'chat', 'message')",
        "INSERT INTO auth_permission (id, content_type_id, codename, name) VALUES \
         (1, 1, 'add_message', ''), (2, 1, 'change_message', ''), (3, 1, 'delete_message', '')",
        "INSERT INTO auth_group (id, name) VALUES (1, 'writers'), (2, 'editors'), (3, 'readers')",
        "INSERT INTO auth_group_permissions (group_id, permission_id) VALUES (1, 2)",
        "INSERT INTO auth_user_user_permissions (user_id, permission_id) VALUES (1, 1), (5, 1)",
        "INSERT INTO auth_user_groups (user_id, group_id) VALUES (1, 1), (1, 2)",
        "UPDATE auth_user SET is_superuser = 1 WHERE username IN ('md5', 'inactive')",
    ] {
        sqlx::query(change).execute(&site.pool).await.unwrap();
    }
    let all = "django.contrib.auth.backends.AllowAllUsersModelBackend";
    let model = "django.contrib.auth.backends.ModelBackend";
    let backends = |auth: DjangoAuth| auth.backends([all, model]);
    let app = site
        .app_with(backends, SecretKeys::new(site.secret_key()), None)
        .await;
    for (id, name, allowed) in [
        (1, "alice", "add change"),
        (2, "bob", ""),
        (3, "md5", "add change delete"),
        (5, "inactive", ""),
    ] {
        let log_in = with(&log_in(id, &site.hash(name)), "_auth_user_backend", all);
        site.store(
            "granted0",
            &site.signed(ROW_SALT, &log_in),
            "2099-01-01 00:00:00",
        )
        .await;
        let client = TestClient::new(&app);
        client.set_cookie("sessionid", "granted0");
        assert_eq!(client.get("/permissions").await.text(), allowed, "{name}");
        let groups = if name == "alice" {
            "editors writers"
        } else {
            ""
        };
        assert_eq!(client.get("/groups").await.text(), groups, "{name}");
    }
}

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
async fn a_custom_user_model_is_read_from_its_table() {
    let site = Site::new().await;
    let uuid = "0199ab54-8de0-7cc1-a4f5-33d8b4ab0123";
    let password = site.password("alice");
    for change in [
        "CREATE TABLE accounts_member (uuid char(32) NOT NULL PRIMARY KEY, mail varchar(254), \
         secret varchar(128), enabled bool, team bool)",
        "CREATE TABLE accounts_member_groups (id integer, member_id char(32), group_id integer)",
        "CREATE TABLE accounts_member_user_permissions (id integer, member_id char(32), \
         permission_id integer)",
        "INSERT INTO django_content_type (id, app_label, model) VALUES (1, 'chat', 'message')",
        "INSERT INTO auth_permission (id, content_type_id, codename, name) \
         VALUES (1, 1, 'add_message', '')",
        "INSERT INTO accounts_member_user_permissions \
         VALUES (1, '0199ab548de07cc1a4f533d8b4ab0123', 1)",
    ] {
        sqlx::query(change).execute(&site.pool).await.unwrap();
    }
    sqlx::query("INSERT INTO accounts_member VALUES (?, 'alice@example.com', ?, 1, 1)")
        .bind(uuid.replace('-', ""))
        .bind(&password)
        .execute(&site.pool)
        .await
        .unwrap();
    let users = UserTable::new("accounts_member")
        .id("uuid")
        .name("mail")
        .password("secret")
        .active("enabled")
        .staff("team")
        .superuser(None);
    let database = DjangoDatabase::connect_with(&site.url(), users)
        .await
        .unwrap();
    let app = site.app_on(&database, |auth| auth).await;
    let session = with(&log_in(1, &site.hash("alice")), "_auth_user_id", uuid);
    site.store(
        "custom00",
        &site.signed(ROW_SALT, &session),
        "2099-01-01 00:00:00",
    )
    .await;

    let (mut alice, who) = who_is(&app, "sessionid=custom00").await;
    assert_eq!(who, "alice@example.com");
    let client = TestClient::new(&app);
    client.set_cookie("sessionid", "custom00");
    assert_eq!(client.get("/permissions").await.text(), "add");
    let change = "UPDATE accounts_member SET enabled = 0";
    sqlx::query(change).execute(&site.pool).await.unwrap();
    assert_eq!(alice.receive_close().await.code, Close::UNAUTHORIZED);
}

#[tokio::test]
async fn a_database_that_is_not_that_of_the_site_is_an_error_at_start() {
    let site = Site::new().await;
    sqlx::query("CREATE TABLE odd (id datetime, username text, password text)")
        .execute(&site.pool)
        .await
        .unwrap();
    let (auth_user, odd) = (UserTable::default, || {
        UserTable::new("odd")
            .active(None)
            .staff(None)
            .superuser(None)
    });
    for (users, expected) in [
        (
            UserTable::new("accounts_member"),
            "no table accounts_member: run `manage.py migrate`",
        ),
        (
            auth_user().id("uuid"),
            "no column uuid: name it with UserTable::id",
        ),
        (
            auth_user().name("mail"),
            "no column mail: name it with UserTable::name",
        ),
        (
            auth_user().active("enabled"),
            "write .active(None) if the model has none",
        ),
        (odd(), "the column id of odd has the type datetime"),
        (
            auth_user().only_if("deleted", false),
            "no column deleted: correct the name in UserTable::only_if",
        ),
        (auth_user().id("id\" --"), "no column"),
        (UserTable::new("auth_user\" --"), "no table"),
    ] {
        let error = DjangoDatabase::connect_with(&site.url(), users)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Session);
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (url, expected) in [
        (
            "sqlite:/no/such/folder/db.sqlite3",
            "cannot connect to Django's database",
        ),
        (
            "oracle://django:hidden@127.0.0.1/site",
            "unknown kind of database",
        ),
        ("postgres://django:hidden@127.0.0.1:1/site", ""),
    ] {
        let error = DjangoDatabase::connect(url).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(!format!("{error:#?}").contains("hidden"), "{error:#?}");
    }

    sqlx::query("DROP TABLE django_session")
        .execute(&site.pool)
        .await
        .unwrap();
    let database = DjangoDatabase::connect(&site.url()).await.unwrap();
    let error = DjangoSessions::database(&database).await.unwrap_err();
    assert!(error.to_string().contains("SESSION_ENGINE"), "{error}");
}

/// A database with the tables, users and session of the vectors.
struct Site {
    vectors: Value,
    path: PathBuf,
    pool: SqlitePool,
    channels: Channels,
}

impl Site {
    async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seaway-django-{}-{count}.sqlite3", std::process::id());
        let path = std::env::temp_dir().join(name);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let vectors = serde_json::from_str(include_str!("django/vectors.json")).unwrap();
        let site = Self {
            vectors,
            path,
            pool: pool.connect_with(options).await.unwrap(),
            channels: Channels::in_memory(),
        };
        site.create_tables().await;
        site
    }

    async fn create_tables(&self) {
        let content_type = "CREATE TABLE django_content_type \
             (id integer NOT NULL PRIMARY KEY, app_label varchar(100), model varchar(100))";
        sqlx::query(content_type).execute(&self.pool).await.unwrap();
        let schema = self.vectors["schema"].as_object().unwrap();
        let statements = schema.values().map(|sql| sql.as_str().unwrap());
        let (tables, indexes): (Vec<_>, Vec<_>) =
            statements.partition(|sql| sql.starts_with("CREATE TABLE"));
        for sql in tables.into_iter().chain(indexes) {
            sqlx::query(sql).execute(&self.pool).await.unwrap();
        }
        for user in self.vectors["auth_user_rows"].as_array().unwrap() {
            let insert = "INSERT INTO auth_user \
                (id, username, password, is_active, is_staff, is_superuser, first_name, last_name, \
                 email, date_joined) VALUES (?, ?, ?, ?, 0, 0, '', '', '', '2026-01-01 00:00:00')";
            sqlx::query(insert)
                .bind(user["id"].as_i64())
                .bind(user["username"].as_str())
                .bind(user["password"].as_str())
                .bind(user["is_active"].as_i64())
                .execute(&self.pool)
                .await
                .unwrap();
        }
        let row = &self.vectors["db_row"];
        let data = row["session_data"].as_str().unwrap();
        self.store(KEY, data, row["expire_date"].as_str().unwrap())
            .await;
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn secret_key(&self) -> String {
        self.vectors["meta"]["SECRET_KEY"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn user(&self, name: &str) -> &Value {
        let users = self.vectors["session_auth_hash"]["vectors"]
            .as_array()
            .unwrap();
        users
            .iter()
            .find(|user| user["username"] == name)
            .expect(name)
    }

    /// Returns the session hash of a user.
    fn hash(&self, name: &str) -> String {
        self.user(name)["hash"].as_str().unwrap().to_owned()
    }

    fn password(&self, name: &str) -> String {
        self.user(name)["password_column"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    fn signed(&self, salt: &str, session: &Value) -> String {
        signed(&self.secret_key(), salt, session, now())
    }

    async fn store(&self, key: &str, data: &str, expires: &str) {
        sqlx::query("INSERT OR REPLACE INTO django_session VALUES (?, ?, ?)")
            .bind(key)
            .bind(data)
            .bind(expires)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Logs Bob in, and returns the key of the session.
    async fn second(&self) -> &'static str {
        let session = self.signed(ROW_SALT, &log_in(2, &self.hash("bob")));
        self.store("bobs-session", &session, "2099-01-01 00:00:00")
            .await;
        "bobs-session"
    }

    /// Returns the user of this cookie of `signed_cookies`, however old it is.
    async fn in_old_cookie(&self, value: &str) -> String {
        let keys = SecretKeys::new(self.secret_key());
        let sessions = DjangoSessions::signed_cookies(CENTURY);
        let app = self.app_with(|auth| auth, keys, Some(sessions)).await;
        who_is(&app, &format!("sessionid={value}")).await.1
    }

    async fn app(&self) -> ProtocolTypeRouter {
        let keys = SecretKeys::new(self.secret_key());
        self.app_with(|auth| auth, keys, None).await
    }

    /// Returns the application, with the engine `db` if `sessions` is `None`.
    async fn app_with(
        &self,
        configure: impl FnOnce(DjangoAuth) -> DjangoAuth,
        keys: SecretKeys,
        sessions: Option<DjangoSessions>,
    ) -> ProtocolTypeRouter {
        let database = DjangoDatabase::connect(&self.url()).await.unwrap();
        let sessions = match sessions {
            Some(sessions) => sessions,
            None => DjangoSessions::database(&database).await.unwrap(),
        };
        let auth = DjangoAuth::new(keys, sessions, &database).recheck(OFTEN);
        router(&self.channels, configure(auth))
    }

    async fn app_on(
        &self,
        database: &DjangoDatabase,
        configure: impl FnOnce(DjangoAuth) -> DjangoAuth,
    ) -> ProtocolTypeRouter {
        let sessions = DjangoSessions::database(database).await.unwrap();
        let keys = SecretKeys::new(self.secret_key());
        let auth = DjangoAuth::new(keys, sessions, database).recheck(OFTEN);
        router(&self.channels, configure(auth))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The system removes what is left in its temporary folder.
        _ = fs::remove_file(&self.path);
    }
}

fn router(channels: &Channels, auth: DjangoAuth) -> ProtocolTypeRouter {
    let members = RequireUser::<DjangoUser>::new().redirect_to("/accounts/login/");
    let pages = Router::new()
        .route("/members", get(async || "members"))
        .route_layer(members)
        .route("/me", get(async |User(me): User<DjangoUser>| me.name))
        .route("/cart", get(cart))
        .route("/fill", get(fill))
        .route("/fill/{name}", get(fill_in))
        .route("/value/{name}", get(value))
        .route("/permissions", get(permissions))
        .route("/groups", get(groups))
        .route("/open", get(async || "open"));
    ProtocolTypeRouter::new()
        .http(from_service(pages))
        .websocket(Who::application(channels))
        .with(auth)
}

async fn cart(session: DjangoSession) -> Result<String> {
    let cart: Option<String> = session.get("cart").await?;
    Ok(cart.unwrap_or_else(|| "empty".to_owned()))
}

/// Writes a value, and returns it.
async fn fill(session: DjangoSession) -> Result<String, seaway::Error> {
    session.write("cart", &"3 äpfel").await?;
    Ok(session.get("cart").await?.unwrap_or_default())
}

async fn fill_in(Path(name): Path<String>, session: DjangoSession) -> Result<(), seaway::Error> {
    session.write(&name, &name).await
}

async fn value(Path(name): Path<String>, session: DjangoSession) -> Result<String, seaway::Error> {
    Ok(session.get(&name).await?.unwrap_or_default())
}

/// Returns which of three permissions the user has.
async fn permissions(User(user): User<DjangoUser>) -> Result<String> {
    let mut allowed = Vec::new();
    for action in ["add", "change", "delete"] {
        if user.has_perm(&format!("chat.{action}_message")).await? {
            allowed.push(action);
        }
    }
    Ok(allowed.join(" "))
}

async fn groups(User(user): User<DjangoUser>) -> Result<String> {
    Ok(user.groups().await?.join(" "))
}

/// Sends the name of its user, and then echoes.
struct Who(String);

impl WebSocketConsumer for Who {
    type Input = String;
    type Event = NoEvent;

    async fn connect(handshake: &mut Handshake) -> Result<Self, Rejection> {
        let user: Option<User<DjangoUser>> = handshake.extract().await?;
        Ok(Self(
            user.map_or("nobody".to_owned(), |user| user.to_string()),
        ))
    }

    async fn opened(&mut self, ctx: &mut Context) -> Result<()> {
        Ok(ctx.send(self.0.clone()).await?)
    }

    async fn receive(&mut self, ctx: &mut Context, text: String) -> Result<()> {
        Ok(ctx.send(text).await?)
    }
}

fn open(app: &ProtocolTypeRouter, cookie: &str) -> WebSocketCommunicator {
    let request = Request::get("/ws").header("cookie", cookie);
    TestClient::new(app).open_websocket(request)
}

async fn who_is(app: &ProtocolTypeRouter, cookie: &str) -> (WebSocketCommunicator, String) {
    let mut socket = open(app, cookie);
    let name = socket.receive_text().await;
    (socket, name)
}

async fn is_open(socket: &mut WebSocketCommunicator) {
    socket.send("still here").await;
    assert_eq!(socket.receive_text().await, "still here");
}

/// Returns the values that a log-in stores.
fn log_in(id: u64, hash: &str) -> Value {
    json!({
        "_auth_user_id": id.to_string(),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": hash,
    })
}

fn with(session: &Value, key: &str, value: &str) -> Value {
    let mut session = session.clone();
    session[key] = value.into();
    session
}

fn without(session: &Value, key: &str) -> Value {
    let mut session = session.clone();
    session.as_object_mut().unwrap().remove(key);
    session
}

/// Signs as Django does.
fn signed(key: &str, salt: &str, session: &Value, at: u64) -> String {
    let payload = BASE64URL_NOPAD.encode(session.to_string().as_bytes());
    let value = format!("{payload}:{}", base62(at));
    let derived = Sha256::digest(format!("{salt}signer{key}"));
    let mac = Hmac::<Sha256>::new_from_slice(&derived).unwrap();
    let mac = mac.chain_update(&value).finalize();
    format!("{value}:{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
}

fn base62(mut number: u64) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    while number > 0 {
        text.push(digits[(number % 62) as usize]);
        number /= 62;
    }
    text.reverse();
    String::from_utf8(text).unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
