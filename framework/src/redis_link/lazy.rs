//! A connection to Redis that is opened when it is first needed.

use super::{endpoint::Endpoint, link::Link, supervisor::LinkSettings};
use crate::error::Result;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, timeout_at};

/// A [`Link`] that is opened when it is first needed. An attempt that a caller does not wait for to
/// its end is finished by the next one.
pub(crate) struct LazyLink {
    endpoint: Endpoint,
    settings: LinkSettings,
    state: LazyState,
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
        }
    }

    /// Returns whether an attempt to connect is in progress that an earlier caller has begun.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, LazyState::Opening(_))
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
            self.state = LazyState::Open(opened?);
        }
        match &self.state {
            LazyState::Open(link) => Ok(Some(link)),
            LazyState::Closed | LazyState::Opening(_) => Ok(None),
        }
    }
}
