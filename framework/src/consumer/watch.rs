//! Watches over what a conversation rests on: the session that is not over, the user who may still be here.

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

/// Asks the ties of one conversation again: as often as they want, and when one of them is new.
pub(super) struct Watch {
    ties: Revocations,
    rounds: Pin<Box<dyn Future<Output = Close> + Send>>,
}

impl Watch {
    /// Joins the groups where the end of a tie is announced, and then asks each once: what ended in between is not missed.
    /// It begins once the door is open, for the reply may have begun a session or given it a new id.
    ///
    /// # Errors
    /// How the conversation ends, if a tie is broken already or cannot be watched.
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

    /// Why the conversation may not go on, once that is so.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        self.rounds.as_mut().poll(cx)
    }

    /// Asks all ties again soon: the end of one may have been announced while this process could not hear it.
    pub(super) fn recheck(&self) {
        self.ties.note_interruption();
    }
}

/// After an interruption all connections of a process ask, within this time: a store shall not get all questions at once.
const SPREAD: Duration = Duration::from_secs(1);

struct Rounds {
    ties: Revocations,
    channels: Channels,
    channel: ChannelName,
    /// Where ends are announced that were known so far.
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

    /// Asks every tie; how soon to ask again.
    async fn go(&mut self) -> Result<Option<Duration>, Close> {
        let mut every: Option<Duration> = None;
        for tie in self.ties.iter() {
            let asking =
                catch_panic(|| ask(&**tie, &self.channels, &self.channel, &mut self.joined));
            let period = match asking.await {
                Ok(asked) => asked?,
                Err(panic) => {
                    log_limited!(error, error = %panic, "asking after a user or a session panicked");
                    return Err(Close::from(Close::ERROR));
                }
            };
            every = [every, period].into_iter().flatten().min();
        }
        Ok(every)
    }
}

/// Whether a tie still holds; if so, how soon to ask again. The user's code answers.
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
            tracing::debug!(error = %error.chain(), "a conversation cannot be watched");
            Close::from(Close::TRY_AGAIN)
        })?;
        joined.push(group);
    }
    match tie.broken().await {
        Some(close) => Err(close),
        None => Ok(tie.every()),
    }
}
