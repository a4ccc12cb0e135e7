//! The differences between databases: how SQL is written, and what types columns have.

use crate::error::{Error, ErrorKind, Result};
use sqlx::{
    Any, Error as SqlError, Row, ValueRef,
    any::{AnyArguments, AnyRow},
    query::Query,
};

/// The longest identifier of PostgreSQL, in bytes; MySQL has one more, SQLite no limit.
const LONGEST_NAME: usize = 63;

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Postgres,
    Mysql,
}

/// How a primary key is written in a query. Django's session has it as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdType {
    Integer,
    /// A column of the type `uuid`.
    Uuid,
    /// A column of 32 characters, in which Django stores a UUID without its hyphens.
    UuidText,
    Text,
}

/// A primary key or another value, as a parameter of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    Integer(i64),
    Text(String),
}

impl Dialect {
    /// Returns the kind of database at this URL.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the scheme is unknown. The URL may hold a password and is not
    /// shown.
    pub(super) fn of(url: &str) -> Result<Self> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            Some("mysql" | "mariadb") => Ok(Self::Mysql),
            _ => Err(Error::new(
                ErrorKind::Session,
                "unknown kind of database: the URL of Django's database is written sqlite:path, \
                 postgres://user:password@host/name or mysql://user:password@host/name",
            )),
        }
    }

    /// Returns the feature of this crate that contains the driver.
    pub(super) fn feature(self) -> &'static str {
        match self {
            Self::Sqlite => "django-sqlite",
            Self::Postgres => "django-postgres",
            Self::Mysql => "django-mysql",
        }
    }

    /// Returns a name in quotes.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if it is not one that Django would give: letters, digits, `_`, `-`,
    /// `$` and spaces, at most 63 bytes.
    pub(super) fn name(self, name: &str) -> Result<String> {
        let fits = |character: char| character.is_alphanumeric() || "_-$ ".contains(character);
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(fits) {
            let message = format!(
                "{name:?} cannot be the name of a table or column: it consists of letters, \
                 digits, `_`, `-`, `$` and spaces, at most {LONGEST_NAME} bytes"
            );
            return Err(Error::new(ErrorKind::Session, message));
        }
        Ok(match self {
            Self::Mysql => format!("`{name}`"),
            Self::Sqlite | Self::Postgres => format!("\"{name}\""),
        })
    }

    /// Returns the placeholder of the parameter with this number, from 1.
    pub(super) fn parameter(self, number: usize) -> String {
        match self {
            Self::Postgres => format!("${number}"),
            Self::Sqlite | Self::Mysql => "?".to_owned(),
        }
    }

    /// Returns the placeholder of a primary key. It has the type of the column, so that the
    /// column's index is used.
    pub(super) fn id_parameter(self, number: usize, id: IdType) -> String {
        let parameter = self.parameter(number);
        match (self, id) {
            (Self::Postgres, IdType::Uuid) => format!("CAST({parameter} AS uuid)"),
            _ => parameter,
        }
    }

    /// Returns an expression as a text, whatever the type of its column.
    pub(super) fn text(self, expression: &str) -> String {
        match self {
            Self::Mysql => format!("CAST({expression} AS char)"),
            Self::Sqlite | Self::Postgres => format!("CAST({expression} AS text)"),
        }
    }

    /// Returns a text expression that is compared byte by byte: texts of MySQL ignore case.
    pub(super) fn exact(self, expression: &str) -> String {
        match self {
            Self::Mysql => format!("CAST({expression} AS binary)"),
            Self::Sqlite | Self::Postgres => expression.to_owned(),
        }
    }

    /// Returns the size of a column's value in bytes.
    pub(super) fn size(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("length(CAST({column} AS blob))"),
            Self::Postgres | Self::Mysql => format!("octet_length({column})"),
        }
    }

    /// Returns a column as a number that is not 0 if Django takes its value for true.
    pub(super) fn truth(self, column: &str, column_type: &str) -> String {
        let is_bool = column_type.eq_ignore_ascii_case("bool");
        match self {
            // In a column of this type, which can hold any value there, Django takes only 1 for
            // true.
            Self::Sqlite if is_bool => format!("CAST({} = '1' AS integer)", self.text(column)),
            _ => self.integer(column),
        }
    }

    /// Returns a boolean expression as 0 or 1.
    pub(super) fn integer(self, expression: &str) -> String {
        match self {
            Self::Mysql => format!("CAST({expression} AS signed)"),
            Self::Sqlite | Self::Postgres => format!("CAST({expression} AS integer)"),
        }
    }

    /// Returns the current time, to compare with a time that Django has stored: in UTC, with
    /// `USE_TZ`.
    pub(super) fn now(self) -> &'static str {
        match self {
            // A text, as Django stores it there. Without microseconds Django omits the fraction,
            // and the order of texts is still that of times.
            Self::Sqlite => "strftime('%Y-%m-%d %H:%M:%f', 'now')",
            Self::Postgres => "now()",
            Self::Mysql => "utc_timestamp(6)",
        }
    }

    /// Returns the query of a table's columns, names and types, with the table as parameter.
    pub(super) fn columns(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT CAST(name AS text), CAST(type AS text) FROM pragma_table_info(?)"
            }
            // A table in the schemas of the search path.
            Self::Postgres => {
                "SELECT CAST(attname AS text), CAST(CAST(atttypid AS regtype) AS text) \
                 FROM pg_attribute \
                 WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped"
            }
            Self::Mysql => {
                "SELECT CAST(column_name AS char), CAST(column_type AS char) \
                 FROM information_schema.columns \
                 WHERE table_schema = database() AND table_name = ?"
            }
        }
    }

    /// Returns how a primary key of this column type is written; `None` if no Django field that is
    /// a primary key has such a column.
    pub(super) fn id_type(self, column_type: &str) -> Option<IdType> {
        let column_type = column_type.to_ascii_lowercase();
        let word = column_type.split(['(', ' ']).next().unwrap_or_default();
        match word {
            "tinyint" | "smallint" | "mediumint" | "int" | "integer" | "bigint" => {
                Some(IdType::Integer)
            }
            "uuid" => Some(IdType::Uuid),
            "char" if column_type == "char(32)" => Some(IdType::UuidText),
            "char" | "character" | "varchar" | "text" | "citext" => Some(IdType::Text),
            _ => None,
        }
    }
}

