//! A connection to Redis that is opened when it is first needed.

use super::{link::Link, place::Place, supervisor::LinkSettings};
use crate::error::Result;
use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::{Instant, timeout_at};

/// A [`Link`] that is opened when it is first needed. An attempt that a caller does not wait for to
/// its end is finished by the next one.
pub(crate) struct LazyLink {
    place: Place,
    settings: LinkSettings,
    state: LinkState,
}

enum LinkState {
    Closed,
    Opening(BoxFuture<'static, Result<Link>>),
    Open(Link),
}

impl LazyLink {
    pub(crate) fn new(place: &Place, settings: LinkSettings) -> Self {
        Self {
            place: place.clone(),
            settings,
            state: LinkState::Closed,
        }
    }

    /// Returns whether an attempt to connect is in progress that an earlier caller has begun.
    pub(crate) fn is_opening(&self) -> bool {
        matches!(self.state, LinkState::Opening(_))
    }

    /// Returns the connection; `None` if it is not open at the deadline.
    ///
    /// # Errors
    /// Those of [`Link::open`]; the next call tries again.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn open_by(&mut self, deadline: Instant) -> Result<Option<&Link>> {
        if let LinkState::Closed = self.state {
            let (place, settings) = (self.place.clone(), self.settings.clone());
            let opening = async move { Link::open(&place, settings).await };
            self.state = LinkState::Opening(opening.boxed());
        }
        if let LinkState::Opening(opening) = &mut self.state {
            let Ok(opened) = timeout_at(deadline, opening).await else {
                return Ok(None);
            };
            self.state = LinkState::Closed;
            self.state = LinkState::Open(opened?);
        }
        match &self.state {
            LinkState::Open(link) => Ok(Some(link)),
            LinkState::Closed | LinkState::Opening(_) => Ok(None),
        }
    }
}
