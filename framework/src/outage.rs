//! How long a connection is kept whose conditions cannot be checked.

use crate::{
    error::{Error, ErrorKind},
    log_limit::log_limited,
    message::{Close, spread},
    metric,
};
use std::{
    borrow::Borrow,
    future::Future,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// The default of each `max_outage`.
pub(crate) const MAX_OUTAGE: Duration = Duration::from_secs(10 * 60);

/// The mean time between two attempts of a failed check that has no period of its own.
const RETRY: Duration = Duration::from_secs(10);

/// How long a check may take; then it counts as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest time after which a client is asked to return whose connection is closed.
const RETURN: Duration = Duration::from_secs(30);

/// The outage of a store that the checks of one condition of a connection read.
pub(crate) struct Outage {
    /// What is checked, such as `a user`.
    what: &'static str,
    max: Duration,
    /// When the first of the latest failed checks ended; `None` after a successful one.
    since: Mutex<Option<Instant>>,
}

impl Outage {
    pub(crate) fn new(what: &'static str, max: Duration) -> Self {
        Self {
            what,
            max,
            since: Mutex::new(None),
        }
    }

    /// Runs a check; returns the close for the connection, if the condition is lost, or if all
    /// checks have failed for too long.
    pub(crate) async fn check<E: Borrow<Error>>(
        &self,
        checking: impl Future<Output = Result<Option<Close>, E>>,
    ) -> Option<Close> {
        match timeout(CHECK_TIMEOUT, checking).await {
            Ok(checked) => self.conclude(checked),
            Err(_) => {
                let message = "the check has not ended within 30 s";
                self.conclude(Err(Error::new(ErrorKind::Timeout, message)))
            }
        }
    }

    fn conclude(&self, checked: Result<Option<Close>, impl Borrow<Error>>) -> Option<Close> {
        let error = match checked {
            Ok(lost) => {
                *self.since() = None;
                return lost;
            }
            Err(error) => error,
        };
        let (what, error) = (self.what, format_args!("{:#}", error.borrow()));
        let lasted = self.since().get_or_insert_with(Instant::now).elapsed();
        if lasted < self.max {
            metric::failed_recheck("kept");
            log_limited!(warn, %error, "could not recheck {what}; the connection stays open");
            return None;
        }
        metric::failed_recheck("closed");
        log_limited!(
            warn,
            %error,
            "could not recheck {what} for longer than `max_outage`; the connection is closed"
        );
        let wait = spread(RETURN).as_secs_f64();
        let reason = format!("the login cannot be checked; retry_after={wait:.2}");
        Some(Close::new(Close::TRY_AGAIN, reason))
    }

    /// Returns the time until the next check of a condition that is checked with this period:
    /// during an outage, at the latest when it has lasted for too long.
    pub(crate) fn next_check(&self, period: Option<Duration>) -> Option<Duration> {
        let Some(since) = *self.since() else {
            return period;
        };
        let rest = self.max.saturating_sub(since.elapsed());
        // Spread, since the checks of all connections may have failed at the same time.
        let retry = || RETRY.mul_f64(0.75 + fastrand::f64() / 2.0);
        Some(period.unwrap_or_else(retry).min(rest))
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        let lock = self.since.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const MAX: Duration = Duration::from_secs(60);

    fn failed() -> Result<Option<Close>, Error> {
        Err(Error::new(ErrorKind::Session, "down"))
    }

    #[tokio::test(start_paused = true)]
    async fn failed_checks_are_tolerated_for_max_outage_after_each_success() {
        for period in [Some(MAX / 6), Some(100 * MAX), None] {
            let outage = Outage::new("a user", MAX);
            for _ in 0..2 {
                assert_eq!(outage.conclude(Ok::<_, Error>(None)), None);
                assert_eq!(outage.next_check(period), period);
                assert_eq!(outage.conclude(failed()), None);
                let failing = Instant::now();

                let close = loop {
                    assert!(failing.elapsed() < MAX, "{period:?}");
                    sleep(outage.next_check(period).expect("a retry")).await;
                    if let Some(close) = outage.conclude(failed()) {
                        break close;
                    }
                };

                assert_eq!(close.code, Close::TRY_AGAIN);
                assert_eq!(failing.elapsed(), MAX, "{period:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_is_a_failed_one() {
        let outage = Outage::new("a user", MAX);
        let start = Instant::now();

        let close = loop {
            let hangs = std::future::pending::<Result<_, Error>>();
            if let Some(close) = outage.check(hangs).await {
                break close;
            }
            assert!(start.elapsed() < 2 * MAX);
        };

        assert_eq!(close.code, Close::TRY_AGAIN);
        assert!(close.reason().contains("retry_after="), "{close:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_tolerance_the_first_failure_closes() {
        let outage = Outage::new("a user", Duration::ZERO);

        assert!(outage.conclude(failed()).is_some());
    }
}
