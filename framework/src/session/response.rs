//! What the response does with the session: it saves it, and sets or removes the cookie.

use super::{
    Expiry, Id, Session,
    announcement::{announce, announce_later},
    operations::{SessionCore, complete},
    stage::SessionStage,
    state::{CookieSession, SessionState},
};
use crate::{
    error::{ErrorKind, Result},
    log_limit::log_limited,
};
use cookie::time::{Duration, OffsetDateTime};
use std::time;

/// Maximum age of a request whose response removes a stale cookie; otherwise a later response
/// removes it. Nobody logs in so soon after another response has removed the cookie.
const MAX_REQUEST_AGE: time::Duration = time::Duration::from_secs(2);

/// What a response does with the session cookie.
pub(crate) enum CookieChange {
    Keep,
    Set {
        id: Id,
        /// Without an age, the cookie lasts until the browser is closed.
        max_age: Option<Duration>,
    },
    Remove,
}

impl Session {
    /// Concludes the request: saves what has changed, unless the response is a failure, and
    /// announces the end of the session, or of its login, if the request has ended it. From now on
    /// no session can begin.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails.
    pub(crate) async fn conclude(&self, is_failure: bool) -> Result<CookieChange> {
        if self.0.is_untouched() {
            self.0.record_response();
            return Ok(CookieChange::Keep);
        }
        let session = self.clone();
        complete(async move { session.conclude_changes(is_failure).await }).await
    }

    /// Returns whether the response is made. After that, no cookie can be set.
    pub(crate) fn is_response_made(&self) -> bool {
        self.0.state().is_response_made
    }

    /// Ends the session under the id that a new one has replaced.
    ///
    /// It is called once the response has the new cookie: a client whose response times out before
    /// keeps its old cookie.
    ///
    /// # Errors
    /// [`ErrorKind::Session`] if the store fails.
    pub(crate) async fn end_replaced(&self) -> Result<()> {
        if self.0.state().cookie_session != CookieSession::Replaced {
            return Ok(());
        }
        let core = self.0.clone();
        complete(async move {
            let _guard = core.mutex.lock().await;
            let ended = core.end_replaced().await;
            // Here, as nobody gets the error if the response has timed out meanwhile.
            if let Err(error) = &ended {
                log_limited!(
                    warn,
                    error = %format_args!("{error:#}"),
                    "cannot end a session under its old id; it stays valid until it expires"
                );
            }
            ended
        })
        .await
    }

    async fn conclude_changes(&self, is_failure: bool) -> Result<CookieChange> {
        let guard = self.0.mutex.lock().await;
        let outcome = self.0.save_or_leave(is_failure).await;
        let (announced, goes_on) = self.0.record_response();
        drop(guard);
        match announced {
            Some(id) if goes_on => announce_later(&self.0.backend.channels, id),
            Some(id) => announce(&self.0.backend.channels, id).await,
            None => {}
        }
        self.0.announce_lost_login().await;
        match outcome {
            // Another tab has logged out meanwhile, and its response decides about the cookie.
            Err(error) if error.kind() == ErrorKind::SessionGone => Ok(CookieChange::Keep),
            outcome => outcome,
        }
    }
}

impl SessionCore {
    /// Returns whether the request has done nothing with its session but read it.
    fn is_untouched(&self) -> bool {
        let state = self.state();
        let is_unchanged = state.cookie_session == CookieSession::Unchanged;
        is_unchanged && !state.is_modified && !self.is_to_be_extended(&state)
    }

    async fn save_or_leave(&self, is_failure: bool) -> Result<CookieChange> {
        if !is_failure {
            if self.is_worth_saving().await? {
                self.save_in_turn().await?;
                return Ok(self.cookie_to_set());
            }
            let is_renewed = matches!(self.state().stage, SessionStage::Renewed(_));
            if is_renewed {
                // It is empty, so that nothing continues under a new id.
                self.end_in_turn().await?;
            }
        }
        match self.has_ended() || self.is_cookie_stale().await {
            true => Ok(CookieChange::Remove),
            false => Ok(CookieChange::Keep),
        }
    }

    /// Marks the response as made. Returns the id of the session that this request has ended, if
    /// any, and whether another one continues.
    fn record_response(&self) -> (Option<Id>, bool) {
        let mut state = self.state();
        let ended = self
            .cookie
            .filter(|_| state.cookie_session == CookieSession::Ended);
        state.is_response_made = true;
        (ended, state.stage.id().is_some())
    }

    async fn is_worth_saving(&self) -> Result<bool> {
        if !self.state().is_modified {
            return Ok(self.is_to_be_extended(&self.state()));
        }
        self.resolve().await?;
        let state = self.state();
        Ok(match &state.stage {
            SessionStage::Stored(_) => true,
            SessionStage::Renewed(copy) => !copy.mine.is_empty(),
            new => !new.initial_values(Default::default()).is_empty(),
        })
    }

    /// Returns whether this request has read a session that expires on inactivity, once a tenth of
    /// the period has passed.
    fn is_to_be_extended(&self, state: &SessionState) -> bool {
        match (&state.stage, self.expiry(state)) {
            (SessionStage::Stored(copy), Expiry::OnInactivity(period)) => {
                copy.expires - OffsetDateTime::now_utc() < period * 0.9
            }
            _ => false,
        }
    }

    /// Returns the expiry of the session: its own, or else that of the middleware.
    pub(super) fn expiry(&self, state: &SessionState) -> Expiry {
        state.own_expiry().unwrap_or(self.backend.expiry)
    }

    fn cookie_to_set(&self) -> CookieChange {
        let state = self.state();
        let SessionStage::Stored(copy) = &state.stage else {
            return CookieChange::Keep;
        };
        let max_age = match self.expiry(&state) {
            Expiry::OnSessionEnd => None,
            _ => Some((copy.expires - OffsetDateTime::now_utc()).max(Duration::ZERO)),
        };
        let id = copy.id;
        CookieChange::Set { id, max_age }
    }

    fn has_ended(&self) -> bool {
        self.state().cookie_session == CookieSession::Ended
    }

    /// Returns whether the cookie's session is missing, and no other response has recently replaced
    /// or removed the cookie.
    async fn is_cookie_stale(&self) -> bool {
        let is_current = self.began.elapsed() < MAX_REQUEST_AGE;
        let is_missing = self.state().cookie_session == CookieSession::Missing;
        match self.cookie {
            Some(id) if is_current && is_missing => {
                matches!(self.backend.store.has_marker(&id).await, Ok(false))
            }
            _ => false,
        }
    }
}
