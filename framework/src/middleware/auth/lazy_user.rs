//! The user of one request or handshake, loaded on first use.

use crate::{
    error::{Error, Result},
    message::Close,
    outage::Outage,
    revocation::{ChangeNotifier, Revocations},
    scope::{OpensOverHttp, Scope},
};
use std::{
    borrow::Borrow,
    future::Future,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// The user of one request or handshake, loaded on first use, and the checks whether the user is
/// still logged in.
pub(crate) struct LazyUser<U> {
    /// The user, once loaded; the inner `None` means that nobody is logged in.
    user: Mutex<Option<Option<U>>>,
    changes: ChangeNotifier,
    outage: Outage,
    /// Path and query of an HTTP request. A copy: a slice would hold hyper's buffer while a
    /// response streams.
    page: Option<Box<str>>,
}

impl<U: Clone> LazyUser<U> {
    /// Returns the user of the connection with this scope.
    pub(crate) fn new<P: OpensOverHttp>(scope: &mut Scope<P>, outage: Outage) -> Self {
        let page = scope.head.uri.path_and_query();
        let page = page.filter(|_| P::IS_PAGE);
        let page = page.map(|page| page.as_str().into());
        let revocations = scope.extensions.get_or_insert_default::<Revocations>();
        Self {
            user: Mutex::new(None),
            changes: revocations.change_notifier(),
            outage,
            page,
        }
    }

    /// Returns the user, whom `load` finds on first use.
    pub(crate) async fn get_or_load(
        &self,
        load: impl Future<Output = Result<Option<U>>>,
    ) -> Result<Option<U>> {
        if let Some(known) = self.loaded() {
            return Ok(known);
        }
        let user = load.await?;
        self.set(user.clone());
        // From now on, the connection depends on its user.
        self.changes.notify();
        Ok(user)
    }

    /// Sets who is logged in, at a login or logout.
    pub(crate) fn set(&self, user: Option<U>) {
        *self.lock() = Some(user);
    }

    /// Returns the user, once loaded; the inner `None` means that nobody is logged in.
    pub(crate) fn loaded(&self) -> Option<Option<U>> {
        self.lock().clone()
    }

    /// Returns the user, if one was found.
    pub(crate) fn known(&self) -> Option<U> {
        self.loaded().flatten()
    }

    /// Returns the close of a connection whose user has changed, as `is_unchanged` finds, or cannot
    /// be checked for too long.
    pub(crate) async fn check<E: Borrow<Error>>(
        &self,
        is_unchanged: impl Future<Output = Result<bool, E>>,
    ) -> Option<Close> {
        let checking = async {
            let is_unchanged = is_unchanged.await?;
            Ok((!is_unchanged).then(|| Close::new(Close::UNAUTHORIZED, "log in again")))
        };
        self.outage.check::<E>(checking).await
    }

    /// Returns the time until the next check, if this is the period.
    pub(crate) fn next_check(&self, period: Option<Duration>) -> Option<Duration> {
        self.outage.next_check(period)
    }

    /// Returns path and query of an HTTP request.
    pub(crate) fn page(&self) -> Option<&str> {
        self.page.as_deref()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Option<U>>> {
        let lock = self.user.lock();
        lock.expect("no code panics while it holds this lock")
    }
}
