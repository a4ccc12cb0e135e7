//! A Django site's database, with the tables, users and session of the vectors.

use super::app::{router, who_is};
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use seaway::{
    Channels,
    django::{DjangoAuth, DjangoDatabase, DjangoSessions, SecretKeys},
    routing::ProtocolTypeRouter,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The interval of rechecks in these tests.
pub(super) const OFTEN: Duration = Duration::from_millis(10);
pub(super) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
pub(super) const KEY: &str = "abcdefghijklmnopqrstuvwxyz012345";
pub(super) const ROW_SALT: &str = "django.contrib.sessions.SessionStore";
pub(super) const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";

/// A database with the tables, users and session of the vectors.
pub(super) struct Site {
    pub(super) vectors: Value,
    path: PathBuf,
    pub(super) pool: SqlitePool,
    pub(super) channels: Channels,
}

impl Site {
    pub(super) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seaway-django-{}-{count}.sqlite3", std::process::id());
        let path = std::env::temp_dir().join(name);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true);
        let pool = SqlitePoolOptions::new().max_connections(1);
        let vectors = serde_json::from_str(include_str!("vectors.json")).unwrap();
        let site = Self {
            vectors,
            path,
            pool: pool.connect_with(options).await.unwrap(),
            channels: Channels::in_memory(),
        };
        site.create_tables().await;
        site
    }

    pub(super) async fn create_tables(&self) {
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

    pub(super) fn url(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    pub(super) fn secret_key(&self) -> String {
        self.vectors["meta"]["SECRET_KEY"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(super) fn user(&self, name: &str) -> &Value {
        let users = self.vectors["session_auth_hash"]["vectors"]
            .as_array()
            .unwrap();
        users
            .iter()
            .find(|user| user["username"] == name)
            .expect(name)
    }

    /// Returns the session hash of a user.
    pub(super) fn hash(&self, name: &str) -> String {
        self.user(name)["hash"].as_str().unwrap().to_owned()
    }

    pub(super) fn password(&self, name: &str) -> String {
        self.user(name)["password_column"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(super) fn signed(&self, salt: &str, session: &Value) -> String {
        signed(&self.secret_key(), salt, session, now())
    }

    pub(super) async fn store(&self, key: &str, data: &str, expires: &str) {
        sqlx::query("INSERT OR REPLACE INTO django_session VALUES (?, ?, ?)")
            .bind(key)
            .bind(data)
            .bind(expires)
            .execute(&self.pool)
            .await
            .unwrap();
    }

    /// Logs Bob in, and returns the key of the session.
    pub(super) async fn second(&self) -> &'static str {
        let session = self.signed(ROW_SALT, &log_in(2, &self.hash("bob")));
        self.store("bobs-session", &session, "2099-01-01 00:00:00")
            .await;
        "bobs-session"
    }

    /// Returns the user of this cookie of `signed_cookies`, however old it is.
    pub(super) async fn in_old_cookie(&self, value: &str) -> String {
        let keys = SecretKeys::new(self.secret_key());
        let sessions = DjangoSessions::signed_cookies(CENTURY);
        let app = self.app_with(|auth| auth, keys, Some(sessions)).await;
        who_is(&app, &format!("sessionid={value}")).await.1
    }

    pub(super) async fn app(&self) -> ProtocolTypeRouter {
        let keys = SecretKeys::new(self.secret_key());
        self.app_with(|auth| auth, keys, None).await
    }

    /// Returns the application, with the engine `db` if `sessions` is `None`.
    pub(super) async fn app_with(
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

    pub(super) async fn app_on(
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

/// Returns the values that a login stores.
pub(super) fn log_in(id: u64, hash: &str) -> Value {
    json!({
        "_auth_user_id": id.to_string(),
        "_auth_user_backend": "django.contrib.auth.backends.ModelBackend",
        "_auth_user_hash": hash,
    })
}

pub(super) fn with(session: &Value, key: &str, value: &str) -> Value {
    let mut session = session.clone();
    session[key] = value.into();
    session
}

/// Signs as Django does.
pub(super) fn signed(key: &str, salt: &str, session: &Value, at: u64) -> String {
    signed_json(key, salt, &session.to_string(), at)
}

/// Signs JSON that [`Value`] cannot represent, too.
pub(super) fn signed_json(key: &str, salt: &str, json: &str, at: u64) -> String {
    let payload = BASE64URL_NOPAD.encode(json.as_bytes());
    let value = format!("{payload}:{}", base62(at));
    let derived = Sha256::digest(format!("{salt}signer{key}"));
    let mac = Hmac::<Sha256>::new_from_slice(&derived).unwrap();
    let mac = mac.chain_update(&value).finalize();
    format!("{value}:{}", BASE64URL_NOPAD.encode(&mac.into_bytes()))
}

pub(super) fn base62(mut number: u64) -> String {
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    while number > 0 {
        text.push(digits[(number % 62) as usize]);
        number /= 62;
    }
    text.reverse();
    String::from_utf8(text).unwrap()
}

pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}
