//! A bounded pipe between the sender and the reader of a streamed body; each end detects when the
//! other is done.
//!
//! | file | contents |
//! | --- | --- |
//! | `mod.rs` | the state that both ends share |
//! | `sender.rs` | the end that sends |
//! | `body.rs` | the end that is read |

mod body;
mod sender;

pub(crate) use self::{body::PipeBody, sender::PipeSender};

use bytes::Bytes;
use std::{collections::VecDeque, task::Waker};

/// The largest piece of a single read, in bytes: so progress is detected while a slow reader reads
/// a large chunk.
const SLICE: usize = 256 * 1024;

/// The end of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PipeEnd {
    /// All chunks were sent.
    Complete,
    /// Something is missing, and the client must be able to detect it.
    Incomplete,
    /// The reader stalled.
    Stalled,
}

/// The queued chunks, the end of the body, and the wakers of all tasks that wait.
#[derive(Default)]
struct PipeState {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// Number of reads.
    taken: usize,
    end: Option<PipeEnd>,
    is_gone: bool,
    /// The task that waits for something to read.
    reader: Option<Waker>,
    /// The task that waits for the reader to be gone.
    closed: Option<Waker>,
    /// The task that waits for room.
    sender: Option<Waker>,
}

impl PipeState {
    /// Returns the next piece to read.
    fn next(&mut self) -> Option<Bytes> {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > SLICE => Some(chunk.split_to(SLICE)),
            _ => self.chunks.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests;
