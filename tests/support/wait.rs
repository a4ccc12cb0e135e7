//! Waiting for a condition: by polling with a deadline, never by sleeping blindly.

use std::time::{Duration, Instant};

/// The timeout of a condition: long enough for a slow machine, finite for a hang.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The interval of polling.
pub const POLL: Duration = Duration::from_millis(10);

/// Waits until `condition` returns a value.
///
/// # Panics
/// If `deadline` passes first; the message includes `what`.
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
