//! A timer for deadlines that move.
//!
//! Nearly every deadline is met. A timer per deadline would cost an allocation and two operations
//! on tokio's timer wheel each time. An [`Alarm`] arms its timer for the first deadline, and again
//! only when the timer fires before the current one.

use std::{
    fmt,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// A timer for deadlines that move, allocated at the first deadline.
#[derive(Default)]
pub(super) struct Alarm(Option<Armed>);

struct Armed {
    timer: Pin<Box<Sleep>>,
    waker: Waker,
}

impl Alarm {
    /// Returns `Ready` once `deadline` has passed. Otherwise the task that polled last is woken at
    /// `deadline` at the latest.
    pub(super) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let Armed {
            timer,
            waker: wakes,
        } = self.0.get_or_insert_with(|| Armed {
            timer: Box::pin(sleep_until(deadline)),
            waker: Waker::noop().clone(),
        });
        // A timer that has not fired yet proves that there is time left, so the clock need not be
        // read.
        if timer.deadline() <= deadline && !timer.is_elapsed() && wakes.will_wake(cx.waker()) {
            return Poll::Pending;
        }
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        if timer.deadline() > deadline || timer.is_elapsed() {
            timer.as_mut().reset(deadline);
        }
        wakes.clone_from(cx.waker());
        // A timer polled without tokio's budget is not armed, which the short cut above relies on.
        pin!(unconstrained(timer.as_mut())).poll(cx)
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").finish_non_exhaustive()
    }
}

/// A detector of waits for the peer that make no progress for too long.
#[derive(Debug)]
pub(super) struct Stall {
    limit: Duration,
    alarm: Alarm,
    progress: usize,
    since: Option<Instant>,
}

impl Stall {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            alarm: Alarm::default(),
            progress: 0,
            since: None,
        }
    }

    /// Returns `Ready` once the wait has lasted for the limit with the same `progress`; `None`
    /// means that nothing waits.
    pub(super) fn poll(&mut self, progress: Option<usize>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(progress) = progress else {
            self.since = None;
            return Poll::Pending;
        };
        if self.progress != progress {
            self.progress = progress;
            self.since = None;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        match since.checked_add(self.limit) {
            Some(deadline) => self.alarm.poll(deadline, cx),
            // The sum overflows (`Duration::MAX`): no limit.
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::{task::coop::consume_budget, time::timeout};

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn an_alarm_fires_at_its_last_deadline_whether_that_moved_back_or_forth() {
        let mut alarm = Alarm::default();
        let start = Instant::now();
        for deadline in [start + 3 * SECOND, start + 9 * SECOND, start + 5 * SECOND] {
            assert!(futures_util::poll!(poll_fn(|cx| alarm.poll(deadline, cx))).is_pending());
        }

        poll_fn(|cx| alarm.poll(start + 5 * SECOND, cx)).await;
        assert_eq!(start.elapsed(), 5 * SECOND);

        poll_fn(|cx| alarm.poll(start + 7 * SECOND, cx)).await;
        assert_eq!(start.elapsed(), 7 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_that_is_set_in_a_poll_without_budget_fires() {
        let mut alarm = Alarm::default();

        for number in ["first", "second"] {
            let deadline = Instant::now() + SECOND;
            let set = poll_fn(|cx| {
                while pin!(consume_budget()).poll(cx).is_ready() {}
                Poll::Ready(alarm.poll(deadline, cx))
            });
            assert!(set.await.is_pending());

            let fired = timeout(2 * SECOND, poll_fn(|cx| alarm.poll(deadline, cx))).await;
            assert!(fired.is_ok(), "the {number} deadline");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_progress_or_does_not_wait_has_not_stalled() {
        let mut stall = Stall::new(3 * SECOND);
        let mut passes = async |progress, seconds| {
            let polling = poll_fn(|cx| stall.poll(progress, cx));
            timeout(seconds * SECOND, polling).await.is_ok()
        };

        for (progress, seconds, expected) in [
            (Some(0), 2, false),
            (Some(1), 2, false),
            (None, 9, false),
            (Some(1), 2, false),
            (Some(1), 2, true),
        ] {
            assert_eq!(passes(progress, seconds).await, expected, "{progress:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_without_an_end_is_none() {
        let mut stall = Stall::new(Duration::MAX);

        assert!(futures_util::poll!(poll_fn(|cx| stall.poll(Some(0), cx))).is_pending());
    }
}
