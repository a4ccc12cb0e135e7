//! A connection to Redis that is opened when it is first needed.

use super::{dialer::LinkSettings, endpoint::Endpoint, link::Link};
use crate::error::Result;
use futures_util::{FutureExt, future::BoxFuture};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long after a failed attempt [`LazyLink::open_within`] begins none.
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

    /// Returns the connection if it is open, or opens within `limit`. An attempt that an earlier
    /// caller has begun is not waited for, and after a failed one none is begun for [`RETRY`].
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn open_within(&mut self, limit: Duration) -> Option<&Link> {
        if self.failed_at.is_some_and(|at| at.elapsed() < RETRY) {
            return None;
        }
        let limit = match self.state {
            LazyState::Opening(_) => Duration::ZERO,
            LazyState::Closed | LazyState::Open(_) => limit,
        };
        self.open_by(Instant::now() + limit).await.ok()?
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
