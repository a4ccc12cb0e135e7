//! Where a server is now.

use super::{
    address::Address,
    connect_error::ConnectError,
    directory::{Directory, Found},
    repeat::Repeat,
};
use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::sleep;

/// How often it is checked whether a connection still leads to the primary: an old primary that is
/// cut off from the others continues to accept commands.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How old a response may be for that.
const CHECK_AGE: Duration = Duration::from_millis(500);

/// How old a response may be when a connection is made.
const FRESH: Duration = Duration::from_millis(20);

/// One server: its address, or how to find it before each connection.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// For a log; without the password that a URL may hold.
    shown: Arc<str>,
    resolution: Resolution,
    /// What was logged of failures, of all servers of the URL.
    logged: Arc<Mutex<Repeat>>,
}

#[derive(Clone)]
enum Resolution {
    Fixed(Address),
    /// The primary that has this slot.
    Primary(Arc<Directory>, u16),
}

impl Endpoint {
    pub(super) fn fixed(address: Address) -> Self {
        Self {
            shown: address.shown().clone(),
            resolution: Resolution::Fixed(address),
            logged: Arc::default(),
        }
    }

    pub(super) fn primary(directory: &Arc<Directory>, slot: u16) -> Self {
        Self {
            shown: directory.shown().clone(),
            resolution: Resolution::Primary(directory.clone(), slot),
            logged: directory.logged().clone(),
        }
    }

    /// Returns the address, Sentinels, or nodes of the URL, for a log.
    pub(crate) fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// Returns whether a failure is to be logged, and records that it was: the shards of a Cluster
    /// fail together.
    pub(super) fn is_log_due(&self, purpose: &str, reason: &str) -> bool {
        let logged = self.logged.lock();
        let mut logged = logged.expect("no code panics while it holds this lock");
        logged.is_due(&format!("{purpose}: {reason}"))
    }

    /// Returns the current address of the server, when it may be used.
    ///
    /// # Errors
    /// If no Sentinel or node of the Cluster responds, or none knows the server.
    pub(super) async fn resolve(&self) -> Result<Found, ConnectError> {
        match &self.resolution {
            Resolution::Fixed(address) => Ok(Found::at_once(address.clone())),
            Resolution::Primary(directory, slot) => directory.find_usable(*slot, FRESH).await,
        }
    }

    /// Returns the directory, if the server is the primary that one names.
    pub(super) fn directory(&self) -> Option<&Directory> {
        match &self.resolution {
            Resolution::Fixed(_) => None,
            Resolution::Primary(directory, _) => Some(directory),
        }
    }

    /// Records that the server that was found could not be used, or is not the primary.
    pub(super) fn mark_stale(&self) {
        if let Some(directory) = self.directory() {
            directory.mark_stale();
        }
    }

    /// Waits until the server is known to be at another address. No response is no reason to leave.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn changed_from(&self, address: &Address) {
        let Resolution::Primary(directory, slot) = &self.resolution else {
            return pending().await;
        };
        let checking = async {
            loop {
                sleep(CHECK_EVERY).await;
                if let Ok(now) = directory.find(*slot, CHECK_AGE).await
                    && now.shown() != address.shown()
                {
                    return;
                }
            }
        };
        tokio::select! {
            () = checking => {}
            () = directory.replaced(address) => {}
        }
    }
}
