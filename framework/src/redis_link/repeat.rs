//! A limit on repeated log lines of a persistent failure.

use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// How often an unchanged reason is logged again.
const EVERY: Duration = Duration::from_secs(60);

/// The number of reasons that are distinguished. With more at once, some are logged more often than
/// [`EVERY`].
const REASONS: usize = 8;

/// The log limit of a series of failures: the first of each reason, then each reason once a minute.
#[derive(Default)]
pub(crate) struct Repeat {
    logged: VecDeque<(String, Instant)>,
}

impl Repeat {
    /// Returns whether this failure is to be logged, and records that it was.
    pub(crate) fn is_due(&mut self, reason: &str) -> bool {
        let now = Instant::now();
        self.logged
            .retain(|(_, at)| now.duration_since(*at) < EVERY);
        if self.logged.iter().any(|(logged, _)| logged == reason) {
            return false;
        }
        if self.logged.len() == REASONS {
            self.logged.pop_front();
        }
        self.logged.push_back((reason.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_logged_at_once_and_then_once_a_minute_whatever_comes_between() {
        let mut repeat = Repeat::default();

        assert!(repeat.is_due("refused"));
        assert!(!repeat.is_due("refused"));
        assert!(repeat.is_due("wrong password"));
        assert!(!repeat.is_due("refused"));
        tokio::time::sleep(EVERY / 2).await;
        assert!(!repeat.is_due("wrong password"));
        tokio::time::sleep(EVERY / 2).await;
        assert!(repeat.is_due("wrong password"));
        assert!(repeat.is_due("refused"));
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_without_end_are_not_kept() {
        let mut repeat = Repeat::default();

        (0..1000).for_each(|number| assert!(repeat.is_due(&number.to_string())));

        assert_eq!(repeat.logged.len(), REASONS);
    }
}
