//! What both ends of a pipe look at.

use bytes::Bytes;
use std::{collections::VecDeque, task::Waker};

/// What is read at once: a slow reader of something large shall be seen to take it.
pub(super) const SLICE: usize = 256 * 1024;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PipeEnd {
    /// All was said.
    Complete,
    /// Something is missing, and the client shall know.
    CutOff,
    /// The reader takes nothing any more.
    GivenUp,
}

/// What waits to be read, how it ends, and who waits for what.
#[derive(Default)]
pub(super) struct State {
    pub(super) chunks: VecDeque<Bytes>,
    pub(super) bytes: usize,
    /// How often something was read.
    pub(super) taken: usize,
    pub(super) end: Option<PipeEnd>,
    pub(super) is_gone: bool,
    /// Waits for something to read.
    pub(super) reader: Option<Waker>,
    /// Waits for the reader to leave.
    pub(super) watcher: Option<Waker>,
    /// Serves the connection, and drops it if the reader is given up.
    pub(super) server: Option<Waker>,
}

impl State {
    /// What is to be read next.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > SLICE => Some(chunk.split_to(SLICE)),
            _ => self.chunks.pop_front(),
        }
    }
}
