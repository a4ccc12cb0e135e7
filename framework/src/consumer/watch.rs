//! Watches over what a conversation rests on: the session that is not over, the user who may still be here.

use crate::{
    channels::Channels,
    error::Result,
    frame::Close,
    name::ChannelName,
    tie::{Tie, Ties},
};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Asks the ties of one conversation again, as often as they want.
pub(super) struct Watch {
    ties: Vec<Arc<dyn Tie>>,
    every: Duration,
    /// Waits, then asks.
    round: Round,
}

type Round = Pin<Box<dyn Future<Output = Option<Close>> + Send>>;

impl Watch {
    /// Joins the groups where the end of a tie is announced, and then asks each once: what ended in between is not missed.
    /// It begins once the door is open, for the reply may have begun a session or given it a new id.
    ///
    /// # Errors
    /// How the conversation ends, if a tie is broken already or cannot be watched.
    pub(super) async fn over(
        ties: &Ties,
        channels: &Channels,
        channel: &ChannelName,
    ) -> Result<Option<Box<Self>>, Close> {
        let mut watched = Vec::new();
        let mut every = None;
        for tie in ties.iter() {
            let Some(group) = tie.group() else {
                continue;
            };
            if let Err(error) = channels.layer().group_add(&group, channel).await {
                tracing::debug!(error = %error.chain(), "a conversation cannot be watched");
                return Err(Close::from(Close::TRY_AGAIN));
            }
            if let Some(close) = tie.broken().await {
                return Err(close);
            }
            if let Some(period) = tie.every() {
                every = Some(every.map_or(period, |known: Duration| known.min(period)));
            }
            watched.push(tie.clone());
        }
        Ok(every.map(|every| {
            Box::new(Self {
                round: Box::pin(round(watched.clone(), every)),
                ties: watched,
                every,
            })
        }))
    }

    /// Why the conversation may not go on, once that is so. It asks while other handlers wait for their turn, too.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        loop {
            let broken = ready!(self.round.as_mut().poll(cx));
            if let Some(close) = broken {
                return Poll::Ready(close);
            }
            self.round = Box::pin(round(self.ties.clone(), self.every));
        }
    }
}

async fn round(ties: Vec<Arc<dyn Tie>>, every: Duration) -> Option<Close> {
    sleep_until(Instant::now() + every).await;
    for tie in ties {
        if let Some(close) = tie.broken().await {
            return Some(close);
        }
    }
    None
}
