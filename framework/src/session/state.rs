//! The state of one connection's session.

use super::{Expiry, Id, Value, stage::SessionStage};

/// The state of one connection's session, shared by all clones of the session.
pub(super) struct SessionState {
    pub(super) stage: SessionStage,
    /// Whether this connection has changed anything.
    pub(super) is_modified: bool,
    /// Whether values have changed since the response, and were not saved after that: nothing
    /// saves them by itself any more.
    pub(super) is_unsaved: bool,
    /// The argument of `set_expiry`, if it was called.
    pub(super) chosen_expiry: Option<Option<Expiry>>,
    pub(super) cookie_session: CookieSession,
    /// The session from which a save has removed a login, until its connections are notified.
    pub(super) lost_login: Option<Id>,
    /// Whether the response to the request that opened the connection is made. Only a response can
    /// set the cookie: after it no session can begin, and none gets a new id.
    pub(super) is_response_made: bool,
}

/// What this request has found, or done, of the session whose id is in the cookie.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum CookieSession {
    Unchanged,
    /// The store does not have it.
    Missing,
    /// It is saved under a new id. The old id is valid until the response sets the cookie.
    Replaced,
    /// It has ended. Its other connections are notified with the response.
    Ended,
}

impl SessionState {
    /// Returns the state of a request with this id in its cookie.
    pub(super) fn of_cookie(id: Option<Id>) -> Self {
        Self {
            stage: SessionStage::from_cookie(id),
            is_modified: false,
            is_unsaved: false,
            chosen_expiry: None,
            cookie_session: CookieSession::Unchanged,
            lost_login: None,
            is_response_made: false,
        }
    }

    /// Sets the value of a key; returns the value that it replaces, if another one.
    pub(super) fn insert(&mut self, key: &str, value: Value) -> Option<Value> {
        let is_equal = self.stage.values()?.get(key) == Some(&value);
        let replaced = self.stage.write(key, Some(value));
        // A save writes the key. An equal value alone is no reason for the response to save, unless
        // the session has ended: then it begins another one.
        if !is_equal || matches!(self.stage, SessionStage::Ended(_)) {
            self.mark_modified();
        }
        replaced.filter(|_| !is_equal)
    }

    /// Removes a key; returns its value, if there was one.
    pub(super) fn remove(&mut self, key: &str) -> Option<Value> {
        let removed = self.stage.write(key, None)?;
        self.mark_modified();
        Some(removed)
    }

    /// Records a change of values or of the expiry.
    pub(super) fn mark_modified(&mut self) {
        self.is_modified = true;
        self.is_unsaved = self.is_response_made;
    }

    /// Returns the expiry that was set for this session alone, if any.
    pub(super) fn own_expiry(&self) -> Option<Expiry> {
        let stored = || self.stage.known().and_then(|copy| copy.expiry);
        self.chosen_expiry.unwrap_or_else(stored)
    }
}
