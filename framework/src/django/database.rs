//! Django's tables, as far as they are used: sessions, users, permissions.

use super::{
    dialect::{Dialect, IdType, flag, text},
    users::UserTable,
};
use crate::error::{Error, ErrorKind, Result};
use sqlx::{
    AnyPool, Error as SqlError,
    any::{AnyPoolOptions, install_default_drivers},
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    future::Future,
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;

/// The number of connections to the database; further queries wait for one of them.
const CONNECTIONS: u32 = 10;
/// The time limit of a query, including the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

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
/// 10 connections are open; a query that gets none, or no result, within 5 s fails. Clones share
/// the connections.
#[derive(Clone)]
pub struct DjangoDatabase(Arc<Inner>);

struct Inner {
    pool: AnyPool,
    dialect: Dialect,
    user_id: IdType,
    user_query: String,
    /// `None` if the user model has no groups and permissions.
    permission_query: Option<String>,
    /// `None` if the user model has no groups.
    group_query: Option<String>,
}

/// A row of the user table.
pub(super) struct UserRow {
    pub(super) name: String,
    /// The hash of the password.
    pub(super) password: String,
    pub(super) is_active: bool,
    pub(super) is_staff: bool,
    pub(super) is_superuser: bool,
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
        let dialect = Dialect::of(url)?;
        install_default_drivers();
        let connecting = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(QUERY_TIMEOUT)
            .connect(url);
        let pool = connecting.await.map_err(|error| {
            let message = match &error {
                // The driver is missing: everything else in a URL was checked or has a default.
                SqlError::Configuration(reason) if reason.to_string().contains("no driver") => {
                    format!(
                        "this program has no driver for Django's database: enable the feature \
                         `{}` of seaway",
                        dialect.feature()
                    )
                }
                _ => "cannot connect to Django's database: check its URL, and that it runs"
                    .to_owned(),
            };
            Error::new(ErrorKind::Session, message).with_source(error)
        })?;
        let columns = columns(&pool, dialect, &users.table).await?;
        let user_id = check_users(dialect, &users, &columns)?;
        Ok(Self(Arc::new(Inner {
            user_query: user_query(dialect, &users, user_id)?,
            permission_query: permission_query(&pool, dialect, &users.table, user_id).await?,
            group_query: group_query(&pool, dialect, &users.table, user_id).await?,
            pool,
            dialect,
            user_id,
        })))
    }

    /// Checks that the table of sessions is there.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if it is not, or the database does not respond.
    pub(super) async fn check_sessions(&self) -> Result<()> {
        let found = columns(&self.0.pool, self.0.dialect, "django_session").await?;
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

    /// Returns the signed values of a session that has not expired.
    pub(super) async fn session(&self, key: &str) -> Result<Option<String>> {
        let dialect = self.0.dialect;
        let query = format!(
            "SELECT {}, {} FROM django_session WHERE session_key = {} AND expire_date > {}",
            dialect.text("session_key"),
            dialect.text("session_data"),
            dialect.parameter(1),
            dialect.now(),
        );
        let running = sqlx::query(&query).bind(key).fetch_optional(&self.0.pool);
        let row = limited("read", "a session", running).await?;
        let stored = row.map(|row| Ok::<_, SqlError>((text(&row, 0)?, text(&row, 1)?)));
        let stored = stored
            .transpose()
            .map_err(|error| failed("read", "a session", error))?;
        // MySQL finds a key in other letter case, too, which would have another group.
        Ok(stored
            .filter(|(found, _)| found == key)
            .map(|(_, data)| data))
    }

    /// Replaces the signed values of a session that has not expired; returns false if they are no
    /// longer those that were read.
    pub(super) async fn replace_session(&self, key: &str, old: &str, new: &str) -> Result<bool> {
        let dialect = self.0.dialect;
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
        let written = limited("write", "a session", query.execute(&self.0.pool)).await?;
        Ok(written.rows_affected() == 1)
    }

    /// Returns the user with this primary key, as a session has it.
    pub(super) async fn user(&self, id: &str) -> Result<Option<UserRow>> {
        let Some(id) = self.0.user_id.id(id) else {
            return Ok(None);
        };
        let running = id.bind(sqlx::query(&self.0.user_query));
        let row = limited("read", "a user", running.fetch_optional(&self.0.pool)).await?;
        let user = row.map(|row| {
            Ok::<_, SqlError>(UserRow {
                name: text(&row, 0)?,
                password: text(&row, 1)?,
                is_active: flag(&row, 2)?,
                is_staff: flag(&row, 3)?,
                is_superuser: flag(&row, 4)?,
            })
        });
        user.transpose()
            .map_err(|error| failed("read", "a user", error))
    }

    /// Returns the permissions of a user and of the user's groups, as `app.codename`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the user model has none.
    pub(super) async fn permissions(&self, id: &str) -> Result<HashSet<String>> {
        let query = self.0.permission_query.as_ref().ok_or_else(no_grants)?;
        let Some(id) = self.0.user_id.id(id) else {
            return Ok(HashSet::new());
        };
        let running = id.bind(id.bind(sqlx::query(query)));
        let rows = limited("read", "permissions", running.fetch_all(&self.0.pool)).await?;
        let names = rows
            .iter()
            .map(|row| Ok(format!("{}.{}", text(row, 0)?, text(row, 1)?)));
        let names = names.collect::<Result<_, SqlError>>();
        names.map_err(|error| failed("read", "permissions", error))
    }

    /// Returns the names of a user's groups.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the user model has none.
    pub(super) async fn groups(&self, id: &str) -> Result<Vec<String>> {
        let query = self.0.group_query.as_ref().ok_or_else(no_grants)?;
        let Some(id) = self.0.user_id.id(id) else {
            return Ok(Vec::new());
        };
        let running = id.bind(sqlx::query(query));
        let rows = limited("read", "groups", running.fetch_all(&self.0.pool)).await?;
        let names = rows.iter().map(|row| text(row, 0));
        let names = names.collect::<Result<_, SqlError>>();
        names.map_err(|error| failed("read", "groups", error))
    }
}

/// Omits the URL, which holds a password.
impl fmt::Debug for DjangoDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoDatabase")
            .field("dialect", &self.0.dialect)
            .finish_non_exhaustive()
    }
}

