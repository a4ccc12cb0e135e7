//! The session as handlers and consumers use it.

use super::{
    Expiry, Id, Value, error, expiry,
    operations::{SessionBackend, SessionCore, complete},
    stage::is_reserved,
    time::{Duration, OffsetDateTime},
};
use crate::{
    error::{Error, ErrorKind, Result},
    extract::FromScope,
    rejection::Rejection,
    required_state::RequiredState,
    revocation::{ChangeNotifier, Revocation},
    scope::{OpensOverHttp, Scope},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt, sync::Arc};

/// The session of a client: an extractor for axum handlers and consumers.
///
/// The middleware [`Sessions`](crate::middleware::Sessions) inserts it. Clones share their values.
///
/// ```
/// use seaway::{Result, Session};
///
/// /// Counts the visits of a client.
/// async fn visit(session: Session) -> Result<String> {
///     let visits: u64 = session.get("visits").await?.unwrap_or(0) + 1;
///     session.insert("visits", visits).await?;
///     Ok(format!("visit {visits}"))
/// }
/// ```
///
/// Values are JSON, which can be read and written as such; a session gets a new id when rights
/// change, and ends with `flush`:
///
/// ```
/// use seaway::{Result, Session};
/// use serde_json::json;
///
/// async fn begin(session: &Session) -> Result<()> {
///     session.clear();
///     session.insert_value("basket", json!([1, 2])).await?;
///     Ok(session.cycle_id().await?)
/// }
///
/// async fn end(session: &Session) -> Result<()> {
///     let basket = session.remove_value("basket").await?;
///     println!("not bought: {basket:?}");
///     Ok(session.flush().await?)
/// }
/// ```
///
/// Keys that begin with an underscore are those of the framework: `_user` has the user who is logged
/// in. They can be read, and not written.
///
/// The first operation reads the session from the store; then values are read and changed in
/// memory. The response saves the changes. In an open WebSocket no response follows: call
/// [`save`](Self::save); see [`session`](crate::session).
///
/// # Errors
/// Methods that may read the session return [`ErrorKind::Session`](crate::ErrorKind::Session) if
/// the store fails.
///
/// # Cancel safety
/// If the future of a method is dropped, the values in memory are either unchanged or completely
/// changed. [`save`](Self::save) and [`flush`](Self::flush) may have changed the store, and can be
/// called again.
#[derive(Clone)]
pub struct Session(pub(super) Arc<SessionCore>);

impl Session {
    /// Creates the session of a request whose cookie has this id.
    pub(crate) fn new(
        cookie: Option<Id>,
        backend: SessionBackend,
        changes: ChangeNotifier,
    ) -> Self {
        Self(Arc::new(SessionCore::new(cookie, backend, changes)))
    }

    /// Returns the condition that closes the connection when the session ends.
    pub(crate) fn revocation(&self) -> Arc<dyn Revocation> {
        self.0.clone()
    }

