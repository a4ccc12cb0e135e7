//! One Redis of a layer: its links, and the tasks on them.

use super::{
    config::Wire,
    connecting::{LayerParts, ReceiverParts, ReceiverTasks, Receiving},
    named::NamedChannels,
    names::{HostNames, PresenceKeys},
    presence::Hosted,
    publisher::Publisher,
    pubsub, queue,
    queue_sender::QueueSender,
    received::ReceivedLog,
    subscriptions::Subscriptions,
};
use crate::{
    error::{Error, ErrorKind, Result},
    redis_link::{Endpoint, Link, LinkNeeds, LinkSettings, NoInbox},
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// One Redis of a layer.
pub(super) struct Host {
    /// The names on this host.
    pub(super) names: HostNames,
    pub(super) subscriptions: Arc<Subscriptions>,
    pub(super) publisher: Arc<Publisher>,
    pub(super) queues: QueueSender,
    pub(super) named: NamedChannels,
    pub(super) endpoint: Endpoint,
    silence: Duration,
    tasks: ReceiverTasks,
}

/// The timeout of the first subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// The least silence after which a connection counts as dead, however short the send timeout: a
/// busy machine is silent for seconds.
const SHORTEST_SILENCE: Duration = Duration::from_secs(10);

/// How much longer a connection may be silent than a send may take.
const SILENCE_MARGIN: Duration = Duration::from_secs(2);

impl Host {
    /// Connects to the host with this number, and waits until this process receives.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if Redis does not respond or refuses.
    pub(super) async fn connect(
        number: usize,
        endpoint: Endpoint,
        shared: &LayerParts,
    ) -> Result<Self> {
        // Longer than any operation waits: a stall that ends in time costs a delay, not the
        // connection.
        let silence = shared
            .timeout
            .max(SHORTEST_SILENCE)
            .saturating_add(SILENCE_MARGIN);
        let publishing = LinkSettings {
            purpose: "publishing",
            silence,
            inbox: Arc::new(NoInbox),
            needs: LinkNeeds::Primary,
        };
        let connecting = ReceiverParts {
            shared,
            number,
            names: shared.names.on(number),
            subscriptions: shared.subscriptions[number].clone(),
            received: Arc::new(ReceivedLog::default()),
            link: Arc::new(Link::open(&endpoint, publishing).await?),
            endpoint,
            silence,
        };
        let receiving = match shared.wire {
            Wire::PubSub => pubsub::receive(&connecting).await?,
            Wire::Queue => queue::receive(&connecting).await?,
        };
        restored(&connecting, &receiving).await?;
        Ok(Self::assemble(connecting, receiving))
    }

    fn assemble(connecting: ReceiverParts<'_>, receiving: Receiving) -> Self {
        let names = connecting.names;
        let LayerParts {
            coding,
            group_expiry,
            timeout,
            ..
        } = connecting.shared;
        let publisher = Arc::new(Publisher {
            link: connecting.link,
            receiver: receiving.link,
            readiness: receiving.readiness,
            subscriptions: connecting.subscriptions.readiness().clone(),
            received: connecting.received,
            timeout: *timeout,
        });
        Self {
            subscriptions: connecting.subscriptions,
            queues: QueueSender::new(publisher.clone(), coding.clone(), &names, *group_expiry),
            publisher,
            named: NamedChannels::new(
                connecting.endpoint.clone(),
                connecting.silence,
                &names,
                coding.clone(),
            ),
            names,
            endpoint: connecting.endpoint,
            silence: connecting.silence,
            tasks: receiving.tasks,
        }
    }

    /// Returns what presence under these keys needs of this Redis.
    pub(super) fn hosted(&self, keys: PresenceKeys) -> Hosted {
        Hosted {
            keys,
            link: self.publisher.link.clone(),
            endpoint: self.endpoint.clone(),
            silence: self.silence,
        }
    }

    /// Returns whether both are certainly one server, and with queues one database of it: pub/sub
    /// has no databases.
    pub(super) fn is_one_with(&self, other: &Self, wire: Wire) -> bool {
        let links = [&self.publisher.link, &other.publisher.link];
        let [Ok(one), Ok(other)] = links.map(|link| link.current()) else {
            return false;
        };
        let is_one_database = one.database() == other.database();
        one.is_of_the_run_of(&other) && (is_one_database || wire == Wire::PubSub)
    }

    /// Returns `Ok` if events can currently be sent and received through this Redis.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] with the reason if not.
    pub(super) fn health(&self) -> Result<()> {
        if self.tasks.has_ended() {
            let message = "this process does not receive: a task of the channel layer has panicked; restart the process";
            return Err(Error::new(ErrorKind::Layer, message));
        }
        self.publisher.health()
    }
}

/// Waits until this process receives.
async fn restored(connecting: &ReceiverParts<'_>, receiving: &Receiving) -> Result<()> {
    let restored = async {
        connecting.subscriptions.readiness().restored().await?;
        receiving.readiness.restored().await
    };
    match timeout(SUBSCRIBE_TIMEOUT, restored).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(why)) => Err(Error::new(ErrorKind::Layer, why)),
        Err(_) => {
            let message = format!(
                "Redis at {} accepted the connection but did not confirm a subscription within 5 s",
                connecting.endpoint.shown()
            );
            Err(Error::new(ErrorKind::Layer, message))
        }
    }
}
