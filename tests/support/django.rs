//! The Django site of `examples/beside-django`, with a database of its own.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Weak},
};

use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{
    child::Process,
    mariadb::MariaDb,
    port::free_port,
    postgres::Postgres,
    python::{Python, interpreter},
    raw,
    redis::Redis,
    temp_dir::Scratch,
};

/// A version of Django.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 4.2, the oldest that is supported.
    V4_2,
    /// 5.2, which gets fixes for longer than others.
    V5_2,
    /// The newest one that this Python runs.
    Newest,
}

impl Version {
    /// Returns its folder in the Python environment.
    fn folder(self) -> Option<&'static str> {
        match self {
            Self::V4_2 => Some("django-4.2"),
            Self::V5_2 => Some("django-5.2"),
            Self::Newest => None,
        }
    }
}

/// Where a site has its database.
#[derive(Clone, Copy, Debug)]
pub enum Database<'a> {
    /// In a file of its own.
    Sqlite,
    /// In a database of this server.
    Postgres(&'a Postgres),
    /// In a database of this server.
    MariaDb(&'a MariaDb),
}

/// The database servers.
#[derive(Debug)]
pub struct Databases {
    /// A PostgreSQL server.
    pub postgres: Postgres,
    /// A MariaDB server.
    pub mariadb: MariaDb,
}

impl Databases {
    /// Starts the servers.
    ///
    /// # Panics
    /// If one is missing or does not start.
    pub async fn new() -> Self {
        let (postgres, mariadb) = tokio::join!(Postgres::new(), MariaDb::new());
        Self { postgres, mariadb }
    }

    /// Returns the servers that all tests of this time share; they stop with the last of these
    /// tests.
    ///
    /// # Panics
    /// If one is missing or does not start.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Databases>> = Mutex::const_new(Weak::new());

        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::new().await);
        *shared = Arc::downgrade(&started);
        started
    }

    /// Returns the servers.
    #[must_use]
    pub fn servers(&self) -> [Database<'_>; 2] {
        [
            Database::Postgres(&self.postgres),
            Database::MariaDb(&self.mariadb),
        ]
    }

    /// Returns SQLite and the servers.
    #[must_use]
    pub fn all(&self) -> [Database<'_>; 3] {
        let [postgres, mariadb] = self.servers();
        [Database::Sqlite, postgres, mariadb]
    }
}

/// The `SECRET_KEY` of the site, unless a test rotates it.
pub const SECRET_KEY: &str = "the key of the site";

/// A site in a Python process, whose pages are requested by Django's test client.
#[derive(Debug)]
pub struct Django {
    python: Python,
    database: String,
    // Removed after the process has ended.
    _folder: Option<Scratch>,
}

impl Django {
    /// Starts a site with these settings changed, on a new database.
    ///
    /// # Panics
    /// If Python or its packages are missing, or the database server does not respond.
    pub async fn start(version: Version, on: Database<'_>, redis: &Redis, changed: Value) -> Self {
        let at_server = |engine: &str, name: String, port: u16| {
            json!({
                "ENGINE": format!("django.db.backends.{engine}"),
                "NAME": name,
                "USER": "django",
                "HOST": "127.0.0.1",
                "PORT": port,
            })
        };
        let (database, url, folder) = match on {
            Database::Postgres(postgres) => {
                let (name, port) = (postgres.create_database(), postgres.port());
                let url = format!("postgres://django@127.0.0.1:{port}/{name}");
                (at_server("postgresql", name, port), url, None)
            }
            Database::MariaDb(mariadb) => {
                let (name, port) = (mariadb.create_database(), mariadb.port());
                let url = format!("mysql://django@127.0.0.1:{port}/{name}");
                (at_server("mysql", name, port), url, None)
            }
            Database::Sqlite => {
                let folder = Scratch::new("django");
                let file = folder.path().join("db.sqlite3");
                let database = json!({ "ENGINE": "django.db.backends.sqlite3", "NAME": &file });
                (database, format!("sqlite:{}", file.display()), Some(folder))
            }
        };
        let mut settings = json!({
            "SECRET_KEY": SECRET_KEY,
            "DATABASES": { "default": database },
        });
        for (name, value) in changed.as_object().into_iter().flatten() {
            settings[name] = value.clone();
        }
        let (script, arguments) = ("django_site.py", [&*settings.to_string()]);
        let mut python = Python::start_with(script, redis, &arguments, version.folder());
        assert_eq!(python.next().await, "migrated");
        Self {
            python,
            database: url,
            _folder: folder,
        }
    }

    /// Returns the URL of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Calls a function of `tests/python/django_site.py`.
    ///
    /// # Panics
    /// If it fails.
    pub async fn call(&mut self, function: &str, arguments: Value) -> Value {
        self.call_with(function, arguments, json!({})).await
    }

    /// Calls a function with named arguments, too.
    ///
    /// # Panics
    /// If it fails.
    pub async fn call_with(&mut self, function: &str, arguments: Value, fields: Value) -> Value {
        let call = json!({ "call": function, "with": arguments, "fields": fields });
        self.python.send(&call);
        self.python.next().await
    }

    /// Signs a user up, and logs in on the page; returns the session cookie.
    ///
    /// # Panics
    /// If the page does not log in.
    pub async fn log_in(&mut self, name: &str) -> String {
        self.call("sign_up", json!([name])).await;
        self.log_in_again(name).await
    }

    /// Logs a known user in on the page; returns the session cookie.
    ///
    /// # Panics
    /// If the page does not log in.
    pub async fn log_in_again(&mut self, name: &str) -> String {
        let cookie = self.call("log_in", json!([name])).await;
        cookie.as_str().expect("a session cookie").to_owned()
    }
}

/// The pages of a site on an SQLite file, in a process of their own that can be killed.
#[derive(Debug)]
pub struct Pages {
    process: Process,
    port: u16,
    variables: Vec<(&'static str, String)>,
}

impl Pages {
    /// Serves the pages of this site with the same session engine; more variables change its
    /// settings.
    ///
    /// # Panics
    /// If the site is not on SQLite, or Python does not serve it.
    pub async fn of(
        site: &Django,
        redis: &Redis,
        engine: &str,
        more: &[(&'static str, &str)],
    ) -> Self {
        let file = site.database().strip_prefix("sqlite:");
        let mut variables = vec![
            ("DATABASE_FILE", file.expect("a site on SQLite").to_owned()),
            ("SESSION_ENGINE", engine.to_owned()),
            ("REDIS_URL", redis.url()),
            ("SECRET_KEY", SECRET_KEY.to_owned()),
        ];
        variables.extend(
            more.iter()
                .map(|(name, value)| (*name, (*value).to_owned())),
        );
        let port = free_port();
        let mut pages = Self {
            process: serve(port, &variables),
            port,
            variables,
        };
        pages.up().await;
        pages
    }

    /// Returns the address of the site.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Kills the process (SIGKILL).
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// If it does not respond.
    pub async fn start(&mut self) {
        self.process = serve(self.port, &self.variables);
        self.up().await;
    }

    async fn up(&mut self) {
        let port = self.port;
        let is_up = async || raw::get(port, "/accounts/login/").await == Some(200);
        self.process.up(is_up).await;
    }
}

fn serve(port: u16, variables: &[(&'static str, String)]) -> Process {
    let mut command = Command::new(interpreter());
    let site = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/beside-django/site");
    command.arg("-B").arg("serve.py").arg(port.to_string());
    command.current_dir(site).envs(variables.iter().cloned());
    // It ends with this pipe.
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    Process::start("django", &mut command, "`cargo xtask setup` installs it")
}