/// Returns the columns of a table with their types; none if there is no such table.
async fn columns(pool: &AnyPool, dialect: Dialect, table: &str) -> Result<HashMap<String, String>> {
    let running = sqlx::query(dialect.columns()).bind(table).fetch_all(pool);
    let rows = limited("read", "the columns of a table", running).await?;
    let columns = rows.iter().map(|row| Ok((text(row, 0)?, text(row, 1)?)));
    let columns = columns.collect::<Result<_, SqlError>>();
    columns.map_err(|error| failed("read", "the columns of a table", error))
}

/// Returns the type of the primary key, if all columns of the user table are there.
fn check_users(
    dialect: Dialect,
    users: &UserTable,
    columns: &HashMap<String, String>,
) -> Result<IdType> {
    let table = &users.table;
    if columns.is_empty() {
        let message = format!(
            "Django's database has no table {table}: run `manage.py migrate`, or name the table \
             of AUTH_USER_MODEL with UserTable::new"
        );
        return Err(Error::new(ErrorKind::Session, message));
    }
    let optional = [
        ("active", &users.active),
        ("staff", &users.staff),
        ("superuser", &users.superuser),
    ];
    let optional = optional.into_iter().filter_map(|(setter, column)| {
        let remedy = format!(
            "name it with UserTable::{setter}, or write .{setter}(None) if the model has none"
        );
        Some((column.as_ref()?, remedy))
    });
    let required = [
        ("id", &users.id),
        ("name", &users.name),
        ("password", &users.password),
    ];
    let required = required
        .into_iter()
        .map(|(setter, column)| (column, format!("name it with UserTable::{setter}")));
    for (column, remedy) in required.chain(optional) {
        if !columns.contains_key(column) {
            return Err(no_column(table, column, &remedy));
        }
    }
    let id_type = &columns[&users.id];
    dialect.id_type(id_type).ok_or_else(|| {
        let message = format!(
            "the column {} of {table} has the type {id_type}: a primary key is an integer, a \
             UUID or a text",
            users.id
        );
        Error::new(ErrorKind::Session, message)
    })
}

fn no_column(table: &str, column: &str, remedy: &str) -> Error {
    let message =
        format!("the table {table} of Django's database has no column {column}: {remedy}");
    Error::new(ErrorKind::Session, message)
}