    /// Returns the value of a key, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value is not a `T`;
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        typed(self.get_value(key).await?)
    }

    /// Returns the value of a key as JSON, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn get_value(&self, key: &str) -> Result<Option<Value>> {
        self.0.read().await?;
        let state = self.0.state();
        Ok(state
            .stage
            .values()
            .and_then(|values| values.get(key).cloned()))
    }

    /// Sets the value of a key.
    ///
    /// The response saves the change. In an open WebSocket or event stream, call
    /// [`save`](Self::save): its response was sent before, and a change that is not saved is lost.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the key begins with an underscore;
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if JSON cannot represent the value;
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn insert(&self, key: &str, value: impl Serialize) -> Result<()> {
        check_key(key)?;
        self.insert_reserved(key, value).await
    }

    /// Sets the value of a key, also of one that is reserved for the framework.
    pub(crate) async fn insert_reserved(&self, key: &str, value: impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).map_err(error::not_json)?;
        self.0.read().await?;
        self.0.state().insert(key, value);
        Ok(())
    }

    /// Sets the value of a key to this JSON; returns the value that it replaces, if another one.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the key begins with an underscore;
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn insert_value(&self, key: &str, value: Value) -> Result<Option<Value>> {
        check_key(key)?;
        self.0.read().await?;
        Ok(self.0.state().insert(key, value))
    }

    /// Removes a key; returns its value, if there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the key begins with an underscore;
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value was not a `T`: it is removed
    /// nevertheless. [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn remove<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        typed(self.remove_value(key).await?)
    }

    /// Removes a key; returns its value as JSON, if there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Name`](crate::ErrorKind::Name) if the key begins with an underscore;
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn remove_value(&self, key: &str) -> Result<Option<Value>> {
        check_key(key)?;
        self.0.read().await?;
        Ok(self.0.state().remove(key))
    }

    /// Removes all values, without reading them, and with them the login.
    ///
    /// The session itself continues; [`flush`](Self::flush) ends it. When the change is saved, open
    /// connections of a session that was logged in are closed with 4401, in every process.
    pub fn clear(&self) {
        let mut state = self.0.state();
        state.stage.clear();
        state.mark_modified();
    }

    /// Returns whether the session has no values, without reading the store.
    ///
    /// A client whose cookie names a session counts as one with values, also if that session no
    /// longer exists.
    pub fn is_empty(&self) -> bool {
        let stage = &self.0.state().stage;
        stage.id().is_none() && stage.values().is_none_or(|values| values.is_empty())
    }

    /// Returns whether this connection has changed the session.
    pub fn is_modified(&self) -> bool {
        self.0.state().is_modified
    }

    /// Returns the id of the session; `None` if the client has none, or if it has no id yet: a new
    /// session, and one after [`cycle_id`](Self::cycle_id), gets its id when it is saved.
    ///
    /// Before the session is read, this is the id in the cookie, which the client may have
    /// invented. The id is secret: who knows it can act as the client.
    pub fn id(&self) -> Option<Id> {
        self.0.state().stage.id()
    }

    /// Returns the expiry that was set for this session alone, if any; one that an earlier request
    /// has set is known once the session was read.
    pub fn expiry(&self) -> Option<Expiry> {
        self.0.state().own_expiry()
    }

    /// Sets when this session expires; `None` for the expiry of
    /// [`Sessions`](crate::middleware::Sessions), as for all others.
    ///
    /// It takes effect when the session is saved, and lasts as long as the session.
    ///
    /// ```
    /// use seaway::{Session, session::{Expiry, time::Duration}};
    ///
    /// fn stay_logged_in(session: &Session) {
    ///     session.set_expiry(Some(Expiry::OnInactivity(Duration::days(90))));
    /// }
    /// ```
    pub fn set_expiry(&self, expiry: Option<Expiry>) {
        let mut state = self.0.state();
        state.chosen_expiry = Some(expiry);
        state.mark_modified();
    }

    /// Returns when the session expires if it is saved now.
    pub fn expiry_date(&self) -> OffsetDateTime {
        expiry::date(self.0.expiry(&self.0.state()))
    }

    /// Returns how long the session lasts if it is saved now.
    pub fn expiry_age(&self) -> Duration {
        (self.expiry_date() - OffsetDateTime::now_utc()).max(Duration::ZERO)
    }

    /// Reads the session from the store again, and discards changes that were not saved.
    ///
    /// A client without a session has none to read: its values remain.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails.
    pub async fn load(&self) -> Result<()> {
        self.0.reload().await
    }

    /// Saves the session now: writes the keys that this connection has changed, and keeps those
    /// that others have changed since.
    ///
    /// Without a session, begins one.
    ///
    /// An HTTP handler need not call it, since the response saves changes.
    ///
    /// # Errors
    /// - [`ErrorKind::SessionGone`](crate::ErrorKind::SessionGone) if the session has ended, or if
    ///   others have removed or changed its login.
    /// - [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails, or if a session
    ///   would have to begin, or to get its new id, after the response, which sets the cookie.
    ///
    /// # Cancel safety
    /// A save that has begun is completed in any case.
    pub async fn save(&self) -> Result<()> {
        let core = self.0.clone();
        complete(async move { core.save().await }).await
    }

    /// Gives the session a new id and keeps its values, so that nobody can use the old id.
    ///
    /// A login does this for you.
    ///
    /// The new id comes with the response. If that fails (500 or more, or a panic), the session is
    /// unchanged under its old id. Other connections under the old id are closed.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails, or in an open
    /// WebSocket, which cannot set a cookie.
    pub async fn cycle_id(&self) -> Result<()> {
        self.0.renew().await
    }

    /// Ends the session: removes all values, deletes it from the store, and closes its open
    /// connections, in every process.
    ///
    /// A logout does this for you.
    ///
    /// It takes effect immediately, even if the response fails. Values that are inserted afterwards
    /// begin another session.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails: then the session may
    /// not have ended.
    ///
    /// # Cancel safety
    /// Once it has begun, the session ends in any case.
    pub async fn flush(&self) -> Result<()> {
        self.clear();
        let core = self.0.clone();
        complete(async move { core.end().await }).await
    }

    /// Ends the session like [`flush`](Self::flush), but its values can still be read from memory.
    ///
    /// # Errors
    /// [`ErrorKind::Session`](crate::ErrorKind::Session) if the store fails: then the session may
    /// not have ended.
    pub async fn delete(&self) -> Result<()> {
        let core = self.0.clone();
        complete(async move { core.end().await }).await
    }
}

/// Returns an error for a key that is reserved for the framework. An application may take its keys
/// from its clients.
fn check_key(key: &str) -> Result<()> {
    match is_reserved(key) {
        true => Err(error::reserved(key)),
        false => Ok(()),
    }
}

fn typed<T: DeserializeOwned>(value: Option<Value>) -> Result<Option<T>> {
    let typed = value.map(serde_json::from_value).transpose();
    typed.map_err(error::not_this_type)
}

/// Extracts the session that [`Sessions`](crate::middleware::Sessions) has inserted into the scope.
impl<P: OpensOverHttp> FromScope<P> for Session {
    async fn from_scope(scope: &Scope<P>) -> Result<Self, Rejection> {
        let session = scope.state::<Self>().map_err(|_| {
            let message =
                "no Session in the scope; wrap the application in the middleware Sessions";
            Error::new(ErrorKind::Missing, message)
        })?;
        Ok(session.clone())
    }

    fn required_state() -> RequiredState {
        RequiredState::from_middleware::<Self>(
            "a Session",
            "wrap the application in the middleware Sessions, by a `.with` after those of middleware \
             that needs it: the last `.with` is the outermost",
        )
    }
}

/// Omits id and values, which are secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}
