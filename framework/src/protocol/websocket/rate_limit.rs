//! The limit on how fast a client may send: frames and bytes per second, without a clock.

use std::time::Duration;
use tokio::time::Instant;

/// A limit on how fast a client may send; see [`rate_limit`](super::WebSocketConfig::rate_limit).
///
/// ```
/// use seaway::protocol::{RateLimit, WebSocketConfig};
/// use std::time::Duration;
///
/// let limit = RateLimit::frames(20).bytes(64 * 1024).burst(Duration::from_secs(5)).close();
/// let config = WebSocketConfig::new().rate_limit(limit);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// The time that one frame uses up.
    per_frame: Duration,
    bytes_per_second: u64,
    burst: Duration,
    closes: bool,
}

impl RateLimit {
    /// Creates a limit of frames per second; each fragment, ping and pong counts as one.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn frames(per_second: u32) -> Self {
        assert!(
            per_second > 0,
            "a client has to be able to send: use a rate above zero"
        );
        Self {
            per_frame: Duration::from_secs(1) / per_second,
            bytes_per_second: u64::MAX,
            burst: Duration::from_secs(2),
            closes: false,
        }
    }

    /// Sets how many bytes a client may send per second, headers of frames included (default:
    /// unlimited).
    ///
    /// # Panics
    /// If it is zero.
    #[must_use]
    #[track_caller]
    pub fn bytes(mut self, per_second: u64) -> Self {
        assert!(
            per_second > 0,
            "a client has to be able to send: use a rate above zero"
        );
        self.bytes_per_second = per_second;
        self
    }

    /// Sets how many seconds' worth of frames and bytes a client may send at once after it was
    /// silent (default: 2 s).
    #[must_use]
    pub fn burst(mut self, burst: Duration) -> Self {
        self.burst = burst;
        self
    }

    /// Closes the connection of a client that sends faster, with 1008, instead of reading from it
    /// more slowly.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.closes = true;
        self
    }

    pub(crate) fn closes(self) -> bool {
        self.closes
    }
}

/// How much of its rate a client has used.
#[derive(Debug)]
pub(crate) struct Rate {
    limit: RateLimit,
    /// When the frames, and the bytes, received so far are used up at the limit's rate.
    frames_until: Instant,
    bytes_until: Instant,
}

impl Rate {
    pub(crate) fn new(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            frames_until: now,
            bytes_until: now,
        }
    }

    /// Records what was received; returns how long the client has to wait, if it sends too fast.
    pub(crate) fn record(&mut self, frames: u32, bytes: usize, now: Instant) -> Option<Duration> {
        let frames = self.limit.per_frame.saturating_mul(frames);
        let nanoseconds =
            u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.limit.bytes_per_second);
        let bytes = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let used = |until: &mut Instant, cost: Duration| {
            // A sum that overflows is far beyond any burst.
            *until = (*until).max(now).checked_add(cost).unwrap_or(*until);
            until.duration_since(now).checked_sub(self.limit.burst)
        };
        let waits = [
            used(&mut self.frames_until, frames),
            used(&mut self.bytes_until, bytes),
        ];
        waits
            .into_iter()
            .flatten()
            .filter(|wait| !wait.is_zero())
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(RateLimit::frames(10).burst(2 * SECOND), start);

        for _ in 0..20 {
            assert_eq!(rate.record(1, 0, start), None);
        }
        assert_eq!(rate.record(1, 0, start), Some(SECOND / 10));
        assert_eq!(rate.record(1, 0, start + SECOND / 5), None);
        assert_eq!(rate.record(5, 0, start + SECOND / 5), Some(SECOND / 2));
        // After a long silence it is one burst, not more.
        assert_eq!(rate.record(21, 0, start + 100 * SECOND), Some(SECOND / 10));
    }

    #[test]
    fn bytes_have_a_limit_of_their_own() {
        let start = Instant::now();
        let limit = RateLimit::frames(1000).bytes(1000).burst(SECOND);
        let mut rate = Rate::new(limit, start);

        assert_eq!(rate.record(1, 1000, start), None);
        assert_eq!(rate.record(1, 500, start), Some(SECOND / 2));
        assert!(rate.record(u32::MAX, usize::MAX, start).is_some());
    }
}
