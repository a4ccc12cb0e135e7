//! The timeout of a request body that is being read.

use crate::alarm::SharedAlarm;
use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Limits the time between two pieces of a request body. Only time in which the application waits
/// for the body counts.
#[derive(Debug)]
pub(crate) struct Pace {
    limit: Duration,
    alarm: SharedAlarm,
    /// The time by which the next piece is due, while the application waits for it.
    deadline: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(limit: Duration, alarm: SharedAlarm) -> Self {
        Self {
            limit,
            alarm,
            deadline: None,
        }
    }

    /// Records that a piece has arrived.
    pub(super) fn progress(&mut self) {
        self.deadline = None;
    }

    /// Completes once the next piece is overdue.
    pub(super) fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.deadline {
            Some(deadline) => deadline,
            None => match Instant::now().checked_add(self.limit) {
                Some(deadline) => *self.deadline.insert(deadline),
                None => return Poll::Pending,
            },
        };
        self.alarm.poll(deadline, cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_not_overdue_and_neither_is_one_that_is_not_being_read() {
        let mut pace = Pace::new(3 * SECOND, SharedAlarm::default());

        for _ in 0..3 {
            let stalled = timeout(2 * SECOND, poll_fn(|cx| pace.poll_stalled(cx))).await;
            assert!(stalled.is_err(), "the limit starts again with each piece");
            pace.progress();
            tokio::time::sleep(9 * SECOND).await;
        }

        let waited = Instant::now();
        poll_fn(|cx| pace.poll_stalled(cx)).await;
        assert_eq!(waited.elapsed(), 3 * SECOND);
    }
}
