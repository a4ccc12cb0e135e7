//! The Django session of one client.

use super::{data::SessionData, sessions::DjangoSessions, signing::SecretKeys};
use crate::{
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    rejection::Rejection,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use http::Extensions;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// The remedy if there is no session.
const WRAP_IN_DJANGO_AUTH: &str = "wrap the application in the middleware DjangoAuth, with \
                                   Django's sessions and not with a view";

/// The Django session of one client: an extractor for consumers and axum handlers inside
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
/// The session is read on first use, once per request or handshake. Django writes it, and
/// [`write`](Self::write) where the engine allows it.
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
    /// Returns the session of the client with this session cookie.
    pub(super) fn of(cookie: Option<String>, sessions: &DjangoSessions, keys: &SecretKeys) -> Self {
        Self(Arc::new(Visit {
            sessions: sessions.clone(),
            keys: keys.clone(),
            cookie,
            known: Mutex::new(None),
        }))
    }

    /// Returns the value of a key; `None` if there is no such value, or no session.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if it cannot be decoded as `T`,
    /// [`ErrorKind::Session`] if the database or cache does not respond.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        match self.data().await? {
            Some(data) => data.get(key),
            None => Ok(None),
        }
    }

    /// Stores a value in the session at once, and keeps the other values as they are now.
    ///
    /// ```
    /// # use seaway::{Result, django::DjangoSession};
    /// async fn add(session: &DjangoSession, product: u64) -> Result<()> {
    ///     let mut cart: Vec<u64> = session.get("cart").await?.unwrap_or_default();
    ///     cart.push(product);
    ///     Ok(session.write("cart", &cart).await?)
    /// }
    /// ```
    ///
    /// It works with [`DjangoSessions::writable_database`], and never creates or renews a session.
    /// A Django request that has read the session before and saves it after this call undoes it, as
    /// another Django request would.
    ///
    /// # Errors
    /// [`ErrorKind::SessionGone`] if there is no session, or Django has ended it: a hook that
    /// returns this error closes the connection with 4401. [`ErrorKind::Name`] if the key begins with
    /// an underscore: Django reserves these keys, and `_auth_user_id` is its user.
    /// [`ErrorKind::Codec`] if the value cannot
    /// be encoded, the session is larger than 1 MiB with it, or Django has stored what only Python's
    /// JSON has: NaN, infinity, or half of a surrogate pair in a key. [`ErrorKind::Session`] if the
    /// engine is only read, or the database does not respond.
    ///
    /// # Cancel safety
    /// If the future is dropped, the value may be stored or not.
    pub async fn write<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<()> {
        if key.starts_with('_') {
            let message = format!(
                "cannot write the session key {key:?}: those with an underscore in front are \
                 Django's; choose another"
            );
            return Err(Error::new(ErrorKind::Name, message));
        }
        let Visit {
            sessions,
            keys,
            cookie,
            ..
        } = &*self.0;
        let gone = || Error::new(ErrorKind::SessionGone, "the client has no Django session");
        let cookie = cookie.as_ref().ok_or_else(gone)?;
        let change = |data: &SessionData| data.with(key, value);
        let written = sessions.write(cookie, keys, &change).await?;
        *self.known() = Some(Some(written));
        Ok(())
    }

    /// Returns the session that the middleware has inserted.
    pub(super) fn within(extensions: &Extensions) -> Result<Self> {
        let session = extensions.get::<Self>().cloned();
        session.ok_or_else(|| {
            let message = format!("no DjangoSession in the scope; {WRAP_IN_DJANGO_AUTH}");
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

    fn known(&self) -> MutexGuard<'_, Option<Option<SessionData>>> {
        let lock = self.0.known.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl<P: OpensOverHttp> FromScope<P> for DjangoSession {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        Ok(DjangoSession::within(&scope.extensions)?)
    }

    fn required_state() -> RequiredState {
        RequiredState::from_middleware::<Self>("a DjangoSession", WRAP_IN_DJANGO_AUTH)
    }
}

/// Omits the cookie and the values, which are secret.
impl fmt::Debug for DjangoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoSession").finish_non_exhaustive()
    }
}
