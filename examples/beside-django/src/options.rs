//! The command line.

use launch::{Address, Program};
use seaway::{
    Error, ErrorKind,
    django::{
        DjangoAuth, DjangoCache, DjangoDatabase, DjangoSessions, DjangoView, SecretKeys, UserTable,
    },
};
use std::{env, time::Duration};

/// The `SECRET_KEY` of the site unless another is set.
const SECRET_KEY: &str = "only for this example, and known to all";

const PROGRAM: Program = Program {
    name: "beside-django",
    about: "The WebSockets of a Django site, which know the user who is logged in there.",
    settings: &[&[
        (
            "--django URL",
            "the address of the Django site (none: starts the one in site/)",
        ),
        (
            "--python P",
            "the Python that runs site/ (none: a virtual environment, made in venv/)",
        ),
        (
            "--database URL",
            "Django's database (the SQLite file db.sqlite3)",
        ),
        (
            "--secret-key K",
            "Django's SECRET_KEY (the variable SECRET_KEY, or that of site/)",
        ),
        (
            "--secret-key-fallback K",
            "one of Django's SECRET_KEY_FALLBACKS, repeatable (the variable, with commas)",
        ),
        (
            "--session-engine E",
            "db, cached_db, signed_cookies or cache (db)",
        ),
        (
            "--redis URL",
            "the Redis of Django's channel layer and cache (none: one process)",
        ),
        (
            "--cache-key-prefix P",
            "KEY_PREFIX of the cache, for the session engine cache (none)",
        ),
        ("--cache-version N", "its VERSION (1)"),
        (
            "--recheck S",
            "seconds between two checks of a socket's user (10)",
        ),
        (
            "--user-view PATH",
            "the view of the site that says who a client is (none: reads the database)",
        ),
        (
            "--user-table T",
            "the table of Django's user model (auth_user)",
        ),
        ("--user-id C", "its primary key (id)"),
        ("--user-name C", "its USERNAME_FIELD (username)"),
        ("--user-password C", "the hash of the password (password)"),
        (
            "--user-active C",
            "whether the user may log in (is_active; empty: no such column)",
        ),
        (
            "--user-staff C",
            "whether the user is staff (is_staff; empty: no such column)",
        ),
    ]],
};

/// What the command line selects.
pub struct Options {
    pub address: Address,
    pub django: Option<String>,
    pub python: Option<String>,
    pub database: String,
    pub engine: String,
    pub redis: Option<String>,
    cache_key_prefix: String,
    cache_version: u32,
    recheck: Duration,
    pub secret_key: String,
    user_view: Option<String>,
    pub fallbacks: Vec<String>,
    users: UserTable,
}

impl Options {
    /// Reads the command line.
    pub fn read() -> Result<Self, Error> {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/db.sqlite3");
        let (mut django, mut python, mut redis) = (None, None, None);
        let (mut database, mut engine) = (format!("sqlite:{file}"), "db".to_owned());
        let (mut key, mut fallbacks) = (None::<String>, Vec::<String>::new());
        let mut user_view = None;
        let (mut cache_key_prefix, mut cache_version) = (String::new(), 1);
        let (mut recheck, mut table, mut columns) = (10_u64, None::<String>, Vec::new());
        let address = PROGRAM.start_with(|flag| {
            match flag.name().to_owned().as_str() {
                "--django" => django = Some(flag.value()?),
                "--python" => python = Some(flag.value()?),
                "--database" => database = flag.value()?,
                "--secret-key" => key = Some(flag.value()?),
                "--secret-key-fallback" => fallbacks.push(flag.value()?),
                "--session-engine" => engine = flag.value()?,
                "--redis" => redis = Some(flag.value()?),
                "--cache-key-prefix" => cache_key_prefix = flag.value()?,
                "--cache-version" => cache_version = flag.value()?,
                "--recheck" => recheck = flag.value()?,
                "--user-view" => user_view = Some(flag.value()?),
                "--user-table" => table = Some(flag.value()?),
                name @ ("--user-id" | "--user-name" | "--user-password" | "--user-active"
                | "--user-staff") => columns.push((name.to_owned(), flag.value::<String>()?)),
                _ => return Ok(false),
            }
            Ok(true)
        });
        // Not every user model has superusers, and none is needed here.
        let mut users = table.map_or_else(UserTable::default, |table| {
            UserTable::new(table).superuser(None)
        });
        for (name, column) in columns {
            let optional = Some(&*column).filter(|column| !column.is_empty());
            users = match name.as_str() {
                "--user-active" => users.active(optional),
                "--user-staff" => users.staff(optional),
                "--user-id" => users.id(column),
                "--user-name" => users.name(column),
                _ => users.password(column),
            };
        }
        let key = key.or_else(|| env::var("SECRET_KEY").ok());
        let key = key.filter(|key| !key.is_empty());
        if fallbacks.is_empty() {
            let listed = env::var("SECRET_KEY_FALLBACKS").unwrap_or_default();
            fallbacks.extend(listed.split(',').map(str::to_owned));
        }
        fallbacks.retain(|key| !key.is_empty());
        let secret_key = match (key, &django, &user_view) {
            (Some(key), ..) => key,
            (None, None, _) | (None, _, Some(_)) => SECRET_KEY.to_owned(),
            (None, Some(_), None) => {
                return Err(mistake("set Django's SECRET_KEY with --secret-key"));
            }
        };
        Ok(Self {
            address,
            django,
            python,
            database,
            engine,
            redis,
            cache_key_prefix,
            cache_version,
            recheck: Duration::from_secs(recheck.max(1)),
            secret_key,
            user_view,
            fallbacks,
            users,
        })
    }

    /// Returns the middleware that knows the users of the site at this address.
    pub async fn auth(&self, site: &str) -> Result<DjangoAuth, Error> {
        let auth = match &self.user_view {
            Some(path) => DjangoAuth::from_view(DjangoView::new(site, path)),
            None => {
                let database = self.database().await?;
                DjangoAuth::new(self.keys(), self.sessions(&database).await?, &database)
            }
        };
        Ok(auth.recheck(self.recheck))
    }

    /// Returns the keys with which Django signs.
    fn keys(&self) -> SecretKeys {
        let keys = SecretKeys::new(&self.secret_key);
        self.fallbacks
            .iter()
            .fold(keys, |keys, key| keys.fallback(key))
    }

    /// Connects to Django's database.
    async fn database(&self) -> Result<DjangoDatabase, Error> {
        DjangoDatabase::connect_with(&self.database, self.users.clone()).await
    }

    /// Returns the session engine.
    async fn sessions(&self, database: &DjangoDatabase) -> Result<DjangoSessions, Error> {
        match (self.engine.as_str(), &self.redis) {
            ("db" | "cached_db", _) => DjangoSessions::database(database).await,
            // Django's default of SESSION_COOKIE_AGE.
            ("signed_cookies", _) => {
                let age = Duration::from_secs(14 * 24 * 3600);
                Ok(DjangoSessions::signed_cookies(age))
            }
            ("cache", Some(url)) => {
                let cache = DjangoCache::connect(url).await?;
                let cache = cache.key_prefix(&self.cache_key_prefix);
                Ok(DjangoSessions::cache(
                    cache.version(self.cache_version).pickle(),
                ))
            }
            ("cache", None) => Err(mistake("the session engine cache needs --redis")),
            _ => Err(mistake(
                "--session-engine is db, cached_db, signed_cookies or cache",
            )),
        }
    }
}

pub fn mistake(message: &'static str) -> Error {
    Error::new(ErrorKind::User, message)
}
