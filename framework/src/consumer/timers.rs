//! The timers of one connection.

use super::Timer;
use std::task::{Context, Poll};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Periodic timers. One that comes due while a hook runs is due once afterwards, however many
/// periods were missed.
pub(super) struct Timers {
    timers: &'static [Timer],
    /// `None` for a period that never ends, such as `Duration::MAX`.
    intervals: Vec<Option<Interval>>,
    /// The timer to poll first: the one after the last that was due.
    next: usize,
}

impl Timers {
    /// Returns `None` without timers, so that an idle connection holds no empty list.
    pub(super) fn new(timers: &'static [Timer]) -> Option<Box<Self>> {
        if timers.is_empty() {
            return None;
        }
        let intervals = timers.iter().map(|timer| {
            let period = timer.period();
            let first = Instant::now().checked_add(period)?;
            let mut interval = interval_at(first, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            Some(interval)
        });
        Some(Box::new(Self {
            timers,
            intervals: intervals.collect(),
            next: 0,
        }))
    }

    /// Polls for a timer that is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&'static Timer> {
        let (before, after) = self.intervals.split_at_mut(self.next);
        let mut intervals = after.iter_mut().chain(before);
        let due = intervals.position(|interval| {
            let interval = interval.as_mut();
            interval.is_some_and(|interval| interval.poll_tick(cx).is_ready())
        });
        let Some(due) = due.map(|place| (self.next + place) % self.intervals.len()) else {
            return Poll::Pending;
        };
        self.next = (due + 1) % self.intervals.len();
        Poll::Ready(&self.timers[due])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};

    #[tokio::test(start_paused = true)]
    async fn a_timer_whose_period_never_ends_is_never_due() {
        const TIMERS: &[Timer] = &[
            Timer::every("never", Duration::MAX),
            Timer::every("second", Duration::from_secs(1)),
        ];
        let mut timers = Timers::new(TIMERS).unwrap();

        for _ in 0..3 {
            assert_eq!(poll_fn(|cx| timers.poll(cx)).await.name(), "second");
        }
    }
}
