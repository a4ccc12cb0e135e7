//! The operations of a session on its store.
//!
//! Each takes what it needs from the state, asks the store, and then records the outcome in the
//! state.

use super::{
    Expiry, Id, Record, SessionStore,
    announcement::{announce, announce_later, close_connections, group},
    error::{GONE, gone, too_late, too_late_for_new_id},
    expiry,
    merge::{Data, merge},
    stage::{SessionStage, WorkingCopy},
    state::{CookieSession, SessionState},
    store::Store,
};
use crate::{
    channels::Channels,
    error::{Error, ErrorKind, Result},
    log_limit::log_limited,
    message::Close,
    name::GroupName,
    outage::{MAX_OUTAGE, Outage},
    revocation::{ChangeNotifier, Revocation},
};
use async_trait::async_trait;
use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::{runtime::Handle, sync, time::Instant};
use tracing::Instrument;

/// What all sessions of one middleware have in common.
#[derive(Clone)]
pub(crate) struct SessionBackend {
    pub(super) store: Store,
    /// The channels on which the end of a session is announced.
    pub(super) channels: Channels,
    /// The expiry of sessions that have none of their own.
    pub(crate) expiry: Expiry,
    /// How long a connection keeps a session that cannot be checked.
    pub(crate) max_outage: Duration,
}

impl SessionBackend {
    pub(crate) fn new(store: impl SessionStore, channels: &Channels, expiry: Expiry) -> Self {
        Self {
            store: Store::new(Arc::new(store)),
            channels: channels.clone(),
            expiry,
            max_outage: MAX_OUTAGE,
        }
    }
}

/// Runs an operation on the store to its end, even if the caller is dropped at an await: a logout
/// must not stop half-way, and an older save must not overtake a newer one.
pub(super) async fn complete<T: Send + 'static>(
    operation: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(operation.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let error = Error::new(ErrorKind::Session, "the session store panicked");
            Err(error.with_source(panic))
        }
    }
}

/// The session of one connection, which all its clones share.
pub(super) struct SessionCore {
    pub(super) backend: SessionBackend,
    /// The id in the cookie, if the client has sent one.
    pub(super) cookie: Option<Id>,
    pub(super) began: Instant,
    changes: ChangeNotifier,
    outage: Outage,
    state: Mutex<SessionState>,
    /// Held during an operation on the store: of two saves at once, the one that ends last might
    /// otherwise be the one that has begun first, with older values.
    pub(super) mutex: sync::Mutex<()>,
}

