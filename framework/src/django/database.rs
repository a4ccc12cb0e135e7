//! Django's database: its sessions, users and their permissions.

use super::{
    dialect::{optional_text, text},
    grants::GrantQueries,
    pool::{DatabasePool, no_column},
    signing::MAX_SIGNED,
    user_query::{UserQuery, UserRow},
    users::UserTable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
};
use std::{collections::HashSet, fmt, sync::Arc};

/// The database of a Django site, which Seaway only reads, unless you
/// [write](super::DjangoSession::write) to a session.
///
/// ```no_run
/// # async fn example() -> seaway::Result<()> {
/// use seaway::django::{DjangoDatabase, UserTable};
///
/// let url = "postgres://django:secret@127.0.0.1/site";
/// let database = DjangoDatabase::connect(url).await?;
///
/// // A site whose AUTH_USER_MODEL is `accounts.Member`:
/// let members = UserTable::new("accounts_member").name("email");
/// let database = DjangoDatabase::connect_with(url, members).await?;
/// # Ok(()) }
/// ```
///
/// The features `django-sqlite`, `django-postgres` and `django-mysql` contain the drivers. At most
/// 10 connections are open; a query that gets none, or no result, within 5 s fails. A connection
/// that is silent for another 30 s is closed. Clones share the connections.
#[derive(Clone)]
pub struct DjangoDatabase(Arc<Inner>);

struct Inner {
    pool: DatabasePool,
    user: UserQuery,
    grants: GrantQueries,
}

impl DjangoDatabase {
    /// Connects to the database of a site with Django's own user model.
    ///
    /// The URL is `sqlite:path`, `postgres://user:password@host/name` or
    /// `mysql://user:password@host/name`.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the database does not respond, or has no such tables and columns;
    /// the message names the remedy.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, UserTable::default()).await
    }

    /// Connects to the database of a site with another user model.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(url: &str, users: UserTable) -> Result<Self> {
        let pool = DatabasePool::connect(url).await?;
        let user = UserQuery::new(&pool, &users).await?;
        let grants = GrantQueries::new(&pool, &users.table, user.id).await?;
        Ok(Self(Arc::new(Inner { pool, user, grants })))
    }

    /// Checks that the table of sessions is there.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if it is not, or the database does not respond.
    pub(super) async fn check_sessions(&self) -> Result<()> {
        let found = self.0.pool.columns("django_session").await?;
        let needed = ["session_key", "session_data", "expire_date"];
        match needed.iter().find(|name| !found.contains_key(**name)) {
            None => Ok(()),
            Some(missing) if !found.is_empty() => {
                Err(no_column("django_session", missing, "it is not Django's"))
            }
            Some(_) => Err(Error::new(
                ErrorKind::Session,
                "Django's database has no table django_session: run `manage.py migrate`, or \
                 choose the site's SESSION_ENGINE",
            )),
        }
    }

    /// Runs the queries of the check of an open connection, once it may use one of the connections.
    pub(super) async fn check<T>(&self, queries: impl Future<Output = T>) -> T {
        self.0.pool.check(queries).await
    }

    /// Returns the signed values of a session that has not expired.
    pub(super) async fn session(&self, key: &str) -> Result<Option<String>> {
        let dialect = self.0.pool.dialect;
        let query = format!(
            "SELECT {}, CASE WHEN {} <= {MAX_SIGNED} THEN {} END FROM django_session \
             WHERE session_key = {} AND expire_date > {}",
            dialect.text("session_key"),
            dialect.size("session_data"),
            dialect.text("session_data"),
            dialect.parameter(1),
            dialect.now(),
        );
        let query = sqlx::query(&query).bind(key);
        let read = |row: &_| Ok((text(row, 0)?, optional_text(row, 1)?));
        let stored = self.0.pool.row("a session", query, read).await?;
        // MySQL finds a key in other letter case, too, which would have another group.
        let Some((_, data)) = stored.filter(|(found, _)| found == key) else {
            return Ok(None);
        };
        if data.is_none() {
            log_limited!(
                warn,
                "cannot read a Django session: its row is larger than 2 MiB, and a session of \
                 1 MiB is the largest"
            );
        }
        Ok(data)
    }

    /// Replaces the signed values of a session that has not expired; returns false if they are no
    /// longer those that were read.
    pub(super) async fn replace_session(&self, key: &str, old: &str, new: &str) -> Result<bool> {
        let dialect = self.0.pool.dialect;
        let query = format!(
            "UPDATE django_session SET session_data = {} \
             WHERE session_key = {} AND {} = {} AND expire_date > {}",
            dialect.parameter(1),
            dialect.parameter(2),
            dialect.exact("session_data"),
            dialect.exact(&dialect.parameter(3)),
            dialect.now(),
        );
        let query = sqlx::query(&query).bind(new).bind(key).bind(old);
        Ok(self.0.pool.write("a session", query).await? == 1)
    }

    /// Returns the user with this primary key, as a session has it.
    pub(super) async fn user(&self, id: &str) -> Result<Option<UserRow>> {
        self.0.user.run(&self.0.pool, id).await
    }

    /// Returns the permissions of a user and of the user's groups, as `app.codename`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the user model has none, or its tables are not Django's.
    pub(super) async fn permissions(&self, id: &str) -> Result<HashSet<String>> {
        self.0.grants.permissions(&self.0.pool, id).await
    }

    /// Returns the names of a user's groups.
    ///
    /// # Errors
    /// As [`permissions`](Self::permissions).
    pub(super) async fn groups(&self, id: &str) -> Result<Vec<String>> {
        self.0.grants.groups(&self.0.pool, id).await
    }
}

/// Omits the URL, which holds a password.
impl fmt::Debug for DjangoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoDatabase")
            .field("dialect", &self.0.pool.dialect)
            .finish_non_exhaustive()
    }
}
