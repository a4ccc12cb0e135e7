//! The times of presence.

use std::time::Duration;

/// How much longer a list lasts than it has to: its people have to be removed first.
const MARGIN: Duration = Duration::from_secs(5);

/// The times of presence.
#[derive(Clone, Copy)]
pub(in crate::channels::redis) struct Times {
    /// How long a process may be silent before its people are removed.
    pub(super) lease: Duration,
    /// How long people are kept without a connection.
    pub(super) grace: Duration,
    /// How long a list lasts that no process refreshes.
    pub(super) kept: Duration,
}

impl Times {
    pub(in crate::channels::redis) fn new(lease: Duration, grace: Duration) -> Self {
        Self {
            lease,
            grace,
            kept: lease
                .saturating_mul(2)
                .saturating_add(grace)
                .saturating_add(MARGIN),
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    // Exact in Lua, and more than the clock of Redis can represent.
    const LONGEST: u64 = 1 << 50;
    u64::try_from(duration.as_millis()).map_or(LONGEST, |millis| millis.min(LONGEST))
}
