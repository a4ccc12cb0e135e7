//! The query for a user, by the columns of the user table.

use super::{
    dialect::{Dialect, IdType, Parameter, flag, text},
    pool::{DatabasePool, no_column},
    users::{ColumnValue, UserTable},
};
use crate::error::{Error, ErrorKind, Result};
use std::collections::HashMap;

/// The query for a user.
pub(super) struct UserQuery {
    sql: String,
    /// The type of the primary key.
    pub(super) id: IdType,
    /// The values of its conditions, in their order.
    conditions: Vec<Parameter>,
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

impl UserQuery {
    /// Returns the query, if the table has all columns, whose types are those of the conditions.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if it has not, or the database does not respond.
    pub(super) async fn new(pool: &DatabasePool, users: &UserTable) -> Result<Self> {
        let columns = pool.columns(&users.table).await?;
        let id = check_columns(pool.dialect, users, &columns)?;
        let conditions = users
            .conditions
            .iter()
            .filter_map(|(_, value)| parameter(value));
        let query = Self {
            sql: sql(pool.dialect, users, id, &columns)?,
            id,
            conditions: conditions.collect(),
        };
        if !users.conditions.is_empty() {
            query.check_conditions(pool).await?;
        }
        Ok(query)
    }

    /// Checks that the columns of the conditions have the types of the values.
    async fn check_conditions(&self, pool: &DatabasePool) -> Result<()> {
        let checking = self.run(pool, self.id.example()).await;
        checking.map(|_| ()).map_err(|error| {
            let message = "cannot read a user with the conditions of UserTable::only_if; each \
                           value must have the type of its column";
            Error::new(ErrorKind::Session, message).with_source(error)
        })
    }

    /// Returns the user with this primary key, as a session has it.
    pub(super) async fn run(&self, pool: &DatabasePool, id: &str) -> Result<Option<UserRow>> {
        let Some(id) = self.id.id(id) else {
            return Ok(None);
        };
        let by_id = id.bind(sqlx::query(&self.sql));
        let conditions = self.conditions.iter();
        let query = conditions.fold(by_id, |query, value| value.bind(query));
        let read = |row: &_| {
            Ok(UserRow {
                name: text(row, 0)?,
                password: text(row, 1)?,
                is_active: flag(row, 2)?,
                is_staff: flag(row, 3)?,
                is_superuser: flag(row, 4)?,
            })
        };
        pool.row("a user", query, read).await
    }
}

/// Returns the type of the primary key, if all columns of the user table are there.
fn check_columns(
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

fn sql(
    dialect: Dialect,
    users: &UserTable,
    id: IdType,
    columns: &HashMap<String, String>,
) -> Result<String> {
    let flag = |column: &Option<String>, otherwise: &str| -> Result<String> {
        let flag = match column {
            Some(column) => dialect.truth(&dialect.name(column)?, &columns[column]),
            None => dialect.integer(otherwise),
        };
        // NULL is false, as in Python.
        Ok(format!("coalesce({flag}, 0)"))
    };
    let mut conditions = String::new();
    // The primary key is the first parameter.
    let mut number = 1;
    for (name, value) in &users.conditions {
        let column = dialect.name(name)?;
        let mut parameter = || {
            number += 1;
            dialect.parameter(number)
        };
        let condition = match value {
            ColumnValue::Null => format!("{column} IS NULL"),
            ColumnValue::Boolean(_) => {
                let flag = dialect.truth(&column, &columns[name]);
                format!("{flag} = {}", parameter())
            }
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
