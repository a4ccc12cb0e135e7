//! The end of a pipe that is fed.

use super::state::{PipeEnd, State};
use crate::{
    error::{Error, Result},
    waker::{note, wake},
};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{sync::Notify, time::timeout};

/// The end of a pipe that is fed.
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// Told when there is room again, and when nobody reads any more.
    pub(super) room: Notify,
    pub(super) limit: usize,
    /// How long a feeder waits for a reader that takes nothing.
    patience: Duration,
}

impl Pipe {
    /// At most `limit` bytes wait, or one chunk that is larger. A reader that takes nothing for as long as `patience` says,
    /// and twice that at most, is given up.
    pub(crate) fn new(limit: usize, patience: Duration) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            room: Notify::new(),
            limit: limit.max(1),
            patience,
        })
    }

    /// Feeds the body; waits while it holds as much as it may.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if nobody reads any more, the reader is given up, or the end is said.
    pub(crate) async fn send(&self, chunk: Bytes) -> Result<()> {
        let mut chunk = Some(chunk);
        loop {
            // Made before the look, so that no news between the two is missed.
            let room = self.room.notified();
            poll_fn(|cx| Poll::Ready(self.put(&mut chunk, cx.waker()))).await?;
            if chunk.is_none() {
                return Ok(());
            }
            let taken = self.state().taken;
            // Boxed, so that a handler's memory does not keep room for an alarm that hardly one needs.
            let waited = Box::pin(timeout(self.patience, room)).await;
            if waited.is_err() && self.state().taken == taken {
                self.end(PipeEnd::GivenUp);
            }
        }
    }

    /// Takes the chunk if there is room.
    fn put(&self, chunk: &mut Option<Bytes>, feeder: &Waker) -> Result<()> {
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
        // A reader in the feeder's own task reads on after it anyway. Woken, all of that task would run twice.
        let elsewhere = |reader: &mut Waker| !reader.will_wake(feeder);
        let reader = state.reader.take_if(elsewhere);
        drop(state);
        wake(reader);
        Ok(())
    }

    /// Says the end, unless it is said already. What was sent before is still read.
    pub(crate) fn end(&self, end: PipeEnd) {
        let mut state = self.state();
        // Who has left is not given up as well.
        if state.end.is_some() || (state.is_gone && end == PipeEnd::GivenUp) {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        let (mut watcher, mut server) = (None, None);
        if end == PipeEnd::GivenUp {
            state.chunks = VecDeque::new();
            watcher = state.watcher.take();
            server = state.server.take();
        }
        drop(state);
        wake(reader);
        wake(watcher);
        wake(server);
        self.room.notify_waiters();
    }

    /// Ready once nobody reads any more, though there was more to come.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        match state.end {
            Some(PipeEnd::GivenUp) => return Poll::Ready(()),
            Some(_) => return Poll::Pending,
            None if state.is_gone => return Poll::Ready(()),
            None => {}
        }
        note(&mut state.watcher, cx);
        Poll::Pending
    }

    /// Ready once the reader, which is there and takes nothing, is given up. For who serves the connection.
    pub(crate) fn poll_given_up(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.end == Some(PipeEnd::GivenUp) {
            return Poll::Ready(());
        }
        note(&mut state.server, cx);
        Poll::Pending
    }

    /// Whether the reader, which is there and takes nothing, is given up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state().end == Some(PipeEnd::GivenUp)
    }

    /// Whether there is more to come.
    pub(crate) fn is_open(&self) -> bool {
        self.state().end.is_none()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let lock = self.state.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}
