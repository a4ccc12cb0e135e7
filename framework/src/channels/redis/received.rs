//! The last events that this process received, as evidence of what Redis delivered before it ended.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{Mutex, MutexGuard},
};

/// The number of events that are recorded. If more than these were received after an event was
/// sent, nothing is known of it.
const REMEMBERED: usize = 1024;

/// The number of bytes at either end of an event that distinguish it from others.
const SAMPLE: usize = 128;

/// A record of the last events received, by a hash of channel and content.
#[derive(Default)]
pub(super) struct ReceivedLog {
    hasher: RandomState,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    /// The number of events received in total.
    count: u64,
    hashes: VecDeque<Option<u64>>,
}

impl Last {
    fn find_after(&mut self, count: u64, hash: u64) -> (Evidence, Option<&mut Option<u64>>) {
        let later = usize::try_from(self.count.wrapping_sub(count)).unwrap_or(usize::MAX);
        let known = self.hashes.len().min(later);
        let start = self.hashes.len() - known;
        let found = self
            .hashes
            .range_mut(start..)
            .find(|seen| **seen == Some(hash));
        let evidence = match found {
            Some(_) => Evidence::Received,
            None if later > known => Evidence::TooOld,
            None => Evidence::NotReceived,
        };
        (evidence, found)
    }
}

/// Whether an event was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Received,
    NotReceived,
    /// Too many events have been received since.
    TooOld,
}

impl ReceivedLog {
    /// Returns how many events were received so far.
    pub(super) fn count(&self) -> u64 {
        self.last().count
    }

    /// Records an event.
    pub(super) fn record(&self, channel: &[u8], payload: &[u8]) {
        let hash = self.hash(channel, payload);
        let mut last = self.last();
        last.count = last.count.wrapping_add(1);
        if last.hashes.len() == REMEMBERED {
            last.hashes.pop_front();
        }
        last.hashes.push_back(Some(hash));
    }

    /// Looks for an event among those received after the first `count`. A match counts for one
    /// sender only.
    pub(super) fn take_after(&self, count: u64, channel: &[u8], payload: &[u8]) -> Evidence {
        let hash = self.hash(channel, payload);
        let mut last = self.last();
        let (evidence, found) = last.find_after(count, hash);
        if let Some(seen) = found {
            *seen = None;
        }
        evidence
    }

    /// Looks for an event that no other one can equal among those received after the first `count`.
    pub(super) fn find_after(&self, count: u64, channel: &[u8], payload: &[u8]) -> Evidence {
        let hash = self.hash(channel, payload);
        self.last().find_after(count, hash).0
    }

    fn hash(&self, channel: &[u8], payload: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(channel);
        hasher.write_usize(payload.len());
        match payload.len() {
            length if length <= 2 * SAMPLE => hasher.write(payload),
            length => {
                hasher.write(&payload[..SAMPLE]);
                hasher.write(&payload[length - SAMPLE..]);
            }
        }
        hasher.finish()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last
            .lock()
            .expect("no code panics while it holds this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_evidence_for_one_sender_and_only_after_it_was_sent() {
        let received = ReceivedLog::default();
        received.record(b"room", b"hello");
        let sent = received.count();
        assert_eq!(
            received.take_after(sent, b"room", b"hello"),
            Evidence::NotReceived
        );

        received.record(b"room", b"hello");

        assert_eq!(
            received.take_after(sent, b"room", b"other"),
            Evidence::NotReceived
        );
        assert_eq!(
            received.take_after(sent, b"room", b"hello"),
            Evidence::Received
        );
        assert_eq!(
            received.take_after(sent, b"room", b"hello"),
            Evidence::NotReceived
        );
    }

    #[test]
    fn an_event_older_than_the_log_is_too_old() {
        let received = ReceivedLog::default();
        let sent = received.count();
        received.record(b"room", b"hello");
        for number in 0..REMEMBERED {
            received.record(b"room", number.to_string().as_bytes());
        }

        assert_eq!(
            received.take_after(sent, b"room", b"hello"),
            Evidence::TooOld
        );
    }
}
