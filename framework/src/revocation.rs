//! Conditions (a live session, an allowed user) whose loss closes the connection.

use crate::{message::Close, name::GroupName};
use async_trait::async_trait;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// A condition whose loss closes the connection, such as a live session or an allowed user.
/// Middleware adds it to the scope; the consumer's driver closes the connection when it is lost.
#[async_trait]
pub(crate) trait Revocation: Send + Sync {
    /// Returns the group in which the loss is announced; `None` if nothing depends on the
    /// condition. Called once the consumer has connected, and after each notification by
    /// [`ChangeNotifier`].
    fn group(&self) -> Option<GroupName>;

    /// Returns the close for the connection if the condition is lost. Called once after the group
    /// was joined, and then with the period of `every`.
    async fn broken(&self) -> Option<Close>;

    /// Returns how often to check again; `None` to rely on the announcement.
    fn every(&self) -> Option<Duration> {
        None
    }
}

/// The conditions of one connection, stored in its scope.
#[derive(Clone, Default)]
pub(crate) struct Revocations {
    revocations: Vec<Arc<dyn Revocation>>,
    changed: ChangeNotifier,
    interrupted: Arc<Notify>,
}

/// A notifier for a condition on which something has begun to depend.
#[derive(Clone, Default)]
pub(crate) struct ChangeNotifier(Arc<Notify>);

impl ChangeNotifier {
    #[cfg(feature = "sessions")]
    pub(crate) fn notify(&self) {
        self.0.notify_one();
    }
}

impl Revocations {
    /// Returns a notifier for a condition that is about to be added.
    #[cfg(feature = "sessions")]
    pub(crate) fn change_notifier(&self) -> ChangeNotifier {
        self.changed.clone()
    }

    /// Waits for a notification by any condition.
    pub(crate) async fn changed(&self) {
        self.changed.0.notified().await;
    }

    /// Discards a notification that nothing has waited for.
    pub(crate) fn discard_change(&self) {
        pin!(self.changed.0.notified()).enable();
    }

    /// Waits until something has read the session or the user: before that, nothing depends on
    /// them.
    pub(crate) async fn needed(&self) {
        while self.iter().all(|revocation| revocation.group().is_none()) {
            self.changed().await;
        }
    }

    /// Notifies the watch that an announcement may have been missed.
    pub(crate) fn record_interruption(&self) {
        self.interrupted.notify_one();
    }

    /// Waits until an announcement may have been missed.
    pub(crate) async fn interrupted(&self) {
        self.interrupted.notified().await;
    }

    #[cfg(feature = "sessions")]
    pub(crate) fn add(&mut self, revocation: Arc<dyn Revocation>) {
        self.revocations.push(revocation);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Revocation>> {
        self.revocations.iter()
    }
}
