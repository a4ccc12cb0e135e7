//! A site, and the server beside it.

use seaway_tests::support::{
    Database, Django, Redis, Server, StartLine,
    django::{Pages, SECRET_KEY, Version},
    python::interpreter,
    server::program,
};
use serde_json::{Value, json};

/// The flag for rechecks that a test waits for, and for those that never happen in a test.
pub(super) const OFTEN: [&str; 2] = ["--recheck", "1"];
pub(super) const NEVER: [&str; 2] = ["--recheck", "3600"];

/// The flag for a site whose pages are not served: Django's test client requests them.
pub(super) const WITHOUT_PAGES: [&str; 2] = ["--django", "http://127.0.0.1:1"];

/// Starts the example with the site in its folder, on the database of this site.
pub(super) async fn beside(site: &Django, redis: &Redis) -> StartLine {
    beside_with(site, redis, &["--secret-key", SECRET_KEY]).await
}

/// Starts the example with these flags for its keys.
pub(super) async fn beside_with(site: &Django, redis: &Redis, keys: &[&str]) -> StartLine {
    let mut command = program("beside-django");
    command.args(["--port", "0", "--redis", &redis.url()]);
    command.args(["--database", site.database()]).args(keys);
    command.arg("--python").arg(interpreter());
    StartLine::of("beside-django", &mut command).await
}

/// Returns the settings of a site whose user model is `Member` of `tests/python/accounts`.
pub(super) fn members() -> Value {
    with_accounts("accounts.Member")
}

/// Returns the settings of a site whose user model is `Guest` of `tests/python/accounts`.
pub(super) fn guests() -> Value {
    with_accounts("accounts.Guest")
}

fn with_accounts(user_model: &str) -> Value {
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
    json!({ "AUTH_USER_MODEL": user_model, "INSTALLED_APPS": apps })
}

/// Returns the flags for the table of members.
pub(super) fn member_flags() -> Vec<&'static str> {
    let columns = "--user-id key --user-name email --user-active enabled --user-staff team";
    ["--user-table", "people"]
        .into_iter()
        .chain(columns.split(' '))
        .collect()
}

/// Returns the flags for the table of guests.
pub(super) fn guest_flags() -> Vec<&'static str> {
    let columns = "--user-id address --user-name address";
    ["--user-table", "guests"]
        .into_iter()
        .chain(columns.split(' '))
        .collect()
}

/// Starts a site with this session engine, on SQLite.
pub(super) async fn site_with(redis: &Redis, engine: &str, settings: Value) -> Django {
    site_on(Version::Newest, Database::Sqlite, redis, engine, settings).await
}

/// Starts a site with this session engine and database.
pub(super) async fn site_on(
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
pub(super) async fn server(site: &Django, redis: &Redis, engine: &str, flags: &[&str]) -> Server {
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

/// Starts the server without a channel layer, unless the engine needs Redis: no logout is
/// announced to it.
pub(super) async fn alone(site: &Django, redis: &Redis, engine: &str, flags: &[&str]) -> Server {
    let database = ["--database", site.database(), "--session-engine", engine];
    let url = redis.url();
    let cache = ["--redis", &url];
    let cache = if engine == "cache" { &cache[..] } else { &[] };
    let key = ["--secret-key", SECRET_KEY];
    let flags = [&WITHOUT_PAGES[..], &database, cache, &key, flags].concat();
    Server::example_with("beside-django", &flags).await
}

/// Starts the server that asks the view of these pages; no logout is announced to it.
pub(super) async fn asking(pages: &Pages, flags: &[&str]) -> Server {
    let url = pages.url();
    let view = ["--django", &url, "--user-view", "/seaway/user/"];
    let flags = [&view[..], flags].concat();
    Server::example_with("beside-django", &flags).await
}
