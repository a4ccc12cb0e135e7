//! The timers of one conversation.

use std::{
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Timers that each come again and again. One that comes due while a handler runs has its turn afterwards, once, however
/// often it was missed.
pub(super) struct Ticks(Vec<Interval>);

impl Ticks {
    /// `None` if there are none: an idle connection carries no empty list.
    pub(super) fn new(periods: &[Duration]) -> Option<Box<Self>> {
        if periods.is_empty() {
            return None;
        }
        let intervals = periods.iter().map(|&period| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Some(Box::new(Self(intervals.collect())))
    }

    /// Which of them is due.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let timers = &mut self.0;
        match timers
            .iter_mut()
            .position(|timer| timer.poll_tick(cx).is_ready())
        {
            Some(due) => Poll::Ready(due),
            None => Poll::Pending,
        }
    }
}
