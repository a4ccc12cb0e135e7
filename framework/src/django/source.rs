//! Where users come from: the tables of the Django site, or one of its views.

use super::{
    cookie,
    data::{LogInData, SessionData},
    database::DjangoDatabase,
    session::DjangoSession,
    sessions::DjangoSessions,
    signing::SecretKeys,
    user::DjangoUser,
    user_query::UserRow,
    view::{DjangoView, KnownUser},
};
use crate::error::{Error, ErrorKind, Result};
use http::HeaderValue;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The time limit of the queries for a session and its user together.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The backends of Django that admit inactive users.
const ADMIT_INACTIVE: [&str; 2] = [
    "django.contrib.auth.backends.AllowAllUsersModelBackend",
    "django.contrib.auth.backends.AllowAllUsersRemoteUserBackend",
];

/// Where users come from.
#[derive(Clone)]
pub(super) enum UserSource {
    Tables(Arc<Tables>),
    View(Arc<DjangoView>),
}

/// The tables of the site.
#[derive(Clone)]
pub(super) struct Tables {
    pub(super) keys: SecretKeys,
    pub(super) sessions: DjangoSessions,
    pub(super) database: DjangoDatabase,
    pub(super) backends: Vec<String>,
}

/// One client at the source.
pub(super) enum Client {
    OfTables(DjangoSession, Arc<Tables>),
    /// With the `Cookie` header for the view; `None` if there is no session cookie.
    OfView(Option<HeaderValue>, Arc<DjangoView>),
}

impl UserSource {
    /// Returns the client with this value of the session cookie.
    pub(super) fn client(&self, cookie_name: &str, cookie: Option<&str>) -> Client {
        match self {
            Self::Tables(tables) => {
                let session =
                    DjangoSession::of(cookie.map(str::to_owned), &tables.sessions, &tables.keys);
                Client::OfTables(session, tables.clone())
            }
            Self::View(view) => {
                let header = cookie.and_then(|value| cookie::header(cookie_name, value));
                Client::OfView(header, view.clone())
            }
        }
    }
}

impl Client {
    /// Returns the user; a session that was read before is not read again.
    pub(super) async fn user(&self) -> Result<Option<DjangoUser>> {
        match self {
            Self::OfTables(session, tables) => tables.user(session.data()).await,
            Self::OfView(Some(cookie), view) => {
                Ok(user_of_view(view.user(cookie).await?, view, cookie))
            }
            Self::OfView(None, _) => Ok(None),
        }
    }

    /// Returns the user as of now, for a check of an open connection, once it may ask the source.
    pub(super) async fn user_in_turn(&self) -> Result<Option<DjangoUser>> {
        match self {
            Self::OfTables(_, tables) => tables.database.check(self.user_now()).await,
            Self::OfView(Some(cookie), view) => {
                Ok(user_of_view(view.recheck(cookie).await?, view, cookie))
            }
            Self::OfView(None, _) => Ok(None),
        }
    }

    /// Returns the user as of now, for the first check of a connection, which does not wait for
    /// those of others.
    pub(super) async fn user_now(&self) -> Result<Option<DjangoUser>> {
        match self {
            Self::OfTables(session, tables) => tables.user(session.read()).await,
            Self::OfView(..) => self.user().await,
        }
    }

    /// Returns the session, if the source has sessions.
    pub(super) fn session(&self) -> Option<&DjangoSession> {
        match self {
            Self::OfTables(session, _) => Some(session),
            Self::OfView(..) => None,
        }
    }
}

fn user_of_view(
    known: Option<KnownUser>,
    view: &Arc<DjangoView>,
    cookie: &HeaderValue,
) -> Option<DjangoUser> {
    Some(DjangoUser::from_view(known?, view.clone(), cookie.clone()))
}

impl Tables {
    /// Returns the user of the session that `reading` returns, both within [`TIMEOUT`].
    async fn user(
        &self,
        reading: impl Future<Output = Result<Option<SessionData>>>,
    ) -> Result<Option<DjangoUser>> {
        let finding = async { self.user_of(reading.await?).await };
        timeout(TIMEOUT, finding).await.unwrap_or_else(|_| {
            let message = "cannot read a session and its user from Django's database: no result \
                           within 5 s";
            Err(Error::new(ErrorKind::Session, message))
        })
    }

    async fn user_of(&self, session: Option<SessionData>) -> Result<Option<DjangoUser>> {
        let Some(stored) = session.and_then(|session| session.log_in()) else {
            return Ok(None);
        };
        if !self.backends.contains(&stored.backend) {
            return Ok(None);
        }
        let Some(row) = self.database.user(&stored.user_id).await? else {
            return Ok(None);
        };
        let is_user = is_login_of(&stored, &row, &self.keys);
        Ok(is_user.then(|| DjangoUser::from_row(stored.user_id, row, self.database.clone())))
    }
}

/// Returns whether this is a login of the user with this row.
fn is_login_of(stored: &LogInData, row: &UserRow, keys: &SecretKeys) -> bool {
    let may_log_in = row.is_active || ADMIT_INACTIVE.contains(&stored.backend.as_str());
    may_log_in && keys.is_session_hash(&stored.hash, &row.password)
}
