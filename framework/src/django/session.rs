//! The Django session of one client.

use super::{cookie, data::SessionData, sessions::DjangoSessions, signing::SecretKeys};
use crate::{
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    rejection::Rejection,
    scope::{OpensOverHttp, Scope},
    session::digest,
};
use http::{Extensions, HeaderMap};
use serde::de::DeserializeOwned;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// The Django session of one client, to read: an extractor for consumers and axum handlers inside
/// [`DjangoAuth`](super::DjangoAuth).
///
/// ```
/// use seaway::{Handshake, Rejection, django::DjangoSession};
///
/// async fn connect(handshake: &mut Handshake) -> Result<Vec<u64>, Rejection> {
///     let session: DjangoSession = handshake.extract().await?;
///     Ok(session.get("cart").await?.unwrap_or_default())
/// }
/// ```
///
/// The session is read on first use, once per request or handshake. Only Django writes it.
#[derive(Clone)]
pub struct DjangoSession(Arc<Visit>);

struct Visit {
    sessions: DjangoSessions,
    keys: SecretKeys,
    cookie: Option<String>,
    /// The session, once read; the inner `None` means that there is none.
    known: Mutex<Option<Option<SessionData>>>,
}

impl DjangoSession {
    /// Returns the session of the client that sent these headers.
    pub(super) fn of(
        headers: &HeaderMap,
        cookie_name: &str,
        sessions: &DjangoSessions,
        keys: &SecretKeys,
    ) -> Self {
        Self(Arc::new(Visit {
            sessions: sessions.clone(),
            keys: keys.clone(),
            cookie: cookie::find(headers, cookie_name),
            known: Mutex::new(None),
        }))
    }

    /// Returns the value of a key; `None` if there is no such value, or no session.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if it cannot be decoded as `T`,
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the database or cache does not respond.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        match self.data().await? {
            Some(data) => data.get(key),
            None => Ok(None),
        }
    }

    /// Returns the session that the middleware has inserted.
    pub(super) fn within(extensions: &Extensions) -> Result<Self> {
        let session = extensions.get::<Self>().cloned();
        session.ok_or_else(|| {
            let message = "no DjangoSession in the scope; put the middleware DjangoAuth around \
                           this application";
            Error::new(ErrorKind::Missing, message)
        })
    }

    /// Returns the values, read once.
    pub(super) async fn data(&self) -> Result<Option<SessionData>> {
        if let Some(known) = &*self.known() {
            return Ok(known.clone());
        }
        let data = self.read().await?;
        *self.known() = Some(data.clone());
        Ok(data)
    }

    /// Reads the values anew.
    pub(super) async fn read(&self) -> Result<Option<SessionData>> {
        match &self.0.cookie {
            Some(cookie) => self.0.sessions.read(cookie, &self.0.keys).await,
            None => Ok(None),
        }
    }

    /// Returns whether anything was read, so that the response depends on the cookie.
    pub(super) fn is_read(&self) -> bool {
        self.known().is_some()
    }

    /// Returns the name of the group in which Django announces the end of the session: a digest,
    /// because the cookie is secret and a group name is not.
    pub(super) fn group(&self) -> Option<String> {
        let cookie = self.0.cookie.as_ref()?;
        Some(format!("seaway.session.{}", digest(cookie.as_bytes())))
    }

    fn known(&self) -> MutexGuard<'_, Option<Option<SessionData>>> {
        let lock = self.0.known.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl<P: OpensOverHttp> FromScope<P> for DjangoSession {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(DjangoSession::within(&scope.extensions)?)
    }
}

/// Omits the cookie and the values, which are secret.
impl fmt::Debug for DjangoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoSession").finish_non_exhaustive()
    }
}
