//! Tests of a site's database: its users, their permissions and groups.

use super::{
    app::who_is,
    site::{KEY, ROW_SALT, Site, log_in, with},
};
use crate::log::Log;
use seaway::{
    Close, ErrorKind,
    django::{ColumnValue, DjangoAuth, DjangoDatabase, DjangoSessions, SecretKeys, UserTable},
    testing::TestClient,
};

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_connections_is_not_called_a_pool() {
    // It is bound, so that no other test gets the port, and does not listen.
    let bound = tokio::net::TcpSocket::new_v4().unwrap();
    bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = bound.local_addr().unwrap();

    let connecting = DjangoDatabase::connect(&format!("postgres://django@{address}/site")).await;

    assert_eq!(
        format!("{:#}", connecting.unwrap_err()),
        "cannot connect to Django's database: check its URL, and that it runs: no connection \
         within 5 s: it does not accept connections, or all 10 are in use"
    );
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
async fn a_flag_is_true_as_in_django_whatever_sqlite_stores_in_its_column() {
    let site = Site::new().await;
    let add = "ALTER TABLE auth_user ADD COLUMN level integer NOT NULL DEFAULT 1";
    sqlx::query(add).execute(&site.pool).await.unwrap();
    let levels = UserTable::default().active("level");
    let levels = DjangoDatabase::connect_with(&site.url(), levels).await;
    let levels = site.app_on(&levels.unwrap(), |auth| auth).await;
    let flags = site.app().await;
    let cookie = format!("sessionid={KEY}");
    for (value, by_flag, by_level) in [
        ("1", "alice", "alice"),
        ("x'31'", "alice", "alice"),
        ("2", "nobody", "alice"),
        ("-1", "nobody", "alice"),
        ("1.5", "nobody", "alice"),
        ("0", "nobody", "nobody"),
    ] {
        let change = format!("UPDATE auth_user SET is_active = {value}, level = {value}");
        sqlx::query(&change).execute(&site.pool).await.unwrap();

        assert_eq!(who_is(&flags, &cookie).await.1, by_flag, "{value}");
        assert_eq!(who_is(&levels, &cookie).await.1, by_level, "{value}");
    }
}

#[tokio::test]
async fn a_row_that_is_not_utf_8_is_no_login_and_the_log_says_so() {
    for (change, what) in [
        (
            "UPDATE django_session SET session_data = x'fffe'",
            "a session",
        ),
        ("UPDATE auth_user SET password = x'ff'", "a user"),
        ("UPDATE auth_user SET username = x'61ff' || id", "a user"),
    ] {
        let site = Site::new().await;
        let app = site.app().await;
        let cookie = format!("sessionid={KEY}");
        let (mut alice, _) = who_is(&app, &cookie).await;
        let log = Log::listen();

        sqlx::query(change).execute(&site.pool).await.unwrap();

        assert_eq!(alice.receive_close().await.code, Close::UNAUTHORIZED);
        assert_eq!(who_is(&app, &cookie).await.1, "nobody", "{change}");
        let lines = log.lines("cannot decode a row of Django's database");
        assert!(lines[0].contains(what), "{lines:?}");
    }
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
            "cannot open Django's database: check that the URL names its file",
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
