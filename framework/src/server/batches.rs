//! The batches in which connections close when the server stops, so that their clients do not all
//! reconnect at once.

use crate::protocol::{Signal, SignalWatch};
use std::{iter, time::Duration};
use tokio::time::sleep;

/// The connections of a server, in batches of about the same size.
pub(super) struct Batches {
    signals: Box<[Signal]>,
    /// The time between two batches.
    pause: Duration,
}

/// The shortest time between two batches.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// The largest number of batches.
const MOST: u16 = 600;

impl Batches {
    /// Returns batches that close over this time; zero makes one batch.
    pub(super) fn over(time: Duration) -> Self {
        let count = time.as_nanos() / SHORTEST_PAUSE.as_nanos();
        let count = u16::try_from(count).unwrap_or(MOST).clamp(1, MOST);
        Self {
            signals: iter::repeat_with(Signal::default)
                .take(usize::from(count))
                .collect(),
            pause: time / u32::from(count),
        }
    }

    /// Returns a random batch for a new connection.
    ///
    /// In turn would be no better: if each client requests a few pages before it opens a WebSocket,
    /// all WebSockets could be in one batch.
    pub(super) fn assign(&self) -> u16 {
        fastrand::u16(..self.signals.len() as u16)
    }

    /// Returns a signal that is set when this batch is to close.
    pub(super) fn watch(&self, batch: u16) -> SignalWatch {
        self.signals[usize::from(batch)].watch()
    }

    /// Closes one batch after the other, the first at once.
    ///
    /// # Cancel safety
    /// Safe: the batches that were not closed remain open.
    pub(super) async fn close(&self) {
        for (index, signal) in self.signals.iter().enumerate() {
            if index > 0 {
                sleep(self.pause).await;
            }
            signal.set();
        }
    }

    /// Closes all that have not been closed yet.
    pub(super) fn close_at_once(&self) {
        self.signals.iter().for_each(Signal::set);
    }
}