impl IdType {
    /// Returns a primary key of this type, as Django's session has it.
    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Integer | Self::Text => "0",
            Self::Uuid | Self::UuidText => "00000000-0000-0000-0000-000000000000",
        }
    }

    /// Returns the parameter for a primary key, as Django's session has it; `None` if no row can
    /// have it.
    pub(super) fn id(self, text: &str) -> Option<Parameter> {
        match self {
            Self::Integer => text.parse().ok().map(Parameter::Integer),
            Self::Text => Some(Parameter::Text(text.to_owned())),
            Self::Uuid | Self::UuidText => {
                let digits = text.replace('-', "").to_ascii_lowercase();
                let is_uuid =
                    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                is_uuid.then(|| match self {
                    Self::UuidText => Parameter::Text(digits),
                    _ => Parameter::Text(text.to_owned()),
                })
            }
        }
    }
}

impl Parameter {
    /// Adds the parameter to a query.
    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Any, AnyArguments<'q>>,
    ) -> Query<'q, Any, AnyArguments<'q>> {
        match self {
            Self::Integer(number) => query.bind(*number),
            Self::Text(text) => query.bind(text.as_str()),
        }
    }
}

/// Returns a text of a row. MySQL returns long ones as bytes.
pub(super) fn text(row: &AnyRow, index: usize) -> Result<String, SqlError> {
    if let Ok(text) = row.try_get::<String, _>(index) {
        return Ok(text);
    }
    let bytes: Vec<u8> = row.try_get(index)?;
    String::from_utf8(bytes).map_err(|error| SqlError::Decode(error.into()))
}

