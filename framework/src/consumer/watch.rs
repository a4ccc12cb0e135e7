//! The watch over the conditions of a connection: a live session, an allowed user.

use super::address::ConsumerAddress;
use crate::{
    catch_panic::catch_panic,
    channels::Channels,
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

/// Repeated checks of one connection's conditions: periodically, when one is new, and after an
/// interruption of the channel layer.
pub(super) struct ConditionWatch {
    revocations: Revocations,
    checks: Pin<Box<dyn Future<Output = Close> + Send>>,
}

impl ConditionWatch {
    /// Opens the mailbox, joins the groups where the loss of a condition is announced, and then checks each condition
    /// once, so that a loss in between is not missed. For a WebSocket it is called after the
    /// handshake response, which may have created a session or given it a new id.
    ///
    /// # Errors
    /// The close for the connection, if a condition is already lost or cannot be watched.
    pub(super) async fn over(
        revocations: &Revocations,
        address: &ConsumerAddress,
    ) -> Result<Box<Self>, Close> {
        let mailbox = address.open().await;
        let mailbox = mailbox.map_err(|_| Close::from(Close::TRY_AGAIN))?;
        let mut checks = Checks {
            revocations: revocations.clone(),
            channels: address.channels.clone(),
            channel: mailbox.name().clone(),
            joined: Vec::new(),
        };
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

struct Checks {
    revocations: Revocations,
    channels: Channels,
    channel: ChannelName,
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
        for revocation in self.revocations.iter() {
            let checking = catch_panic(|| {
                check(
                    &**revocation,
                    &self.channels,
                    &self.channel,
                    &mut self.joined,
                )
            });
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
    channels: &Channels,
    channel: &ChannelName,
    joined: &mut Vec<GroupName>,
) -> Result<Option<Duration>, Close> {
    let Some(group) = revocation.group() else {
        return Ok(None);
    };
    if !joined.contains(&group) {
        let joining = channels.group_add(&group, channel).await;
        joining.map_err(|error: Error| {
            tracing::debug!(error = %format_args!("{error:#}"), "cannot watch the session or user of a connection");
            Close::from(Close::TRY_AGAIN)
        })?;
        joined.push(group);
    }
    match revocation.broken().await {
        Some(close) => Err(close),
        None => Ok(revocation.every()),
    }
}