impl SessionCore {
    pub(super) fn new(
        cookie: Option<Id>,
        backend: SessionBackend,
        changes: ChangeNotifier,
    ) -> Self {
        Self {
            outage: Outage::new("a session", backend.max_outage),
            backend,
            cookie,
            began: Instant::now(),
            changes,
            state: Mutex::new(SessionState::of_cookie(cookie)),
            mutex: sync::Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, SessionState> {
        let lock = self.state.lock();
        lock.expect("no code panics while it holds this lock")
    }

    /// Reads the values, unless this connection has them.
    pub(super) async fn read(&self) -> Result<()> {
        if self.state().stage.values().is_some() {
            return Ok(());
        }
        let _guard = self.mutex.lock().await;
        self.resolve().await
    }

    /// Finds out whether the store has the session of the cookie, unless that is known.
    pub(super) async fn resolve(&self) -> Result<()> {
        let unresolved = self.state().stage.unresolved();
        match unresolved {
            Some(id) => self.look_up(id, SessionStage::resolved).await,
            None => Ok(()),
        }
    }

    /// Reads the values again, and discards all changes.
    pub(super) async fn reload(&self) -> Result<()> {
        let _guard = self.mutex.lock().await;
        let id = self.state().stage.id();
        match id {
            Some(id) => self.look_up(id, SessionStage::reloaded).await?,
            None => return Ok(()),
        }
        let mut state = self.state();
        state.chosen_expiry = None;
        state.is_unsaved = false;
        Ok(())
    }

    async fn look_up(&self, id: Id, update: fn(&mut SessionStage, Option<Record>)) -> Result<()> {
        let found = self.backend.store.load(&id).await?;
        let is_missing = found.is_none();
        let mut state = self.state();
        let was_known = state.stage.known().is_some();
        update(&mut state.stage, found);
        if is_missing && self.cookie == Some(id) {
            state.cookie_session = CookieSession::Missing;
        }
        // From now on, the connection depends on its session.
        if !was_known && !is_missing {
            self.changes.notify();
        }
        Ok(())
    }

    /// Saves the session, or begins it.
    pub(super) async fn save(&self) -> Result<()> {
        let guard = self.mutex.lock().await;
        let saved = self.save_in_turn().await;
        drop(guard);
        self.announce_lost_login().await;
        saved
    }

    pub(super) async fn save_in_turn(&self) -> Result<()> {
        self.resolve().await?;
        let stored = {
            let mut state = self.state();
            state.is_unsaved = false;
            match &state.stage {
                SessionStage::Stored(copy) => Some(copy.clone()),
                _ => None,
            }
        };
        let Some(copy) = stored else {
            // If no session can begin any more, no later save helps.
            return self.begin().await;
        };
        let saved = self.update(copy).await;
        if let Err(error) = &saved
            && error.kind() != ErrorKind::SessionGone
        {
            let mut state = self.state();
            state.is_unsaved = state.is_response_made;
        }
        saved
    }

    /// Writes the changes to a session that still exists.
    async fn update(&self, mut copy: WorkingCopy) -> Result<()> {
        let stored = self.backend.store.load(&copy.id).await?;
        let mut stored = stored.ok_or_else(gone)?.data;
        let own = expiry::take(&mut stored);
        if !copy.has_logins_of(&stored) {
            return Err(gone());
        }
        let ends_login = copy.removes_login(&stored);
        let merged = merge(&copy.written, &copy.mine, stored);
        let (record, own) = self.record(copy.id, merged, own);
        copy.expires = record.expiry_date;
        copy.expiry = own;
        let id = record.id;
        self.backend.store.save(record).await?;
        {
            let mut state = self.state();
            state.stage.saved(copy);
            state.chosen_expiry.take_if(|chosen| *chosen == own);
            if ends_login {
                state.lost_login = Some(id);
            }
        }
        Ok(())
    }

    /// Closes the connections of a session from which a save has removed a login. They may include
    /// this one, so nothing happens before its response is made.
    pub(super) async fn announce_lost_login(&self) {
        let lost_login = {
            let mut state = self.state();
            let is_response_made = state.is_response_made;
            state.lost_login.take_if(|_| is_response_made)
        };
        if let Some(id) = lost_login {
            announce(&self.backend.channels, id).await;
        }
    }

    /// Begins a session under a new id: another one, or the same if it was to get one.
    async fn begin(&self) -> Result<()> {
        let renewed = self.renewed_id()?;
        let old = match renewed {
            // If another request has logged out meanwhile, the old values must not reappear under
            // the new id, but only what was changed here.
            Some(id) => self.backend.store.load(&id).await?,
            None => None,
        };
        let mut old = old.map(|record| record.data).unwrap_or_default();
        let own = expiry::take(&mut old);
        let values = self.state().stage.initial_values(old.clone());
        let (mut record, mut own) = self.record(Id::default(), values, own);
        self.backend.store.create(&mut record).await?;
        if let Some(id) = renewed
            && self.backend.store.has_marker(&id).await?
        {
            // Another request has logged out after the old values were read.
            self.backend.store.delete(&record.id).await?;
            old = Data::new();
            let values = self.state().stage.initial_values(Data::new());
            (record, own) = self.record(Id::default(), values, None);
            self.backend.store.create(&mut record).await?;
        }
        self.state().chosen_expiry.take_if(|chosen| *chosen == own);
        self.record_begun(record, old, renewed.is_some());
        if let Some(id) = self.cookie
            && self.state().cookie_session == CookieSession::Missing
        {
            // The cookie is about to be replaced: other responses in progress must not remove the
            // new one.
            self.backend.store.mark_ended(&id).await?;
        }
        Ok(())
    }

    /// Returns the old id of a session that gets a new one; fails if no session can begin.
    fn renewed_id(&self) -> Result<Option<Id>> {
        let state = self.state();
        match &state.stage {
            SessionStage::Ended(_) if state.is_response_made => Err(gone()),
            _ if state.is_response_made => Err(too_late()),
            SessionStage::Renewed(copy) => Ok(Some(copy.id)),
            _ => Ok(None),
        }
    }

    fn record_begun(&self, record: Record, old: Data, is_renewed: bool) {
        let mut state = self.state();
        state.stage.begun(record, old);
        // The response sets the cookie of a modified session.
        state.is_modified = true;
        if is_renewed {
            state.cookie_session = CookieSession::Replaced;
        }
    }

    /// Returns the record to save, and the expiry that was set for this session alone, where `own`
    /// is the one in the store.
    fn record(&self, id: Id, mut data: Data, own: Option<Expiry>) -> (Record, Option<Expiry>) {
        let own = self.state().chosen_expiry.unwrap_or(own);
        expiry::put(own, &mut data);
        let record = Record {
            id,
            data,
            expiry_date: expiry::date(own.unwrap_or(self.backend.expiry)),
        };
        (record, own)
    }

    /// Gives the session a new id with the next save, at the latest with the response.
    pub(super) async fn renew(&self) -> Result<()> {
        let _guard = self.mutex.lock().await;
        if self.state().is_response_made {
            return Err(too_late_for_new_id());
        }
        self.resolve().await?;
        let mut state = self.state();
        // No client knows an id that this request has made, so it needs no other one.
        if state.stage.id() == self.cookie {
            state.stage.renew();
        }
        state.is_modified = true;
        Ok(())
    }

    /// Ends the session now, even if the response fails.
    pub(super) async fn end(&self) -> Result<()> {
        let _guard = self.mutex.lock().await;
        self.resolve().await?;
        let ended = self.end_in_turn().await?;
        self.state().is_unsaved = false;
        if let Some(id) = ended
            && self.state().is_response_made
        {
            announce(&self.backend.channels, id).await;
        }
        Ok(())
    }

    /// Ends the session, also under its old id, without an announcement; returns its id.
    pub(super) async fn end_in_turn(&self) -> Result<Option<Id>> {
        let id = self.state().stage.active().map(|copy| copy.id);
        let Some(id) = id else {
            return Ok(None);
        };
        self.end_replaced().await?;
        self.backend.store.end(&id).await?;
        let mut state = self.state();
        state.stage.end();
        state.chosen_expiry = None;
        // The end of the session is announced instead.
        state.lost_login.take_if(|lost| *lost == id);
        if self.cookie == Some(id) {
            state.cookie_session = CookieSession::Ended;
        }
        Ok(Some(id))
    }

    /// Ends the session under its old id, if it was saved under a new one.
    pub(super) async fn end_replaced(&self) -> Result<()> {
        if let Some(id) = self.cookie
            && self.state().cookie_session == CookieSession::Replaced
        {
            self.backend.store.end(&id).await?;
            let mut state = self.state();
            state.cookie_session = CookieSession::Ended;
            if state.is_response_made {
                announce_later(&self.backend.channels, id);
            }
        }
        Ok(())
    }
}

/// Closes a connection that has read its session when that session ends.
#[async_trait]
impl Revocation for SessionCore {
    fn group(&self) -> Option<GroupName> {
        let state = self.state();
        state.stage.known().map(|session| group(&session.id))
    }

    async fn broken(&self) -> Option<Close> {
        let id = self.state().stage.known().map(|session| session.id)?;
        let checking = async {
            let stored = self.backend.store.load(&id).await?;
            let state = self.state();
            let known = state.stage.known();
            let is_same = stored.is_some_and(|stored| {
                // Another program may have removed or changed the login.
                known.is_none_or(|known| known.has_logins_of(&WorkingCopy::of(stored).mine))
            });
            Ok::<_, Error>((!is_same).then(|| Close::new(Close::UNAUTHORIZED, GONE)))
        };
        self.outage.check(checking).await
    }

    /// A successful check is not repeated: the end of a session is announced.
    fn every(&self) -> Option<Duration> {
        self.outage.next_check(None)
    }
}

/// Announces the end of a session, or of its login, even if the request was dropped before its
/// response, and logs changes that nobody has saved.
impl Drop for SessionCore {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let state = state.expect("no code panics while it holds this lock");
        if state.is_unsaved {
            log_limited!(
                warn,
                "lost changes of a session: in an open connection, call `save` after them"
            );
        }
        let is_ended = state.cookie_session == CookieSession::Ended && !state.is_response_made;
        let ended = self.cookie.filter(|_| is_ended).or(state.lost_login);
        if let (Some(id), Ok(runtime)) = (ended, Handle::try_current()) {
            runtime.spawn(close_connections(self.backend.channels.clone(), id));
        }
    }
}
