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
}

/// The table `auth_user`.
impl Default for UserTable {
    fn default() -> Self {
        Self::new("auth_user")
    }
}
