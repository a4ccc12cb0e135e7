//! Attempts that begin one after the other, and may overlap.

use futures_util::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::time::timeout;

/// How long the attempts under way may last before the next one begins beside them. So a limit of
/// 2 s for each bounds their number to about 20.
const STAGGER: Duration = Duration::from_millis(100);

/// Attempts of which the next one begins when one has ended, or when none has for [`STAGGER`].
pub(super) struct Staggered<I: Iterator<Item: Future>> {
    waiting: I,
    running: FuturesUnordered<I::Item>,
}

impl<I: Iterator<Item: Future>> Staggered<I> {
    pub(super) fn new(attempts: I) -> Self {
        Self {
            waiting: attempts,
            running: FuturesUnordered::new(),
        }
    }

    /// Returns the outcome of the next attempt that ends; `None` after the last one.
    pub(super) async fn next(&mut self) -> Option<<I::Item as Future>::Output> {
        for attempt in self.waiting.by_ref() {
            self.running.push(attempt);
            if let Ok(outcome) = timeout(STAGGER, self.running.next()).await {
                return outcome;
            }
        }
        self.running.next().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn the_next_attempt_begins_when_one_has_ended_or_takes_long() {
        let start = Instant::now();
        let attempts = [5, 20, 1000, 950, 10].map(|milliseconds| async move {
            let begun = start.elapsed().as_millis();
            sleep(Duration::from_millis(milliseconds)).await;
            (begun, start.elapsed().as_millis())
        });

        let mut attempts = Staggered::new(attempts.into_iter());
        let mut times = Vec::new();
        while let Some(time) = attempts.next().await {
            times.push(time);
        }

        let expected = [(0, 5), (5, 25), (225, 235), (25, 1025), (125, 1075)];
        assert_eq!(times, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_with_a_time_limit_are_few_at_once() {
        let running = std::cell::Cell::new(0);
        let attempts = (0..100).map(|_| async {
            running.set(running.get() + 1);
            let limit = Duration::from_secs(2);
            _ = timeout(limit, pending::<()>()).await;
            running.replace(running.get() - 1)
        });

        let mut attempts = Staggered::new(attempts);
        let mut most = 0;
        while let Some(count) = attempts.next().await {
            most = most.max(count);
        }

        assert_eq!(most, 20);
    }
}
