//! Django's tables, as far as they are used: sessions, users, permissions.

use super::{
    dialect::{Dialect, IdType, Parameter, flag, text},
    users::{ColumnValue, UserTable},
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
/// The time limit of the wait for a connection. It ends first, so that its error is reported.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(4900);

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
    /// The values of its conditions, in their order.
    conditions: Vec<Parameter>,
    permission_query: Result<String, NoGrants>,
    group_query: Result<String, NoGrants>,
}

/// Why the permissions or groups of a user cannot be read.
#[derive(Clone)]
enum NoGrants {
    /// The user model has none.
    NoTables,
    /// The column of this table that refers to the user cannot be determined.
    Ambiguous(String),
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
            .acquire_timeout(CONNECTION_TIMEOUT)
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
            Error::new(ErrorKind::Session, message).with_source(explained(error))
        })?;
        let columns = columns(&pool, dialect, &users.table).await?;
        let user_id = check_users(dialect, &users, &columns)?;
        let conditions = users
            .conditions
            .iter()
            .filter_map(|(_, value)| parameter(value));
        let database = Self(Arc::new(Inner {
            user_query: user_query(dialect, &users, user_id)?,
            conditions: conditions.collect(),
            permission_query: permission_query(&pool, dialect, &users.table, user_id).await?,
            group_query: group_query(&pool, dialect, &users.table, user_id).await?,
            pool,
            dialect,
            user_id,
        }));
        if !users.conditions.is_empty() {
            database.check_conditions().await?;
        }
        Ok(database)
    }

    /// Checks that the columns of the conditions have the types of the values.
    async fn check_conditions(&self) -> Result<()> {
        let checking = self.user(self.0.user_id.example()).await;
        checking.map(|_| ()).map_err(|error| {
            let message = "cannot read a user with the conditions of UserTable::only_if; each \
                           value must have the type of its column";
            Error::new(ErrorKind::Session, message).with_source(error)
        })
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
        let by_id = id.bind(sqlx::query(&self.0.user_query));
        let conditions = self.0.conditions.iter();
        let running = conditions.fold(by_id, |query, value| value.bind(query));
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
    /// [`ErrorKind::Missing`] if the user model has none, or its tables are not Django's.
    pub(super) async fn permissions(&self, id: &str) -> Result<HashSet<String>> {
        let query = self.0.permission_query.as_ref().map_err(NoGrants::error)?;
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
    /// [`ErrorKind::Missing`] if the user model has none, or its tables are not Django's.
    pub(super) async fn groups(&self, id: &str) -> Result<Vec<String>> {
        let query = self.0.group_query.as_ref().map_err(NoGrants::error)?;
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
    let conditions = users.conditions.iter().map(|(column, _)| {
        let remedy = "correct the name in UserTable::only_if".to_owned();
        (column, remedy)
    });
    for (column, remedy) in required.chain(optional).chain(conditions) {
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
    let mut conditions = String::new();
    // The primary key is the first parameter.
    let mut number = 1;
    for (column, value) in &users.conditions {
        let column = dialect.name(column)?;
        let mut parameter = || {
            number += 1;
            dialect.parameter(number)
        };
        let condition = match value {
            ColumnValue::Null => format!("{column} IS NULL"),
            ColumnValue::Boolean(_) => format!("{} = {}", dialect.integer(&column), parameter()),
            ColumnValue::Integer(_) => format!("{column} = {}", parameter()),
            ColumnValue::Text(_) => format!(
                "{} = {}",
                dialect.exact(&dialect.text(&column)),
                dialect.exact(&parameter())
            ),
        };
        conditions.push_str(" AND ");
        conditions.push_str(&condition);
    }
    Ok(format!(
        "SELECT coalesce({}, ''), {}, {}, {}, {} FROM {} WHERE {} = {}{conditions}",
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

/// Returns the value of a condition as a parameter; `None` if it needs none.
fn parameter(value: &ColumnValue) -> Option<Parameter> {
    match value {
        ColumnValue::Null => None,
        ColumnValue::Boolean(value) => Some(Parameter::Integer((*value).into())),
        ColumnValue::Integer(value) => Some(Parameter::Integer(*value)),
        ColumnValue::Text(value) => Some(Parameter::Text(value.clone())),
    }
}

/// Returns the query of a user's permissions, if there is one.
async fn permission_query(
    pool: &AnyPool,
    dialect: Dialect,
    users: &str,
    id: IdType,
) -> Result<Result<String, NoGrants>> {
    let (groups, own) = (
        format!("{users}_groups"),
        format!("{users}_user_permissions"),
    );
    let in_groups = user_column(pool, dialect, &groups, "group_id").await?;
    let in_own = user_column(pool, dialect, &own, "permission_id").await?;
    let (in_groups, in_own) = match (in_groups, in_own) {
        (Ok(in_groups), Ok(in_own)) => (in_groups, in_own),
        (Err(error), _) | (_, Err(error)) => return Ok(Err(error)),
    };
    Ok(Ok(format!(
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

/// Returns the query of a user's groups, if there is one.
async fn group_query(
    pool: &AnyPool,
    dialect: Dialect,
    users: &str,
    id: IdType,
) -> Result<Result<String, NoGrants>> {
    let groups = format!("{users}_groups");
    let in_groups = match user_column(pool, dialect, &groups, "group_id").await? {
        Ok(in_groups) => in_groups,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(format!(
        "SELECT {} FROM auth_group JOIN {groups} ON {groups}.group_id = auth_group.id \
         WHERE {groups}.{} = {}",
        dialect.text("auth_group.name"),
        dialect.name(&in_groups)?,
        dialect.id_parameter(1, id),
        groups = dialect.name(&groups)?,
    )))
}

impl NoGrants {
    fn error(&self) -> Error {
        let message = match self {
            Self::NoTables => "the Django user model has no tables of groups and permissions: add \
                 PermissionsMixin to it"
                .to_owned(),
            Self::Ambiguous(table) => format!(
                "the table {table} has other columns than Django's; read permissions with a view \
                 of the site (DjangoAuth::from_view)"
            ),
        };
        Error::new(ErrorKind::Missing, message)
    }
}

/// Returns the column of the user in a table between users and something else. It is named after
/// the model, which may have another name than the table.
async fn user_column(
    pool: &AnyPool,
    dialect: Dialect,
    table: &str,
    other: &str,
) -> Result<Result<String, NoGrants>> {
    let columns = columns(pool, dialect, table).await?;
    if columns.is_empty() {
        return Ok(Err(NoGrants::NoTables));
    }
    let is_other = columns.contains_key(other);
    let names = columns.into_keys();
    let mut names = names.filter(|name| name != "id" && name != other);
    Ok(match (names.next(), names.next()) {
        (Some(name), None) if is_other => Ok(name),
        _ => Err(NoGrants::Ambiguous(table.to_owned())),
    })
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
    Error::new(ErrorKind::Session, message).with_source(explained(error))
}

/// Returns the error with words for that of the pool, which does not name the database.
fn explained(error: SqlError) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        SqlError::PoolTimedOut => {
            "no connection within 5 s: it does not accept connections, or all 10 are in use".into()
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_without_a_free_connection_is_not_called_a_pool() {
        let error = failed("read", "a session", SqlError::PoolTimedOut);

        assert_eq!(
            format!("{error:#}"),
            "cannot read a session of Django's database: no connection within 5 s: it does not \
             accept connections, or all 10 are in use"
        );
        assert_eq!(CONNECTIONS, 10);
    }
}
