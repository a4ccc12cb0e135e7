//! What a receiver is told when it may not have received everything.

use crate::error::{Error, ErrorKind};
use std::{fmt, time::Duration};

/// Events that a receiver may have missed, told to it in their place among those it received.
///
/// A consumer gets it by its hook [`missed`](crate::WebSocketConsumer::missed), a
/// [`Mailbox`](super::Mailbox) as the error of [`receive`](super::Mailbox::receive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// This process was not subscribed for a while: what others sent meanwhile did not arrive.
    ///
    /// A receiver may be told more than once of one interruption, because its groups are subscribed anew one after the other;
    /// the last notice comes when the last of them is. What it reads of its state then is complete.
    Interrupted {
        /// How long at most.
        gap: Duration,
    },
    /// The mailbox was full, because its owner handles events more slowly than they come.
    Overflowed {
        /// How many events were dropped.
        events: u64,
    },
}

impl Missed {
    /// Adds what was missed right after this, if it is of the same kind; returns whether it was.
    pub(super) fn absorb(&mut self, later: Self) -> bool {
        match (self, later) {
            (Self::Interrupted { gap }, Self::Interrupted { gap: more }) => {
                *gap = gap.saturating_add(more);
                true
            }
            (Self::Overflowed { events }, Self::Overflowed { events: more }) => {
                *events = events.saturating_add(more);
                true
            }
            _ => false,
        }
    }
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted { gap } => write!(
                f,
                "events of up to {:.1} s may be missing: the channel layer was interrupted",
                gap.as_secs_f32()
            ),
            Self::Overflowed { events } => write!(
                f,
                "{events} events were dropped: they came faster than they were handled"
            ),
        }
    }
}

impl std::error::Error for Missed {}

impl From<Missed> for Error {
    fn from(missed: Missed) -> Self {
        Self::new(ErrorKind::Missed, missed.to_string())
    }
}
