//! The notice that a receiver may have missed events.

use crate::error::{Error, ErrorKind, source_of};
use std::{fmt, sync::LazyLock, time::Duration};

/// A notice that a receiver may have missed events, in order among the events that it received.
///
/// A consumer receives it in its hook [`missed`](crate::WebSocketConsumer::missed), a
/// [`Mailbox`](super::Mailbox) returns it as the error of [`receive`](super::Mailbox::receive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Missed {
    /// The process was not subscribed for a while: events that others sent meanwhile did not
    /// arrive.
    ///
    /// A receiver may be notified more than once of one interruption, because its groups are
    /// resubscribed one after the other; the last notice comes with the last of them. State that
    /// the receiver reads after the last notice is complete.
    Interrupted {
        /// How long nothing arrived before the subscriptions were renewed. Events that Redis had
        /// queued for this process earlier may be missing as well: read from the last event that
        /// you have, not from this time.
        gap: Duration,
    },
    /// The mailbox was full, because its owner handles events more slowly than they arrive.
    Overflowed {
        /// The number of dropped events.
        events: u64,
    },
}

impl Missed {
    /// Adds a later notice to this one if it is of the same kind; returns whether it was. `elapsed`
    /// is the time between both: the merged gap reaches from the earlier of both starts to the
    /// later notice.
    pub(super) fn absorb(&mut self, later: Self, elapsed: Duration) -> bool {
        match (self, later) {
            (Self::Interrupted { gap }, Self::Interrupted { gap: more }) => {
                *gap = gap.saturating_add(elapsed).max(more);
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
                "events may be missing: this process was not subscribed for {:.1} s",
                gap.as_secs_f32()
            ),
            Self::Overflowed { events } => write!(
                f,
                "{events} events were dropped: they arrived faster than they were handled"
            ),
        }
    }
}

impl std::error::Error for Missed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        static KIND: LazyLock<Error> =
            LazyLock::new(|| Error::new(ErrorKind::Missed, "events may be missing"));
        source_of(|| &KIND, None)
    }
}

impl From<Missed> for Error {
    fn from(missed: Missed) -> Self {
        Self::new(ErrorKind::Missed, missed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_that_overlap_are_not_added_up() {
        let seconds = Duration::from_secs;
        for (gap, elapsed, later, expected) in
            [(3, 1, 4, 4), (3, 1, 1, 4), (1, 5, 2, 6), (1, 0, 9, 9)]
        {
            let mut missed = Missed::Interrupted { gap: seconds(gap) };

            let later = Missed::Interrupted {
                gap: seconds(later),
            };
            assert!(missed.absorb(later, seconds(elapsed)));

            assert_eq!(
                missed,
                Missed::Interrupted {
                    gap: seconds(expected)
                }
            );
        }
    }
}
