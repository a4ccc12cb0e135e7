//! What holds a conversation: let it go, and the conversation ends.

use crate::{message::Close, name::GroupName};
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Something that a conversation rests on, such as a session that is not over and a user who may still be here.
/// Middleware puts it into the scope; whoever holds the conversation lets it end when a tie breaks.
#[async_trait]
pub(crate) trait Revocation: Send + Sync {
    /// Where the end of this is announced, asked once the consumer has connected and whenever there are
    /// [news](News). `None` if nothing rests on it.
    fn group(&self) -> Option<GroupName>;

    /// Why the conversation may not go on, if so. Asked once after the group was joined, and then as often as `every` says.
    async fn broken(&self) -> Option<Close>;

    /// How often to ask again; `None` to rely on the announcement.
    fn every(&self) -> Option<Duration> {
        None
    }
}

/// The ties of one conversation, as they lie in its scope.
#[derive(Clone, Default)]
pub(crate) struct Revocations {
    ties: Vec<Arc<dyn Revocation>>,
    changed: News,
    interrupted: Arc<Notify>,
}

/// How a tie tells that something rests on it now, which did not before.
#[derive(Clone, Default)]
pub(crate) struct News(Arc<Notify>);

impl News {
    #[cfg(feature = "sessions")]
    pub(crate) fn tell(&self) {
        self.0.notify_one();
    }
}

impl Revocations {
    /// For a tie that is about to be added.
    #[cfg(feature = "sessions")]
    pub(crate) fn news(&self) -> News {
        self.changed.clone()
    }

    /// Waits for news of any tie.
    pub(crate) async fn changed(&self) {
        self.changed.0.notified().await;
    }

    /// Notes that an announcement may have been missed.
    pub(crate) fn note_interruption(&self) {
        self.interrupted.notify_one();
    }

    /// Waits until an announcement may have been missed.
    pub(crate) async fn interrupted(&self) {
        self.interrupted.notified().await;
    }

    #[cfg(feature = "sessions")]
    pub(crate) fn add(&mut self, tie: Arc<dyn Revocation>) {
        self.ties.push(tie);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Revocation>> {
        self.ties.iter()
    }
}
