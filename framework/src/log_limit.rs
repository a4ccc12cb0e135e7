//! A rate limit for log lines that a client can cause.

use std::{
    mem,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The number of lines that may be written per [`WINDOW`].
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// The rate limit of one kind of log line: 10 per minute. The next line after that reports how many
/// were suppressed.
#[derive(Debug)]
pub(crate) struct LogLimit(Mutex<LogWindow>);

#[derive(Debug)]
struct LogWindow {
    began: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(LogWindow {
            began: None,
            written: 0,
            suppressed: 0,
        }))
    }

    /// Returns `Some` if a line may be written, with the number of lines suppressed before it, if
    /// any.
    pub(crate) fn admit(&self) -> Option<Option<u64>> {
        let window = self.0.lock();
        let mut window = window.expect("no code panics while it holds this lock");
        let suppressed = window.admit(Instant::now())?;
        Some(Some(suppressed).filter(|count| *count > 0))
    }
}

impl LogWindow {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_over = |began| now.duration_since(began) >= WINDOW;
        if self.began.is_none_or(is_over) {
            self.began = Some(now);
            self.written = 0;
        }
        if self.written == LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(mem::take(&mut self.suppressed))
    }
}

/// Writes a log line of this level, at most 10 per minute and call site; further ones have the
/// level `debug`.
macro_rules! log_limited {
    ($level:ident, $($line:tt)+) => {{
        static LIMIT: $crate::log_limit::LogLimit = $crate::log_limit::LogLimit::new();
        match LIMIT.admit() {
            Some(suppressed) => tracing::$level!(suppressed, $($line)+),
            None => tracing::debug!($($line)+),
        }
    }};
}
pub(crate) use log_limited;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_ten_lines_a_minute_and_the_next_line_counts_the_others() {
        let LogLimit(limit) = LogLimit::new();
        let mut limit = limit.into_inner().unwrap();
        let start = Instant::now();
        let admitted = |limit: &mut LogWindow, second| {
            let lines = (0..1000).filter_map(|_| limit.admit(start + Duration::from_secs(second)));
            lines.collect::<Vec<_>>()
        };

        assert_eq!(admitted(&mut limit, 0), [0; 10]);
        assert_eq!(admitted(&mut limit, 59), [0; 0]);
        let mut next = [0; 10];
        next[0] = 990 + 1000;
        assert_eq!(admitted(&mut limit, 60), next);
        assert_eq!(limit.admit(start + Duration::from_secs(200)), Some(990));
    }
}
