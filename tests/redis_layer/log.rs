//! The log of the layer, on the thread of the test.

use std::{
    io,
    sync::{Arc, Mutex},
};
use tracing_subscriber::util::SubscriberInitExt;

/// The log so far.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Records the log for as long as the guard exists.
    pub(crate) fn listen() -> (Self, impl Sized) {
        let log = Self::default();
        let lines = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || lines.clone());
        (log, subscriber.with_ansi(false).finish().set_default())
    }

    /// Returns the lines that contain this text.
    pub(crate) fn lines(&self, text: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