fn user_query(dialect: Dialect, users: &UserTable, id: IdType) -> Result<String> {
    let flag = |column: &Option<String>, otherwise: &str| -> Result<String> {
        let column = column.as_deref().map(|column| dialect.name(column));
        let column = column.transpose()?;
        let flag = dialect.integer(column.as_deref().unwrap_or(otherwise));
        // NULL is false, as in Python.
        Ok(format!("coalesce({flag}, 0)"))
    };
    Ok(format!(
        "SELECT coalesce({}, ''), {}, {}, {}, {} FROM {} WHERE {} = {}",
        dialect.text(&dialect.name(&users.name)?),
        dialect.text(&dialect.name(&users.password)?),
        flag(&users.active, "1")?,
        flag(&users.staff, "0")?,
        flag(&users.superuser, "0")?,
        dialect.name(&users.table)?,
        dialect.name(&users.id)?,
        dialect.id_parameter(1, id),
    ))
}

/// Returns the query of a user's permissions; `None` if the user model has no tables of them.
async fn permission_query(
    pool: &AnyPool,
    dialect: Dialect,
    users: &str,
    id: IdType,
) -> Result<Option<String>> {
    let (groups, own) = (
        format!("{users}_groups"),
        format!("{users}_user_permissions"),
    );
    let in_groups = user_column(pool, dialect, &groups, "group_id").await?;
    let in_own = user_column(pool, dialect, &own, "permission_id").await?;
    let (Some(in_groups), Some(in_own)) = (in_groups, in_own) else {
        return Ok(None);
    };
    Ok(Some(format!(
        "SELECT {}, {} FROM auth_permission \
         JOIN django_content_type ON django_content_type.id = auth_permission.content_type_id \
         WHERE auth_permission.id IN (SELECT permission_id FROM {own} WHERE {in_own} = {}) \
         OR auth_permission.id IN (SELECT auth_group_permissions.permission_id \
         FROM auth_group_permissions \
         JOIN {groups} ON {groups}.group_id = auth_group_permissions.group_id \
         WHERE {groups}.{in_groups} = {})",
        dialect.text("django_content_type.app_label"),
        dialect.text("auth_permission.codename"),
        dialect.id_parameter(1, id),
        dialect.id_parameter(2, id),
        own = dialect.name(&own)?,
        groups = dialect.name(&groups)?,
        in_own = dialect.name(&in_own)?,
        in_groups = dialect.name(&in_groups)?,
    )))
}

/// Returns the query of a user's groups; `None` if the user model has no table of them.
async fn group_query(
    pool: &AnyPool,
    dialect: Dialect,
    users: &str,
    id: IdType,
) -> Result<Option<String>> {
    let groups = format!("{users}_groups");
    let Some(in_groups) = user_column(pool, dialect, &groups, "group_id").await? else {
        return Ok(None);
    };
    Ok(Some(format!(
        "SELECT {} FROM auth_group JOIN {groups} ON {groups}.group_id = auth_group.id \
         WHERE {groups}.{} = {}",
        dialect.text("auth_group.name"),
        dialect.name(&in_groups)?,
        dialect.id_parameter(1, id),
        groups = dialect.name(&groups)?,
    )))
}

fn no_grants() -> Error {
    Error::new(
        ErrorKind::Missing,
        "the Django user model has no tables of groups and permissions: add PermissionsMixin to it",
    )
}

/// Returns the column of the user in a table between users and something else. It is named after
/// the model, which may have another name than the table.
async fn user_column(
    pool: &AnyPool,
    dialect: Dialect,
    table: &str,
    other: &str,
) -> Result<Option<String>> {
    let mut names = columns(pool, dialect, table).await?.into_keys();
    Ok(names.find(|name| name != "id" && name != other))
}

/// Runs a query for at most [`QUERY_TIMEOUT`].
async fn limited<T>(
    does: &str,
    what: &str,
    query: impl Future<Output = Result<T, SqlError>>,
) -> Result<T> {
    match timeout(QUERY_TIMEOUT, query).await {
        Ok(outcome) => outcome.map_err(|error| failed(does, what, error)),
        Err(_) => Err(Error::new(
            ErrorKind::Session,
            format!("cannot {does} {what} of Django's database: no result within 5 s"),
        )),
    }
}

fn failed(does: &str, what: &str, error: SqlError) -> Error {
    let message = format!("cannot {does} {what} of Django's database");
    Error::new(ErrorKind::Session, message).with_source(error)
}
