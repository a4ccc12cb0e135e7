//! The Django site of `examples/beside-django`, with a database of its own.

use serde_json::{Value, json};

use super::{postgres::Postgres, python::Python, redis::Redis, scratch::Scratch};

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
    /// Starts a site with these settings changed, on a new database: of this server, or a SQLite
    /// file.
    ///
    /// # Panics
    /// If Python or its packages are missing, or the database server does not respond.
    pub async fn start(
        version: Version,
        postgres: Option<&Postgres>,
        redis: &Redis,
        changed: Value,
    ) -> Self {
        let (database, url, folder) = match postgres {
            Some(postgres) => {
                let (name, port) = (postgres.create_database(), postgres.port());
                let url = format!("postgres://django@127.0.0.1:{port}/{name}");
                let database = json!({
                    "ENGINE": "django.db.backends.postgresql",
                    "NAME": name,
                    "USER": "django",
                    "HOST": "127.0.0.1",
                    "PORT": port,
                });
                (database, url, None)
            }
            None => {
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
        self.python.tell(&call);
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
