//! The table of the user model.

/// The table of Django's user model: the setting `AUTH_USER_MODEL` (default: `auth_user`).
///
/// ```
/// use seaway::django::UserTable;
///
/// let members = UserTable::new("accounts_member")
///     .id("uuid")
///     .name("email")
///     .password("password_hash")
///     .active("enabled")
///     .staff("team")
///     .superuser(None);
/// ```
///
/// The user is the row with the primary key, and Seaway does not know which rows the model's
/// managers leave out. If its `_default_manager`, by which Django's `ModelBackend` finds users, has
/// a filter, such as that of deleted users, state it with [`only_if`](Self::only_if); if that is
/// not possible, use a [`DjangoView`](super::DjangoView).
///
/// Columns that are not set have the names of `django.contrib.auth`. The tables of the user's
/// groups and permissions are those that Django names after this one, such as
/// `accounts_member_groups`.
#[derive(Clone, Debug)]
pub struct UserTable {
    pub(super) table: String,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) password: String,
    pub(super) active: Option<String>,
    pub(super) staff: Option<String>,
    pub(super) superuser: Option<String>,
    pub(super) conditions: Vec<(String, ColumnValue)>,
}

/// The value that a column of the user table must have, for [`UserTable::only_if`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnValue {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A text, also of a UUID or a date as the database writes it; compared byte by byte.
    Text(String),
}

impl UserTable {
    /// Names the table.
    pub fn new(table: impl Into<String>) -> Self {
        Self {
            table: table.into(),
            id: "id".to_owned(),
            name: "username".to_owned(),
            password: "password".to_owned(),
            active: Some("is_active".to_owned()),
            staff: Some("is_staff".to_owned()),
            superuser: Some("is_superuser".to_owned()),
            conditions: Vec::new(),
        }
    }

    /// Sets the column of the primary key (default: `id`): an integer, a UUID or a text.
    #[must_use]
    pub fn id(mut self, column: impl Into<String>) -> Self {
        self.id = column.into();
        self
    }

    /// Sets the column of [`DjangoUser::name`](super::DjangoUser::name), the model's
    /// `USERNAME_FIELD` (default: `username`).
    #[must_use]
    pub fn name(mut self, column: impl Into<String>) -> Self {
        self.name = column.into();
        self
    }

    /// Sets the column of the password's hash, on which the session hash depends (default:
    /// `password`).
    #[must_use]
    pub fn password(mut self, column: impl Into<String>) -> Self {
        self.password = column.into();
        self
    }

    /// Sets the column of `is_active`; `None` for a model without one, whose users are all active
    /// (default: `is_active`).
    #[must_use]
    pub fn active<'a>(mut self, column: impl Into<Option<&'a str>>) -> Self {
        self.active = column.into().map(str::to_owned);
        self
    }

    /// Sets the column of `is_staff`; `None` for a model without one, which has no staff (default:
    /// `is_staff`).
    #[must_use]
    pub fn staff<'a>(mut self, column: impl Into<Option<&'a str>>) -> Self {
        self.staff = column.into().map(str::to_owned);
        self
    }

    /// Sets the column of `is_superuser`; `None` for a model without one, which has no superusers
    /// (default: `is_superuser`).
    #[must_use]
    pub fn superuser<'a>(mut self, column: impl Into<Option<&'a str>>) -> Self {
        self.superuser = column.into().map(str::to_owned);
        self
    }

    /// Adds a condition: a row whose column has another value is no user, as if it were deleted.
    ///
    /// All conditions apply, at the login and at each check of an open connection.
    ///
    /// ```
    /// use seaway::django::{ColumnValue, UserTable};
    ///
    /// // class Members(BaseUserManager):
    /// //     def get_queryset(self):
    /// //         return super().get_queryset().filter(
    /// //             is_deleted=False, left_at=None, site_id=1, kind="member")
    /// let members = UserTable::new("accounts_member")
    ///     .only_if("is_deleted", false)
    ///     .only_if("left_at", ColumnValue::Null)
    ///     .only_if("site_id", 1)
    ///     .only_if("kind", "member");
    /// ```
    #[must_use]
    pub fn only_if(mut self, column: impl Into<String>, value: impl Into<ColumnValue>) -> Self {
        self.conditions.push((column.into(), value.into()));
        self
    }
}

impl From<bool> for ColumnValue {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for ColumnValue {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<i32> for ColumnValue {
    fn from(value: i32) -> Self {
        Self::Integer(value.into())
    }
}

impl From<&str> for ColumnValue {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for ColumnValue {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// The table `auth_user`.
impl Default for UserTable {
    fn default() -> Self {
        Self::new("auth_user")
    }
}
