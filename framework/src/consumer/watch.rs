//! The watch over the conditions of a connection: a live session, an allowed user.

use super::address::ConsumerAddress;
use crate::{
    catch_panic::catch_panic,
    channels::{Channels, Mailbox, MailboxSignal},
    error::{Error, Result},
    log_limit::log_limited,
    message::Close,
    name::{ChannelName, GroupName},
    revocation::{Revocation, Revocations},
};
use std::{
    future::{Future, pending},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::sleep;
#[cfg(feature = "proxy")]
use {std::future::poll_fn, tokio::time::timeout};

/// Repeated checks of one connection's conditions: periodically, when one is new, and after an
/// interruption of the channel layer.
pub(super) struct ConditionWatch {
    revocations: Revocations,
    checks: Pin<Box<dyn Future<Output = Close> + Send>>,
}

impl ConditionWatch {
    /// Opens the mailbox, joins the groups where the loss of a condition is announced, and then
    /// checks each condition once, so that a loss in between is not missed. For a WebSocket it is
    /// called after the handshake response, which may have created a session or given it a new id.
    ///
    /// # Errors
    /// The close for the connection, if a condition is already lost or cannot be watched.
    pub(super) async fn over(
        revocations: &Revocations,
        address: &ConsumerAddress,
    ) -> Result<Box<Self>, Close> {
        let mailbox = address.open().await;
        let mailbox = mailbox.map_err(|_| Close::from(Close::TRY_AGAIN))?;
        let announced = (address.channels.clone(), mailbox.name().clone());
        Self::start(revocations, Some(announced)).await
    }

    /// Checks the conditions, at first and then repeatedly: each that has no
    /// period of its own every 10 s if there are no announcements.
    async fn start(
        revocations: &Revocations,
        announced: Option<(Channels, ChannelName)>,
    ) -> Result<Box<Self>, Close> {
        let mut checks = Checks {
            revocations: revocations.clone(),
            announced,
            joined: Vec::new(),
        };
        // What has been read so far is checked now, and not once more.
        revocations.discard_change();
        let first = checks.check_all().await?;
        Ok(Box::new(Self {
            revocations: revocations.clone(),
            checks: Box::pin(checks.run(first)),
        }))
    }

    /// Polls for the close of the connection, ready once a condition is lost.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        self.checks.as_mut().poll(cx)
    }

    /// Schedules a check of all conditions: an announcement may have been missed while this process
    /// was not subscribed.
    pub(super) fn recheck(&self) {
        self.revocations.record_interruption();
    }
}

/// The time over which the connections of a process spread their checks after an interruption, so
/// that a store does not get all queries at once.
const SPREAD: Duration = Duration::from_secs(1);

/// How often conditions are checked whose loss is not announced.
const UNANNOUNCED: Duration = Duration::from_secs(10);

/// How many events are dropped in a row, before other tasks run.
#[cfg(feature = "proxy")]
const AT_ONCE: usize = 64;

/// How long starting a watch may take.
#[cfg(feature = "proxy")]
const START: Duration = Duration::from_secs(10);

/// Polls for the close of a connection from outside: by a disconnect request in its mailbox, or a
/// lost condition.
pub(super) fn poll_end(
    mailbox: &Mailbox,
    watch: Option<&mut ConditionWatch>,
    cx: &mut Context<'_>,
) -> Poll<Close> {
    while let Poll::Ready(signal) = mailbox.poll_signal(cx) {
        match signal {
            MailboxSignal::Disconnect(end) => {
                return Poll::Ready(end.disconnects().unwrap_or(Close::from(Close::POLICY)));
            }
            MailboxSignal::Interrupted => {
                if let Some(watch) = &watch {
                    watch.recheck();
                }
            }
        }
    }
    match watch {
        Some(watch) => watch.poll(cx),
        None => Poll::Pending,
    }
}

