//! The timers of one connection.

use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Periodic timers. One that comes due while a hook runs ticks once afterwards, however many
/// periods were missed.
pub(super) struct Ticks {
    /// `None` for a period that never ends, such as `Duration::MAX`.
    intervals: Vec<Option<Interval>>,
    /// The timer to poll first: the one after the last that was due.
    next: usize,
}

/// Checks the periods of a consumer's timers.
///
/// # Panics
/// If a period is zero.
#[track_caller]
pub(super) fn check_periods(periods: &[Duration]) {
    assert!(
        periods.iter().all(|period| !period.is_zero()),
        "a period in TICKS is zero; timers need a period above zero"
    );
}

impl Ticks {
    /// Returns `None` without periods, so that an idle connection holds no empty list.
    pub(super) fn new(periods: &[Duration]) -> Option<Box<Self>> {
        if periods.is_empty() {
            return None;
        }
        let intervals = periods.iter().map(|&period| {
            let first = Instant::now().checked_add(period)?;
            let mut interval = interval_at(first, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Some(interval)
        });
        Some(Box::new(Self {
            intervals: intervals.collect(),
            next: 0,
        }))
    }

    /// Polls for the index of a timer that is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let (before, after) = self.intervals.split_at_mut(self.next);
        let mut timers = after.iter_mut().chain(before);
        let due = timers.position(|timer| {
            let timer = timer.as_mut();
            timer.is_some_and(|timer| timer.poll_tick(cx).is_ready())
        });
        let Some(due) = due.map(|place| (self.next + place) % self.intervals.len()) else {
            return Poll::Pending;
        };
        self.next = (due + 1) % self.intervals.len();
        Poll::Ready(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_period_that_never_ends_never_ticks() {
        let periods = [Duration::MAX, Duration::from_secs(1)];
        let mut ticks = Ticks::new(&periods).unwrap();

        for _ in 0..3 {
            assert_eq!(poll_fn(|cx| ticks.poll(cx)).await, 1);
        }
    }
}
