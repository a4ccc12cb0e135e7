//! A user of the Django site, and the user's permissions and groups.

use super::{
    database::DjangoDatabase,
    user_query::UserRow,
    view::{DjangoView, KnownUser},
};
use crate::error::Result;
use http::HeaderValue;
use std::{collections::HashSet, fmt, sync::Arc};
use tokio::sync::OnceCell;

/// A user of the Django site, as handlers and consumers get it from
/// [`DjangoAuth`](super::DjangoAuth).
///
/// ```
/// use seaway::{Handshake, Rejection, User, django::DjangoUser, http::StatusCode};
///
/// async fn connect(handshake: &mut Handshake) -> Result<String, Rejection> {
///     let user: User<DjangoUser> = handshake.extract().await?;
///     if !user.has_perm("chat.add_message").await? {
///         return Err(Rejection::from_status(StatusCode::FORBIDDEN));
///     }
///     Ok(user.name.clone())
/// }
/// ```
#[derive(Clone)]
pub struct DjangoUser {
    /// The primary key as a text, as Django's `str(user.pk)`.
    pub id: String,
    /// The name to log in with: the model's `USERNAME_FIELD`.
    pub name: String,
    /// False only if a backend that admits inactive users is
    /// [accepted](super::DjangoAuth::backends).
    pub is_active: bool,
    /// Whether the user may log in to Django's admin.
    pub is_staff: bool,
    /// Whether the user has all permissions.
    pub is_superuser: bool,
    grants: Arc<Grants>,
}

/// The permissions and the groups, which are read once each.
struct Grants {
    source: GrantSource,
    permissions: OnceCell<HashSet<String>>,
    groups: OnceCell<Vec<String>>,
}

/// Where they are read.
enum GrantSource {
    Database(DjangoDatabase),
    /// With the `Cookie` header of the client.
    View(Arc<DjangoView>, HeaderValue),
}

impl DjangoUser {
    pub(super) fn from_row(id: String, row: UserRow, database: DjangoDatabase) -> Self {
        Self {
            id,
            name: row.name,
            is_active: row.is_active,
            is_staff: row.is_staff,
            is_superuser: row.is_superuser,
            grants: Grants::of(GrantSource::Database(database)),
        }
    }

    pub(super) fn from_view(user: KnownUser, view: Arc<DjangoView>, cookie: HeaderValue) -> Self {
        Self {
            id: user.id,
            name: user.name,
            is_active: user.is_active,
            is_staff: user.is_staff,
            is_superuser: user.is_superuser,
            grants: Grants::of(GrantSource::View(view, cookie)),
        }
    }

    /// Returns whether the user has a permission, such as `chat.add_message`, by Django's rules: an
    /// inactive user has none, a superuser all, any other user those of their own and of their
    /// groups.
    ///
    /// If a [view](super::DjangoView) says who the user is, it states the permissions, too.
    /// The permissions are read once and shared by all clones of this value. A change in Django
    /// applies to connections that open later.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the database or view does not respond,
    /// [`ErrorKind::Missing`](crate::ErrorKind::Missing) if the user model has no permissions, its
    /// tables of them have more columns than Django's, or the view states none,
    /// [`ErrorKind::SessionGone`](crate::ErrorKind::SessionGone) if the view says that the user is
    /// no longer logged in.
    pub async fn has_perm(&self, permission: &str) -> Result<bool> {
        if !self.is_active || self.is_superuser {
            return Ok(self.is_active);
        }
        let grants = &*self.grants;
        let reading = grants
            .permissions
            .get_or_try_init(async || match &grants.source {
                GrantSource::Database(database) => database.permissions(&self.id).await,
                GrantSource::View(view, cookie) => view.permissions(cookie, &self.id).await,
            });
        Ok(reading.await?.contains(permission))
    }

    /// Returns the names of the user's groups, Django's `user.groups`, in alphabetical order.
    ///
    /// ```
    /// # use seaway::{Result, django::DjangoUser};
    /// async fn is_editor(user: &DjangoUser) -> Result<bool> {
    ///     let groups = user.groups().await?;
    ///     Ok(groups.iter().any(|group| group == "editors"))
    /// }
    /// ```
    ///
    /// They are read once and shared as the [permissions](Self::has_perm) are. A superuser has no
    /// other groups than any user, and an inactive user still has theirs, as in Django.
    ///
    /// # Errors
    /// As [`has_perm`](Self::has_perm), if the user model has no groups or the view states none.
    pub async fn groups(&self) -> Result<&[String]> {
        let grants = &*self.grants;
        let reading = grants.groups.get_or_try_init(async || {
            let mut groups = match &grants.source {
                GrantSource::Database(database) => database.groups(&self.id).await?,
                GrantSource::View(view, cookie) => view.groups(cookie, &self.id).await?,
            };
            groups.sort();
            Ok(groups)
        });
        reading.await.map(Vec::as_slice)
    }

    /// Returns whether this is still the same user with the same rights as `before`.
    pub(super) fn is_unchanged_since(&self, before: &Self) -> bool {
        let rights = |user: &Self| (user.is_active, user.is_staff, user.is_superuser);
        self.id == before.id && rights(self) == rights(before)
    }
}

impl Grants {
    fn of(source: GrantSource) -> Arc<Self> {
        Arc::new(Self {
            source,
            permissions: OnceCell::new(),
            groups: OnceCell::new(),
        })
    }
}

/// Formats the name.
impl fmt::Display for DjangoUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for DjangoUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoUser")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("is_active", &self.is_active)
            .field("is_staff", &self.is_staff)
            .field("is_superuser", &self.is_superuser)
            .finish_non_exhaustive()
    }
}
