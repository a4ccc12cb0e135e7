//! A subscriber that records log lines for tests.

use crate::support::Recorder;
use std::cell::Cell;
use tracing::subscriber::DefaultGuard;

/// The lines that this thread logs while the test holds it.
pub(crate) struct Log {
    lines: Recorder,
    _listening: DefaultGuard,
}

impl Log {
    pub(crate) fn listen() -> Self {
        let lines = Recorder::default();
        let _listening = tracing::subscriber::set_default(Subscriber(lines.clone()));
        Self { lines, _listening }
    }

    /// Records the lines of the threads that this runtime starts, too.
    pub(crate) fn listen_on_threads(&self, runtime: &mut tokio::runtime::Builder) {
        thread_local! {
            static LISTENING: Cell<Option<DefaultGuard>> = const { Cell::new(None) };
        }
        let lines = self.lines.clone();
        runtime.on_thread_start(move || {
            let listening = tracing::subscriber::set_default(Subscriber(lines.clone()));
            LISTENING.set(Some(listening));
        });
    }

    /// Forgets all lines so far.
    pub(crate) fn clear(&self) {
        self.lines.clear();
    }

    /// Returns the lines that require an operator's action.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut lines = self.lines.entries();
        lines.retain(|line| line.starts_with("WARN") || line.starts_with("ERROR"));
        lines
    }

    /// Returns the lines with this text, at any level: lines over a rate limit have the level
    /// `debug`.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let mut lines = self.lines.entries();
        lines.retain(|line| line.contains(text));
        lines
    }

    /// Returns the one line with this text, at any level.
    pub(crate) fn line(&self, text: &str) -> String {
        let mut found = self.lines(text);
        assert_eq!(
            found.len(),
            1,
            "one line with {text} in {:?}",
            self.lines.entries()
        );
        found.remove(0)
    }
}

struct Subscriber(Recorder);

impl tracing::Subscriber for Subscriber {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(
            &mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                line.push_str(&format!(" {field}={value:?}"));
            },
        );
        self.0.record(line);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
