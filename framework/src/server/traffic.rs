//! The state that the parts of one connection share: its byte stream and its service.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The state that the parts of one connection share. It is only used in the connection's task, so the atomics need no
/// ordering.
#[derive(Default)]
pub(super) struct Traffic {
    /// Number of requests that the service was called with.
    requests: AtomicUsize,
    /// Number of the request that has both `Content-Length` and `Transfer-Encoding`, from 1; 0 for none.
    ambiguous: AtomicUsize,
}

impl Traffic {
    /// Records that the service is called; returns whether the request has two lengths.
    pub(super) fn begin_request(&self) -> bool {
        let number = self.requests.load(Relaxed).wrapping_add(1);
        self.requests.store(number, Relaxed);
        self.ambiguous.load(Relaxed) == number
    }

    pub(super) fn note_ambiguous(&self, request: usize) {
        self.ambiguous.store(request, Relaxed);
    }
}
