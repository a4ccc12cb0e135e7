//! Waiting for a condition: polled, with a deadline, never a blind sleep.

use std::time::{Duration, Instant};

/// How long a test waits for what should happen at once; a slow machine gets room, a hang still ends.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` gives a value.
///
/// # Panics
/// When `deadline` passes first; the message names `what` was missing.
pub async fn until<T>(
    what: &str,
    deadline: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(
            start.elapsed() < deadline,
            "{what}: not within {deadline:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}
