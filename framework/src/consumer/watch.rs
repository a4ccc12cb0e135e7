//! The watch over the conditions of a connection: a live session, an allowed user.

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
pub(super) struct Watch {
    ties: Revocations,
    rounds: Pin<Box<dyn Future<Output = Close> + Send>>,
}

impl Watch {
    /// Joins the groups where the loss of a condition is announced, and then checks each condition
    /// once, so that a loss in between is not missed. For a WebSocket it is called after the
    /// handshake response, which may have created a session or given it a new id.
    ///
    /// # Errors
    /// The close for the connection, if a condition is already lost or cannot be watched.
    pub(super) async fn over(
        ties: &Revocations,
        channels: &Channels,
        channel: &ChannelName,
    ) -> Result<Box<Self>, Close> {
        let mut rounds = Rounds {
            ties: ties.clone(),
            channels: channels.clone(),
            channel: channel.clone(),
            joined: Vec::new(),
        };
        let first = rounds.go().await?;
        Ok(Box::new(Self {
            ties: ties.clone(),
            rounds: Box::pin(rounds.go_on(first)),
        }))
    }

    /// Polls for the close of the connection, ready once a condition is lost.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        self.rounds.as_mut().poll(cx)
    }

    /// Schedules a check of all conditions: an announcement may have been missed while this process
    /// was not subscribed.
    pub(super) fn recheck(&self) {
        self.ties.note_interruption();
    }
}

/// The time over which the connections of a process spread their checks after an interruption, so
/// that a store does not get all queries at once.
const SPREAD: Duration = Duration::from_secs(1);

struct Rounds {
    ties: Revocations,
    channels: Channels,
    channel: ChannelName,
    /// The announcement groups joined so far.
    joined: Vec<GroupName>,
}

impl Rounds {
    async fn go_on(mut self, first: Option<Duration>) -> Close {
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
                () = self.ties.changed() => {}
                () = self.ties.interrupted() => sleep(SPREAD.mul_f64(fastrand::f64())).await,
            }
            match self.go().await {
                Ok(period) => every = period,
                Err(close) => return close,
            }
        }
    }

    /// Checks every condition; returns when to check again.
    async fn go(&mut self) -> Result<Option<Duration>, Close> {
        let mut every: Option<Duration> = None;
        for tie in self.ties.iter() {
            let asking =
                catch_panic(|| ask(&**tie, &self.channels, &self.channel, &mut self.joined));
            let period = match asking.await {
                Ok(asked) => asked?,
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
async fn ask(
    tie: &dyn Revocation,
    channels: &Channels,
    channel: &ChannelName,
    joined: &mut Vec<GroupName>,
) -> Result<Option<Duration>, Close> {
    let Some(group) = tie.group() else {
        return Ok(None);
    };
    if !joined.contains(&group) {
        let joining = channels.group_add(&group, channel).await;
        joining.map_err(|error: Error| {
            tracing::debug!(error = %error.chain(), "cannot watch the session or user of a connection");
            Close::from(Close::TRY_AGAIN)
        })?;
        joined.push(group);
    }
    match tie.broken().await {
        Some(close) => Err(close),
        None => Ok(tie.every()),
    }
}
