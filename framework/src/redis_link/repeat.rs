//! When a reason that persists is worth another log line.

use std::time::Duration;
use tokio::time::Instant;

/// How often an unchanged reason is logged again.
const EVERY: Duration = Duration::from_secs(60);

/// Decides which failures of a series are logged: the first, each one with another reason, and one a minute.
#[derive(Default)]
pub(crate) struct Repeat {
    last: Option<(String, Instant)>,
}

impl Repeat {
    /// Returns whether this failure is to be logged, and remembers that it was.
    pub(crate) fn is_due(&mut self, reason: &str) -> bool {
        let now = Instant::now();
        if let Some((last, at)) = &self.last
            && last == reason
            && now.duration_since(*at) < EVERY
        {
            return false;
        }
        self.last = Some((reason.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reason_is_logged_when_it_changes_and_once_a_minute() {
        let mut repeat = Repeat::default();

        assert!(repeat.is_due("refused"));
        assert!(!repeat.is_due("refused"));
        assert!(repeat.is_due("wrong password"));
        tokio::time::sleep(EVERY / 2).await;
        assert!(!repeat.is_due("wrong password"));
        tokio::time::sleep(EVERY / 2).await;
        assert!(repeat.is_due("wrong password"));
    }
}
