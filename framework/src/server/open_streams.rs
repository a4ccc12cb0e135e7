//! The number of open requests of an HTTP/2 connection, and its idle timeout.

use super::alarm::Alarm;
use std::{
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Instant;

/// The number of open requests of one HTTP/2 connection.
#[derive(Clone)]
pub(super) struct OpenStreams(Arc<Mutex<StreamCount>>);

struct StreamCount {
    open: usize,
    idle_since: Instant,
}

/// One open request, until it is dropped.
pub(super) struct OpenStream(OpenStreams);

impl OpenStreams {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(StreamCount {
            open: 0,
            idle_since: Instant::now(),
        })))
    }

    pub(super) fn open(&self) -> OpenStream {
        self.state().open += 1;
        OpenStream(self.clone())
    }

    /// Returns since when no request is open; `None` if one is.
    fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.open == 0).then_some(state.idle_since)
    }

    fn state(&self) -> MutexGuard<'_, StreamCount> {
        let lock = self.0.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.idle_since = Instant::now();
    }
}

/// The idle timeout of an HTTP/2 connection.
pub(super) struct IdleTimer {
    streams: OpenStreams,
    limit: Duration,
    alarm: Alarm,
    /// The time of the next check; `None` for never.
    deadline: Option<Instant>,
}

impl IdleTimer {
    pub(super) fn new(streams: OpenStreams, limit: Duration) -> Self {
        Self {
            streams,
            limit,
            alarm: Alarm::default(),
            deadline: Instant::now().checked_add(limit),
        }
    }

    /// Completes once no request was open for the limit, and again each `again` after that. A
    /// connection whose last responses are still being written is not idle.
    ///
    /// The start and the end of a request do not wake this: it checks the count when its alarm
    /// fires.
    pub(super) fn poll(
        &mut self,
        is_writing: bool,
        again: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let Some(deadline) = self.deadline else {
                return Poll::Pending;
            };
            ready!(self.alarm.poll(deadline, cx));
            let now = Instant::now();
            let since = match self.streams.idle_since() {
                Some(since) if !is_writing => since,
                _ => now,
            };
            self.deadline = since.checked_add(self.limit);
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.deadline = now.checked_add(again);
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_secs(60);
    const AGAIN: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_the_limit_has_passed_since_its_last_request() {
        let streams = OpenStreams::new();
        let mut idle = IdleTimer::new(streams.clone(), LIMIT);
        let (first, second) = (streams.open(), streams.open());
        tokio::spawn(async move {
            tokio::time::sleep(100 * LIMIT).await;
            drop(first);
            tokio::time::sleep(LIMIT / 2).await;
            drop(second);
        });
        let start = Instant::now();

        poll_fn(|cx| idle.poll(false, AGAIN, cx)).await;
        assert_eq!(start.elapsed(), 100 * LIMIT + LIMIT / 2 + LIMIT);

        poll_fn(|cx| idle.poll(false, AGAIN, cx)).await;
        assert_eq!(start.elapsed(), 100 * LIMIT + LIMIT / 2 + LIMIT + AGAIN);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_still_writing_is_not_idle() {
        let mut idle = IdleTimer::new(OpenStreams::new(), LIMIT);

        let polling = poll_fn(|cx| idle.poll(true, AGAIN, cx));
        assert!(tokio::time::timeout(10 * LIMIT, polling).await.is_err());
    }
}
