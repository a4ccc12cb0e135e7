//! The command line.

use launch::{Address, Program};
use seaway::{
    Error, ErrorKind,
    django::{DjangoCache, DjangoDatabase, DjangoSessions, SecretKeys, UserTable},
};
use std::{env, time::Duration};

const PROGRAM: Program = Program {
    name: "beside-django",
    about: "WebSockets beside a Django site, which know the user who is logged in there.",
    settings: &[
        (
            "--database URL",
            "Django's database (sqlite:site/db.sqlite3)",
        ),
        (
            "--secret-key K",
            "Django's SECRET_KEY (the variable SECRET_KEY)",
        ),
        (
            "--secret-key-fallback K",
            "one of Django's SECRET_KEY_FALLBACKS; may be repeated",
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
            "--recheck S",
            "seconds between two checks of a socket's user (10)",
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
    ],
};

/// What the command line selects.
pub struct Options {
    pub address: Address,
    pub keys: SecretKeys,
    pub redis: Option<String>,
    pub recheck: Duration,
    database: String,
    engine: String,
    users: UserTable,
}

impl Options {
    /// Reads the command line.
    pub fn read() -> Result<Self, Error> {
        let (mut database, mut engine) = ("sqlite:site/db.sqlite3".to_owned(), "db".to_owned());
        let (mut key, mut fallbacks) = (env::var("SECRET_KEY").ok(), Vec::<String>::new());
        let (mut redis, mut recheck) = (None, 10_u64);
        let (mut table, mut columns) = (None::<String>, Vec::new());
        let address = PROGRAM.start_with(|flag| {
            match flag.name().to_owned().as_str() {
                "--database" => database = flag.value()?,
                "--secret-key" => key = Some(flag.value()?),
                "--secret-key-fallback" => fallbacks.push(flag.value()?),
                "--session-engine" => engine = flag.value()?,
                "--redis" => redis = Some(flag.value()?),
                "--recheck" => recheck = flag.value()?,
                "--user-table" => table = Some(flag.value()?),
                name if name.starts_with("--user-") => {
                    columns.push((name.to_owned(), flag.value::<String>()?));
                }
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
                "--user-password" => users.password(column),
                _ => return Err(mistake("unknown option; --help lists those that exist")),
            };
        }
        let key = key.filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| mistake("set Django's SECRET_KEY with --secret-key"))?;
        let keys = SecretKeys::new(key);
        Ok(Self {
            address,
            keys: fallbacks
                .into_iter()
                .fold(keys, |keys, key| keys.fallback(key)),
            redis,
            recheck: Duration::from_secs(recheck.max(1)),
            database,
            engine,
            users,
        })
    }

    /// Connects to Django's database.
    pub async fn database(&self) -> Result<DjangoDatabase, Error> {
        DjangoDatabase::connect_with(&self.database, self.users.clone()).await
    }

    /// Returns the session engine.
    pub async fn sessions(&self, database: &DjangoDatabase) -> Result<DjangoSessions, Error> {
        match (self.engine.as_str(), &self.redis) {
            ("db" | "cached_db", _) => DjangoSessions::database(database).await,
            // Django's default of SESSION_COOKIE_AGE.
            ("signed_cookies", _) => {
                let age = Duration::from_secs(14 * 24 * 3600);
                Ok(DjangoSessions::signed_cookies(age))
            }
            ("cache", Some(url)) => {
                let cache = DjangoCache::connect(url).await?;
                Ok(DjangoSessions::cache(cache.pickle()))
            }
            ("cache", None) => Err(mistake("the session engine cache needs --redis")),
            _ => Err(mistake(
                "--session-engine is db, cached_db, signed_cookies or cache",
            )),
        }
    }
}

fn mistake(message: &'static str) -> Error {
    Error::new(ErrorKind::User, message)
}
