//! Rate limits per user for expensive actions. Each process counts by itself.

use crate::accounts::Account;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};
use std::{fmt, num::NonZeroU32, time::Duration};

/// Messages: a burst of 30, as after an outage, then one per second.
const MESSAGES: Rate = Rate::new(30, Duration::from_secs(1));

/// New rooms: a burst of 10, then one per minute.
const ROOMS: Rate = Rate::new(10, Duration::from_secs(60));

/// Reports of seen messages: our page sends one per second, and a user may have many pages.
const SEEN: Rate = Rate::new(50, Duration::from_millis(100));

/// The limits of each user, across all tabs.
pub struct Limits {
    pub messages: Limit,
    pub rooms: Limit,
    pub seen: Limit,
}

/// The rate limit of one action, per user.
pub struct Limit<C: Clock = MonotonicClock>(
    RateLimiter<i64, HashMapStateStore<i64>, C, NoOpMiddleware<C::Instant>>,
);

/// A burst, and after that one per period.
struct Rate {
    at_once: NonZeroU32,
    period: Duration,
}

/// The time until the next attempt is allowed; `Display` rounds up to seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait(Duration);

impl Limits {
    /// Returns the limits of users who have done nothing yet.
    pub fn new() -> Self {
        let limit = |rate| Limit::new(rate, MonotonicClock);
        Self {
            messages: limit(MESSAGES),
            rooms: limit(ROOMS),
            seen: limit(SEEN),
        }
    }

    /// Drops users whose limits are fully replenished. Without it, every user who ever acted would
    /// be kept in memory.
    pub fn forget_idle(&self) {
        let Self {
            messages,
            rooms,
            seen,
        } = self;
        for limit in [messages, rooms, seen] {
            limit.forget_idle();
        }
    }
}

impl<C: Clock> Limit<C> {
    fn new(rate: Rate, clock: C) -> Self {
        let quota = Quota::with_period(rate.period).expect("a period takes time");
        let quota = quota.allow_burst(rate.at_once);
        Self(RateLimiter::new(quota, HashMapStateStore::default(), clock))
    }

    /// Counts one action of this user.
    ///
    /// # Errors
    /// The time to wait, if the limit is exceeded. Such an action does not count.
    pub fn take(&self, person: &Account) -> Result<(), Wait> {
        let taken = self.0.check_key(&person.id);
        taken.map_err(|until| Wait(until.wait_time_from(self.0.clock().now())))
    }

    fn forget_idle(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }
}

impl Rate {
    const fn new(at_once: u32, period: Duration) -> Self {
        let at_once = NonZeroU32::new(at_once).expect("at least one is allowed");
        Self { at_once, period }
    }
}

impl Wait {
    /// Returns the whole seconds after which the user may try again.
    pub fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0)
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn person(id: i64) -> Account {
        let name = id.to_string();
        Account { id, name }
    }

    #[test]
    fn an_exceeded_limit_delays_that_user_alone() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::new(Rate::new(3, Duration::from_secs(60)), clock.clone());
        let (ana, bo) = (person(1), person(2));
        for _ in 0..3 {
            assert_eq!(limit.take(&ana), Ok(()));
        }

        let wait = limit.take(&ana).unwrap_err();

        assert_eq!((wait.seconds(), wait.to_string()), (60, "60 s".to_owned()));
        assert_eq!(limit.take(&bo), Ok(()));
        clock.advance(Duration::from_millis(59_500));
        assert_eq!(limit.take(&ana).unwrap_err().seconds(), 1);
        clock.advance(Duration::from_millis(500));
        assert_eq!(limit.take(&ana), Ok(()));
        assert!(limit.take(&ana).is_err());
    }

    #[test]
    fn users_who_are_idle_for_long_enough_are_dropped() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::new(Rate::new(2, Duration::from_secs(1)), clock.clone());
        for id in 0..1_000 {
            limit.take(&person(id)).unwrap();
        }
        clock.advance(Duration::from_secs(2));
        let busy = person(1_000);
        limit.take(&busy).unwrap();
        limit.take(&busy).unwrap();

        limit.forget_idle();

        assert_eq!(limit.0.len(), 1);
        assert!(limit.take(&busy).is_err());
    }
}
