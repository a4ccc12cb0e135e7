//! The end of a pipe that sends the body.

use super::{PipeEnd, PipeState};
use crate::{
    error::{Error, Result},
    waker::{store_waker, wake},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The end of a pipe that sends the body.
pub(crate) struct PipeSender {
    state: Mutex<PipeState>,
    /// Notified when there is room again, and when the reader is gone.
    pub(super) room: Notify,
    pub(super) limit: usize,
    /// How long `send` waits for a reader that reads nothing.
    stall_timeout: Duration,
}

impl PipeSender {
    /// Creates a pipe that holds `limit` bytes; the chunk that exceeds them is still accepted
    /// whole. A reader that reads nothing while `send` waits has stalled after `stall_timeout`;
    /// detection takes between one and two times this value.
    pub(crate) fn new(limit: usize, stall_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            room: Notify::new(),
            limit: limit.max(1),
            stall_timeout,
        })
    }

    /// Queues a chunk of the body; waits while the pipe is full.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the reader is gone or has stalled, or the
    /// body has ended.
    pub(crate) async fn send(&self, chunk: Bytes) -> Result<()> {
        let mut chunk = Some(chunk);
        loop {
            // Created before the check, so that no notification between the two is missed.
            let room = self.room.notified();
            self.put(&mut chunk)?;
            if chunk.is_none() {
                return Ok(());
            }
            let taken = self.state().taken;
            // Boxed, so that a handler's future does not reserve memory for a timer that is rarely
            // needed.
            let waited = Box::pin(timeout(self.stall_timeout, room)).await;
            if waited.is_err() && self.state().taken == taken {
                self.end(PipeEnd::Stalled);
            }
        }
    }

    /// Queues a small chunk at once, also if the pipe is full; ignores it if the body has ended.
    pub(crate) fn push(&self, chunk: Bytes) {
        let mut state = self.state();
        if state.is_gone || state.end.is_some() {
            return;
        }
        state.bytes += chunk.len();
        state.chunks.push_back(chunk);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    /// Completes once there is room; also if nothing can be sent any more.
    pub(crate) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.bytes < self.limit || state.is_gone || state.end.is_some() {
            return Poll::Ready(());
        }
        store_waker(&mut state.sender, cx);
        Poll::Pending
    }

    /// Queues the chunk if there is room.
    fn put(&self, chunk: &mut Option<Bytes>) -> Result<()> {
        let mut state = self.state();
        if state.is_gone || state.end.is_some() {
            return Err(Error::closed());
        }
        if state.bytes >= self.limit {
            return Ok(());
        }
        // An empty chunk would end a chunked body.
        if let Some(chunk) = chunk.take().filter(|chunk| !chunk.is_empty()) {
            state.bytes += chunk.len();
            state.chunks.push_back(chunk);
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Ends the body, unless it has ended already. Chunks that were sent before are still read.
    pub(crate) fn end(&self, end: PipeEnd) {
        let mut state = self.state();
        // A reader that is gone has not stalled.
        if state.end.is_some() || (state.is_gone && end == PipeEnd::Stalled) {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        let mut watcher = None;
        if end == PipeEnd::Stalled {
            state.chunks = VecDeque::new();
            watcher = state.closed.take();
        }
        drop(state);
        wake(reader);
        wake(watcher);
        self.room.notify_waiters();
    }

    /// Completes once the reader is gone or has stalled before the body ended.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match state.end {
            Some(PipeEnd::Stalled) => return Poll::Ready(()),
            Some(_) => return Poll::Pending,
            None if state.is_gone => return Poll::Ready(()),
            None => {}
        }
        store_waker(&mut state.closed, cx);
        Poll::Pending
    }

    /// Returns whether the reader is gone or has stalled.
    pub(crate) fn is_gone(&self) -> bool {
        let state = self.state();
        state.is_gone || state.end == Some(PipeEnd::Stalled)
    }

    /// Returns whether the reader, which is not gone, has stalled.
    pub(crate) fn has_stalled(&self) -> bool {
        self.state().end == Some(PipeEnd::Stalled)
    }

    /// Returns whether the body has not ended yet.
    pub(crate) fn is_open(&self) -> bool {
        self.state().end.is_none()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, PipeState> {
        let lock = self.state.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl fmt::Debug for PipeSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeSender").finish_non_exhaustive()
    }
}