/// Returns a text of a row, which may have none.
pub(super) fn optional_text(row: &AnyRow, index: usize) -> Result<Option<String>, SqlError> {
    if row.try_get_raw(index)?.is_null() {
        return Ok(None);
    }
    text(row, index).map(Some)
}

/// Returns a boolean of a row that [`Dialect::truth`] has made a number.
pub(super) fn flag(row: &AnyRow, index: usize) -> Result<bool, SqlError> {
    Ok(row.try_get::<i64, _>(index)? != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Mysql, Postgres, Sqlite};

    #[test]
    fn the_scheme_of_the_url_selects_the_database() {
        for (url, dialect) in [
            ("sqlite:db.sqlite3", Some(Sqlite)),
            ("sqlite:///srv/db.sqlite3?mode=ro", Some(Sqlite)),
            ("postgres://django:secret@db/site", Some(Postgres)),
            ("postgresql:///site", Some(Postgres)),
            ("mysql://db/site", Some(Mysql)),
            ("mariadb://db/site", Some(Mysql)),
            ("oracle://django:secret@db/site", None),
            ("db.sqlite3", None),
            ("", None),
        ] {
            let found = Dialect::of(url);
            assert_eq!(found.as_ref().ok(), dialect.as_ref(), "{url}");
            if let Err(error) = found {
                assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            }
        }
    }

    #[test]
    fn a_name_is_quoted_and_cannot_end_its_quotes() {
        assert_eq!(
            Postgres.name("accounts_member").unwrap(),
            "\"accounts_member\""
        );
        assert_eq!(
            Mysql.name("Mitglied-Größe 1").unwrap(),
            "`Mitglied-Größe 1`"
        );
        for name in ["", "a\"b", "a`b", "a;b", "a.b", "a\0", &"a".repeat(64)] {
            assert!(Sqlite.name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_type_of_the_primary_key_is_that_of_its_column() {
        for (dialect, column_type, id) in [
            (Sqlite, "integer", Some(IdType::Integer)),
            (Sqlite, "bigint unsigned", Some(IdType::Integer)),
            (Sqlite, "char(32)", Some(IdType::UuidText)),
            (Sqlite, "varchar(32)", Some(IdType::Text)),
            (Postgres, "bigint", Some(IdType::Integer)),
            (Postgres, "uuid", Some(IdType::Uuid)),
            (Postgres, "character varying", Some(IdType::Text)),
            (Postgres, "interval", None),
            (Mysql, "int(11)", Some(IdType::Integer)),
            (Mysql, "BIGINT", Some(IdType::Integer)),
            (Mysql, "uuid", Some(IdType::Uuid)),
            (Mysql, "char(32)", Some(IdType::UuidText)),
            (Mysql, "point", None),
            (Mysql, "decimal(10,2)", None),
        ] {
            assert_eq!(dialect.id_type(column_type), id, "{column_type}");
        }
    }

    #[test]
    fn a_primary_key_is_written_as_its_column_has_it() {
        let (uuid, digits) = (
            "0199AB54-8de0-7cc1-a4f5-33d8b4ab0123",
            "0199ab548de07cc1a4f533d8b4ab0123",
        );
        let text = |text: &str| Some(Parameter::Text(text.to_owned()));
        for (id, given, expected) in [
            (IdType::Integer, "42", Some(Parameter::Integer(42))),
            (IdType::Integer, "-1", Some(Parameter::Integer(-1))),
            (IdType::Integer, "42x", None),
            (IdType::Integer, "9223372036854775808", None),
            (IdType::Uuid, uuid, text(uuid)),
            (IdType::UuidText, uuid, text(digits)),
            (IdType::Uuid, "42", None),
            (IdType::UuidText, &digits[1..], None),
            (IdType::Text, "ana@example.org", text("ana@example.org")),
        ] {
            assert_eq!(id.id(given), expected, "{id:?} {given}");
        }
    }
}
