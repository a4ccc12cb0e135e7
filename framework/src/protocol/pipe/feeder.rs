//! The end of a pipe that is fed.

use super::body::PipeBody;
use crate::{
    error::{Error, Result},
    waking::note,
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

#[derive(Default)]
pub(super) struct State {
    pub(super) chunks: VecDeque<Bytes>,
    pub(super) bytes: usize,
    /// How often something was read.
    pub(super) taken: usize,
    pub(super) end: Option<PipeEnd>,
    pub(super) is_gone: bool,
    pub(super) reader: Option<Waker>,
    pub(super) watcher: Option<Waker>,
}

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

/// The client takes nothing of its stream: what caused the error with which such a conversation ends. Whoever serves the
/// connection drops it.
#[derive(Debug)]
pub(crate) struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client takes nothing of its stream")
    }
}

impl std::error::Error for GivenUp {}

impl State {
    /// What is to be read next.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        match self.chunks.front_mut() {
            Some(chunk) if chunk.len() > SLICE => Some(chunk.split_to(SLICE)),
            _ => self.chunks.pop_front(),
        }
    }
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

    /// The end that is read. While nothing is said for as long as `idle` says, it says `idle`'s bytes.
    pub(crate) fn body(self: &Arc<Self>, idle: Option<(Duration, Bytes)>) -> PipeBody {
        PipeBody::new(self.clone(), idle)
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
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        let reader = state.reader.take();
        let mut watcher = None;
        if end == PipeEnd::GivenUp {
            state.chunks = VecDeque::new();
            watcher = state.watcher.take();
        }
        drop(state);
        wake(reader);
        wake(watcher);
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

    /// Whether the reader is there, and takes nothing.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state().end == Some(PipeEnd::GivenUp)
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

pub(super) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
