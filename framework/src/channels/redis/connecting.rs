//! What the receiving half of a Redis is made from.

use super::{
    coding::Coding,
    config::Wire,
    host_part::HostPart,
    names::{HostNames, LayerNames, Proxies},
    readiness::Readiness,
    received::ReceivedLog,
    subscriptions::Subscriptions,
};
use crate::{
    channels::LocalChannels,
    error::Result,
    redis_link::{Endpoint, Link, LinkNeeds, LinkSettings, PushReceiver},
};
use std::{sync::Arc, time::Duration};
use tokio::task::{AbortHandle, JoinSet};

/// What all hosts of a layer share.
pub(super) struct LayerParts {
    pub(super) wire: Wire,
    pub(super) timeout: Duration,
    pub(super) local: LocalChannels,
    pub(super) names: LayerNames,
    pub(super) proxies: Arc<Proxies>,
    pub(super) coding: Arc<Coding>,
    pub(super) group_expiry: Duration,
    /// Those of each host.
    pub(super) subscriptions: Vec<Arc<Subscriptions>>,
}

/// What the receiving half of a host is made from.
pub(super) struct ReceiverParts<'a> {
    pub(super) shared: &'a LayerParts,
    /// The number of the host.
    pub(super) number: usize,
    /// The names on this host.
    pub(super) names: HostNames,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) received: Arc<ReceivedLog>,
    /// The link for commands.
    pub(super) link: Arc<Link>,
    pub(super) endpoint: Endpoint,
    /// How long a connection may be silent.
    pub(super) silence: Duration,
}

/// The receiving half of a host.
pub(super) struct Receiving {
    pub(super) link: Arc<Link>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) tasks: ReceiverTasks,
}

/// The tasks of a host, which end with the layer.
#[derive(Default)]
pub(super) struct ReceiverTasks {
    tasks: JoinSet<()>,
    handles: Vec<AbortHandle>,
}

impl ReceiverTasks {
    pub(super) fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.handles.push(self.tasks.spawn(task));
    }

    /// Returns whether one has ended: it has panicked, or the runtime shuts down.
    pub(super) fn has_ended(&self) -> bool {
        self.handles.iter().any(AbortHandle::is_finished)
    }
}

impl ReceiverParts<'_> {
    /// Returns the groups and channels that lose events with this host.
    pub(super) fn part(&self) -> HostPart {
        HostPart::new(&self.shared.names, self.number)
    }

    /// Opens the link on which this process receives.
    pub(super) async fn open_receiver(
        &self,
        inbox: Arc<dyn PushReceiver>,
        needs: LinkNeeds,
    ) -> Result<Arc<Link>> {
        let settings = LinkSettings {
            purpose: "subscriptions",
            silence: self.silence,
            inbox,
            needs,
        };
        Ok(Arc::new(Link::open(&self.endpoint, settings).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::task::yield_now;

    #[tokio::test]
    async fn a_task_that_panics_has_ended() {
        let mut tasks = ReceiverTasks::default();
        tasks.spawn(pending());
        assert!(!tasks.has_ended());

        tasks.spawn(async { panic!("a test") });

        while !tasks.has_ended() {
            yield_now().await;
        }
    }
}
