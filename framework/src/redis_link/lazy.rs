//! A connection to Redis that is opened when it is first needed.

use super::{endpoint::Endpoint, link::Link, supervisor::LinkSettings};
use crate::error::Result;
use futures_util::{FutureExt, future::BoxFuture};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The time after a failed attempt in which [`LazyLink::has_just_failed`].
const RETRY: Duration = Duration::from_millis(100);

/// A [`Link`] that is opened when it is first needed. An attempt that a caller does not wait for to
/// its end is finished by the next one.
pub(crate) struct LazyLink {
    endpoint: Endpoint,
    settings: LinkSettings,
    state: LazyState,
    failed_at: Option<Instant>,
}

enum LazyState {
    Closed,
    Opening(BoxFuture<'static, Result<Link>>),
    Open(Link),
}

impl LazyLink {
    pub(crate) fn new(endpoint: &Endpoint, settings: LinkSettings) -> Self {
        Self {
            endpoint: endpoint.clone(),
            settings,
            state: LazyState::Closed,
            failed_at: None,
        }
    }

    /// Returns whether an attempt to connect is in progress that an earlier caller has begun.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, LazyState::Opening(_))
    }

    /// Returns whether the last attempt has failed so recently that another one would fail, too.
    pub(crate) fn has_just_failed(&self) -> bool {
        self.failed_at.is_some_and(|at| at.elapsed() < RETRY)
    }

    /// Returns the connection; `None` if it is not open at the deadline.
    ///
    /// # Errors
    /// Those of [`Link::open`]; the next call tries again.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn open_by(&mut self, deadline: Instant) -> Result<Option<&Link>> {
        if let LazyState::Closed = self.state {
            let (endpoint, settings) = (self.endpoint.clone(), self.settings.clone());
            let opening = async move { Link::open(&endpoint, settings).await };
            self.state = LazyState::Opening(opening.boxed());
        }
        if let LazyState::Opening(opening) = &mut self.state {
            let Ok(opened) = timeout_at(deadline, opening).await else {
                return Ok(None);
            };
            self.state = LazyState::Closed;
            self.failed_at = opened.is_err().then(Instant::now);
            self.state = LazyState::Open(opened?);
        }
        match &self.state {
            LazyState::Open(link) => Ok(Some(link)),
            LazyState::Closed | LazyState::Opening(_) => Ok(None),
        }
    }
}
