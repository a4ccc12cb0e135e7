//! The state that both ends of a pipe share.

use bytes::Bytes;
use std::{collections::VecDeque, task::Waker};

/// The largest piece of a single read, in bytes: so progress is detected while a slow reader reads
/// a large chunk.
pub(super) const SLICE: usize = 256 * 1024;

/// The end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PipeEnd {
    /// All chunks were sent.
    Complete,
    /// Something is missing, and the client must be able to detect it.
    CutOff,
    /// The reader stalled.
    GivenUp,
}

/// The queued chunks, the end of the body, and the wakers of all tasks that wait.
#[derive(Default)]
pub(super) struct State {
    pub(super) chunks: VecDeque<Bytes>,
    pub(super) bytes: usize,
    /// Number of reads.
    pub(super) taken: usize,
    pub(super) end: Option<PipeEnd>,
    pub(super) is_gone: bool,
    /// The task that waits for something to read.
    pub(super) reader: Option<Waker>,
    /// The task that waits for the reader to be gone.
    pub(super) watcher: Option<Waker>,
    /// The task that serves the connection, and drops it if the reader stalls.
    pub(super) server: Option<Waker>,
}

impl State {
    /// Returns the next piece to read.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > SLICE => Some(chunk.split_to(SLICE)),
            _ => self.chunks.pop_front(),
        }
    }
}