/// Waits until a condition of a connection without a consumer is lost, and returns the close for
/// it. Without channels no loss is announced, but conditions are checked repeatedly.
#[cfg(feature = "proxy")]
pub(crate) async fn revoked(revocations: &Revocations, channels: Option<&Channels>) -> Close {
    revocations.needed().await;
    let address = channels.map(|channels| ConsumerAddress::new(channels.clone()));
    let starting = async {
        match &address {
            Some(address) => ConditionWatch::over(revocations, address).await,
            None => ConditionWatch::start(revocations, None).await,
        }
    };
    let mut watch = match timeout(START, starting).await {
        Ok(Ok(watch)) => watch,
        Ok(Err(close)) => return close,
        Err(_) => return Close::from(Close::TRY_AGAIN),
    };
    let mailbox = address.as_ref().and_then(ConsumerAddress::mailbox);
    poll_fn(|cx| match mailbox {
        Some(mailbox) => {
            if let Poll::Ready(close) = poll_end(mailbox, Some(&mut watch), cx) {
                return Poll::Ready(close);
            }
            // Nobody reads the events here: they are dropped, so that the mailbox does not fill up.
            if (0..AT_ONCE).all(|_| mailbox.poll_event(cx).is_ready()) {
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }
        None => watch.poll(cx),
    })
    .await
}

struct Checks {
    revocations: Revocations,
    /// The channel to which losses are announced.
    announced: Option<(Channels, ChannelName)>,
    /// The announcement groups joined so far.
    joined: Vec<GroupName>,
}

impl Checks {
    async fn run(mut self, first: Option<Duration>) -> Close {
        let mut every = first;
        loop {
            let due = async {
                match every {
                    Some(period) => sleep(period).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.revocations.changed() => {}
                () = self.revocations.interrupted() => sleep(SPREAD.mul_f64(fastrand::f64())).await,
            }
            match self.check_all().await {
                Ok(period) => every = period,
                Err(close) => return close,
            }
        }
    }

    /// Checks every condition; returns when to check again.
    async fn check_all(&mut self) -> Result<Option<Duration>, Close> {
        let mut every: Option<Duration> = None;
        let announced = self.announced.as_ref();
        for revocation in self.revocations.iter() {
            let checking = catch_panic(|| check(&**revocation, announced, &mut self.joined));
            let period = match checking.await {
                Ok(checked) => checked?,
                Err(panic) => {
                    log_limited!(error, error = %panic, "checking a session or a user panicked");
                    return Err(Close::from(Close::ERROR));
                }
            };
            every = [every, period].into_iter().flatten().min();
        }
        Ok(every)
    }
}

/// Checks one condition; returns when to check again. May run the user's code.
async fn check(
    revocation: &dyn Revocation,
    announced: Option<&(Channels, ChannelName)>,
    joined: &mut Vec<GroupName>,
) -> Result<Option<Duration>, Close> {
    let Some(group) = revocation.group() else {
        return Ok(None);
    };
    if let Some((channels, channel)) = announced
        && !joined.contains(&group)
    {
        let joining = channels.group_add(&group, channel).await;
        joining.map_err(|error: Error| {
            tracing::debug!(error = %format_args!("{error:#}"), "cannot watch the session or user of a connection");
            Close::from(Close::TRY_AGAIN)
        })?;
        joined.push(group);
    }
    match revocation.broken().await {
        Some(close) => Err(close),
        None => {
            let unannounced = announced.is_none().then_some(UNANNOUNCED);
            Ok(revocation.every().or(unannounced))
        }
    }
}

#[cfg(all(test, feature = "proxy", feature = "sessions"))]
mod tests {
    use super::*;
    use crate::channels::Event;
    use async_trait::async_trait;
    use serde::{Deserialize, Serialize};
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    use tokio::time::Instant;

    /// A condition whose loss is announced, and which is not checked periodically.
    struct AnnouncedLoss(Arc<AtomicBool>);

    #[async_trait]
    impl Revocation for AnnouncedLoss {
        fn group(&self) -> Option<GroupName> {
            GroupName::new("users").ok()
        }

        async fn broken(&self) -> Option<Close> {
            let is_lost = self.0.load(Ordering::Relaxed);
            is_lost.then(|| Close::from(Close::UNAUTHORIZED))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_whose_loss_is_not_announced_is_checked_again() {
        let (is_lost, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let mut revocations = Revocations::default();
        revocations.add(Arc::new(AnnouncedLoss(is_lost.clone())));
        let watching = tokio::spawn(async move { revoked(&revocations, None).await });
        sleep(Duration::from_secs(1)).await;

        is_lost.store(true, Ordering::Relaxed);

        assert_eq!(watching.await.unwrap().code, Close::UNAUTHORIZED);
        assert_eq!(began.elapsed(), UNANNOUNCED);
    }

    /// An event that a condition's group is not for.
    #[derive(Deserialize, Serialize)]
    #[serde(tag = "type", rename = "news")]
    struct News {}

    impl Event for News {}

    #[tokio::test(start_paused = true)]
    async fn the_events_of_others_do_not_fill_the_mailbox_of_a_watch() {
        let (channels, is_lost) = (Channels::in_memory(), Arc::default());
        let mut revocations = Revocations::default();
        revocations.add(Arc::new(AnnouncedLoss(is_lost)));
        let watching = tokio::spawn({
            let channels = channels.clone();
            async move { revoked(&revocations, Some(&channels)).await }
        });
        sleep(Duration::from_secs(1)).await;
        let users = channels.group::<News>("users").unwrap();

        for _ in 0..3000 {
            users.send(&News {}).await.unwrap();
            tokio::task::yield_now().await;
        }

        assert_eq!(channels.dropped(), 0);
        users.disconnect(4000).await.unwrap();
        assert_eq!(watching.await.unwrap().code, 4000);
    }
}
