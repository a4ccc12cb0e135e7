//! The permissions and groups of users, in the tables that Django names after the user table.

use super::{
    dialect::{IdType, text},
    pool::{DatabasePool, failed},
};
use crate::error::{Error, ErrorKind, Result};
use sqlx::Error as SqlError;
use std::collections::HashSet;

/// The queries for the permissions and groups of a user.
pub(super) struct GrantQueries {
    permission: Result<String, NoGrants>,
    group: Result<String, NoGrants>,
    /// The type of the users' primary key.
    id: IdType,
}

/// Why the permissions or groups of a user cannot be read.
#[derive(Clone)]
enum NoGrants {
    /// The user model has none.
    NoTables,
    /// The column of this table that refers to the user cannot be determined.
    Ambiguous(String),
}

impl GrantQueries {
    /// Returns the queries for the users of a table.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the database does not respond.
    pub(super) async fn new(pool: &DatabasePool, users: &str, id: IdType) -> Result<Self> {
        Ok(Self {
            permission: permission_query(pool, users, id).await?,
            group: group_query(pool, users, id).await?,
            id,
        })
    }

    /// Returns the permissions of a user and of the user's groups, as `app.codename`.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if the user model has none, or its tables are not Django's.
    pub(super) async fn permissions(
        &self,
        pool: &DatabasePool,
        id: &str,
    ) -> Result<HashSet<String>> {
        let query = self.permission.as_ref().map_err(NoGrants::error)?;
        let Some(id) = self.id.id(id) else {
            return Ok(HashSet::new());
        };
        let query = id.bind(id.bind(sqlx::query(query)));
        let rows = pool.rows("permissions", query).await?;
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
    pub(super) async fn groups(&self, pool: &DatabasePool, id: &str) -> Result<Vec<String>> {
        let query = self.group.as_ref().map_err(NoGrants::error)?;
        let Some(id) = self.id.id(id) else {
            return Ok(Vec::new());
        };
        let query = id.bind(sqlx::query(query));
        let rows = pool.rows("groups", query).await?;
        let names = rows.iter().map(|row| text(row, 0));
        let names = names.collect::<Result<_, SqlError>>();
        names.map_err(|error| failed("read", "groups", error))
    }
}

/// Returns the query of a user's permissions, if there is one.
async fn permission_query(
    pool: &DatabasePool,
    users: &str,
    id: IdType,
) -> Result<Result<String, NoGrants>> {
    let dialect = pool.dialect;
    let (groups, own) = (
        format!("{users}_groups"),
        format!("{users}_user_permissions"),
    );
    let in_groups = user_column(pool, &groups, "group_id").await?;
    let in_own = user_column(pool, &own, "permission_id").await?;
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
    pool: &DatabasePool,
    users: &str,
    id: IdType,
) -> Result<Result<String, NoGrants>> {
    let dialect = pool.dialect;
    let groups = format!("{users}_groups");
    let in_groups = match user_column(pool, &groups, "group_id").await? {
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
    pool: &DatabasePool,
    table: &str,
    other: &str,
) -> Result<Result<String, NoGrants>> {
    let columns = pool.columns(table).await?;
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
