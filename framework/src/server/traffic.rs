//! The state that the parts of one connection share: its byte stream, hyper's timer, its service
//! and its timeouts.

use super::place::Place;
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

/// The state that the parts of one connection share. It is only used in the connection's task, apart
/// from `place`, so the atomics need no ordering; `has_broken_body` is set before the response that
/// depends on it.
#[derive(Default)]
pub(super) struct Traffic {
    /// Whether hyper waits for a request head.
    awaits_head: AtomicBool,
    /// Whether the connection has left HTTP.
    is_upgraded: AtomicBool,
    /// The place of a connection that has left HTTP: the stream has it, wherever that goes.
    place: Mutex<Option<Box<Place>>>,
    /// Number of requests that the service was called with.
    requests: AtomicUsize,
    /// Number of the request that has both `Content-Length` and `Transfer-Encoding`, from 1; 0 for
    /// none.
    ambiguous: AtomicUsize,
    /// Whether a request body is malformed, incomplete or overdue.
    has_broken_body: AtomicBool,
    /// Whether hyper waits for more bytes, so that the end of the stream wakes it.
    is_reading: AtomicBool,
    /// Number of reads that have completed, and of checks. Only compared for equality, so it may
    /// wrap.
    reads: AtomicUsize,
    /// Whether the stream is to check for its end without being read.
    needs_check: AtomicBool,
    /// Whether the client has closed its sending side while a request is served.
    is_half_closed: AtomicBool,
    /// Whether the last write or flush found the socket's send buffer full.
    is_blocked: AtomicBool,
    /// Number of bytes written. Only compared for equality, so it may wrap.
    written: AtomicUsize,
}

impl Traffic {
    pub(super) fn await_head(&self) {
        self.awaits_head.store(true, Relaxed);
    }

    /// Returns whether a request is being served.
    pub(super) fn is_serving(&self) -> bool {
        !self.awaits_head.load(Relaxed) && !self.is_upgraded.load(Relaxed)
    }

    /// Returns the number of requests before the one whose head hyper waits for, if it does.
    pub(super) fn awaited_head(&self) -> Option<usize> {
        self.awaits_head
            .load(Relaxed)
            .then(|| self.requests.load(Relaxed))
    }

    /// Records that the service is called; returns whether the request has two lengths.
    pub(super) fn begin_request(&self) -> bool {
        self.awaits_head.store(false, Relaxed);
        let number = self.requests.load(Relaxed).wrapping_add(1);
        self.requests.store(number, Relaxed);
        self.ambiguous.load(Relaxed) == number
    }

    /// Records that the connection was upgraded: it is no longer HTTP, and its stream has its place.
    pub(super) fn end_http(&self, place: Place) {
        self.is_upgraded.store(true, Relaxed);
        self.lock_place().get_or_insert_with(|| Box::new(place));
    }

    /// Returns the place of a connection that has left HTTP, once.
    pub(super) fn take_place(&self) -> Option<Place> {
        self.lock_place().take().map(|place| *place)
    }

    fn lock_place(&self) -> MutexGuard<'_, Option<Box<Place>>> {
        let lock = self.place.lock();
        lock.expect("no code panics while it holds this lock")
    }

    pub(super) fn record_ambiguous(&self, request: usize) {
        self.ambiguous.store(request, Relaxed);
    }

    pub(super) fn record_broken_body(&self) {
        self.has_broken_body.store(true, Relaxed);
    }

    /// Returns whether the end of a request is unknown, so that no other one can follow.
    pub(super) fn has_broken_body(&self) -> bool {
        self.has_broken_body.load(Relaxed)
    }

    /// Records that hyper is polled: it reads again, or no longer waits for bytes.
    pub(super) fn begin_poll(&self) {
        self.is_reading.store(false, Relaxed);
    }

    pub(super) fn record_read(&self, is_pending: bool) {
        self.is_reading.store(is_pending, Relaxed);
        if !is_pending {
            self.count_read();
        }
    }

    fn count_read(&self) {
        let reads = self.reads.load(Relaxed).wrapping_add(1);
        self.reads.store(reads, Relaxed);
    }

    /// Returns the number of reads and checks, if a request is served and hyper does not read: it
    /// still has bytes that the client sent after the request, or nobody reads the request's body.
    pub(super) fn unread(&self) -> Option<usize> {
        let is_unread = self.is_serving() && !self.is_reading.load(Relaxed);
        is_unread.then(|| self.reads.load(Relaxed))
    }

    /// Demands a check for the end of the stream.
    pub(super) fn demand_check(&self) {
        self.needs_check.store(true, Relaxed);
        self.count_read();
    }

    /// Returns whether a check is demanded, once.
    pub(super) fn takes_check(&self) -> bool {
        let is_demanded = self.needs_check.load(Relaxed);
        if is_demanded {
            self.needs_check.store(false, Relaxed);
        }
        is_demanded
    }

    pub(super) fn record_half_close(&self) {
        self.is_half_closed.store(true, Relaxed);
    }

    pub(super) fn record_blocked(&self) {
        self.is_blocked.store(true, Relaxed);
    }

    pub(super) fn record_written(&self, bytes: usize) {
        self.is_blocked.store(false, Relaxed);
        let written = self.written.load(Relaxed).wrapping_add(bytes);
        self.written.store(written, Relaxed);
    }

    /// Records a flush. hyper flushes only once it has written everything.
    pub(super) fn record_flush(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Relaxed);
    }

    /// Returns the number of bytes written, if some are waiting and the socket's send buffer is
    /// full.
    pub(super) fn blocked(&self) -> Option<usize> {
        self.is_blocked
            .load(Relaxed)
            .then(|| self.written.load(Relaxed))
    }

    /// Returns the number of bytes written, if the client has closed its sending side.
    pub(super) fn half_closed(&self) -> Option<usize> {
        self.is_half_closed
            .load(Relaxed)
            .then(|| self.written.load(Relaxed))
    }
}
