//! A timer of a consumer.

use std::time::Duration;

/// A timer of a consumer, in [`TIMERS`](crate::WebSocketConsumer::TIMERS): its name and its period.
///
/// ```
/// use seaway::Timer;
/// use std::time::Duration;
///
/// const TIMERS: &[Timer] = &[Timer::every("remind", Duration::from_secs(60))];
/// assert_eq!(TIMERS[0].name(), "remind");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timer {
    name: &'static str,
    period: Duration,
}

impl Timer {
    /// Returns a timer that is due periodically; with `Duration::MAX`, never.
    ///
    /// # Panics
    /// If the period is zero; in a constant the program does not compile.
    #[must_use]
    #[track_caller]
    pub const fn every(name: &'static str, period: Duration) -> Self {
        assert!(
            !period.is_zero(),
            "the period of a timer is zero; use one above zero"
        );
        Self { name, period }
    }

    /// Returns the name, which [`Trigger::Timer`](crate::consumer::Trigger::Timer) and the log have.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the period.
    pub const fn period(&self) -> Duration {
        self.period
    }
}
