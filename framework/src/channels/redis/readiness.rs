//! Whether this process receives events, as a value to wait for.

use crate::redis_link::are_two_runs;
use std::sync::Arc;
use tokio::sync::watch;

/// Whether this process receives events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// Not currently, for this reason.
    Interrupted(Arc<str>),
    /// Not before an operator changes the permissions in Redis, for this reason.
    Refused(Arc<str>),
    /// All groups with members are known to this run of Redis, on this connection of the link.
    Restored {
        generation: u64,
        run_id: Option<Arc<str>>,
    },
}

/// The current [`Status`].
pub(super) struct Readiness(watch::Sender<Status>);

impl Readiness {
    pub(super) fn new() -> Self {
        let reason = Arc::from("the layer has just started");
        Self(watch::Sender::new(Status::Interrupted(reason)))
    }

    pub(super) fn set(&self, status: Status) {
        self.0.send_replace(status);
    }

    pub(super) fn status(&self) -> Status {
        self.0.borrow().clone()
    }

    /// Returns why events are not received; `None` if they are.
    pub(super) fn interruption(&self) -> Option<Arc<str>> {
        match &*self.0.borrow() {
            Status::Interrupted(why) | Status::Refused(why) => Some(why.clone()),
            Status::Restored { .. } => None,
        }
    }

    /// Waits until this process receives events for the first time.
    ///
    /// # Errors
    /// The reason why Redis refused.
    pub(super) async fn restored(&self) -> Result<(), String> {
        let mut statuses = self.0.subscribe();
        loop {
            match &*statuses.borrow_and_update() {
                Status::Restored { .. } => return Ok(()),
                Status::Refused(why) => return Err(why.to_string()),
                Status::Interrupted(_) => {}
            }
            // The sender is in `self`, so it has not been dropped.
            _ = statuses.changed().await;
        }
    }

    /// Waits until this process receives events from this run of Redis; returns on which
    /// connection.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn restored_on(&self, run: Option<&str>) -> u64 {
        let mut statuses = self.0.subscribe();
        loop {
            if let Status::Restored { generation, run_id } = &*statuses.borrow_and_update()
                && !are_two_runs(run_id.as_deref(), run)
            {
                return *generation;
            }
            // The sender is in `self`, so it has not been dropped.
            _ = statuses.changed().await;
        }
    }
}
