//! A body that is fed while it is read: bounded, and each end learns when the other is done.

use crate::{
    error::{BoxError, Error, Result},
    waking::note,
};
use bytes::Bytes;
use http_body::Frame;
use std::{
    collections::VecDeque,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, Sleep, sleep_until, timeout},
};

/// The end of a pipe that is fed.
pub(crate) struct Pipe {
    state: Mutex<State>,
    /// Told when there is room again, and when nobody reads any more.
    room: Notify,
    limit: usize,
    /// How long a feeder waits for a reader that takes nothing.
    patience: Duration,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    /// How often something was read.
    taken: usize,
    end: Option<PipeEnd>,
    is_gone: bool,
    reader: Option<Waker>,
    watcher: Option<Waker>,
}

/// What is read at once: a slow reader of something large shall be seen to take it.
const SLICE: usize = 256 * 1024;

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
    fn next(&mut self) -> Option<Bytes> {
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
        PipeBody {
            pipe: self.clone(),
            idle: idle.map(|(every, bytes)| Idle {
                every,
                bytes,
                spoke: Instant::now(),
                alarm: None,
            }),
        }
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

    fn state(&self) -> MutexGuard<'_, State> {
        let lock = self.state.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

/// The end of a [`Pipe`] that is read.
pub(crate) struct PipeBody {
    pipe: Arc<Pipe>,
    idle: Option<Idle>,
}

/// What is said when nothing is.
struct Idle {
    every: Duration,
    bytes: Bytes,
    /// When something was said last. The alarm is set anew only when it rings too early: a busy stream never touches it.
    spoke: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Idle {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            // A period without an end needs no alarm.
            let Some(due) = self.spoke.checked_add(self.every) else {
                return Poll::Pending;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            std::task::ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= due {
                self.spoke = Instant::now();
                return Poll::Ready(self.bytes.clone());
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl http_body::Body for PipeBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Self { pipe, idle } = &mut *self;
        let mut state = pipe.state();
        if let Some(chunk) = state.next() {
            let was_full = state.bytes >= pipe.limit;
            state.bytes -= chunk.len();
            state.taken = state.taken.wrapping_add(1);
            let has_room = state.bytes < pipe.limit;
            // An idle stream shall not keep the memory of its busiest moment.
            if state.chunks.is_empty() && state.chunks.capacity() > 16 {
                state.chunks = VecDeque::new();
            }
            drop(state);
            if was_full && has_room {
                pipe.room.notify_waiters();
            }
            if let Some(idle) = idle {
                idle.spoke = Instant::now();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(PipeEnd::Complete) => return Poll::Ready(None),
            Some(PipeEnd::CutOff | PipeEnd::GivenUp) => {
                return Poll::Ready(Some(Err("the answer was not finished".into())));
            }
            None => note(&mut state.reader, cx),
        }
        drop(state);
        match idle {
            Some(idle) => idle.poll(cx).map(|bytes| Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        let state = self.pipe.state();
        state.chunks.is_empty() && state.end == Some(PipeEnd::Complete)
    }
}

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.pipe.state();
        state.is_gone = true;
        state.chunks = VecDeque::new();
        let watcher = state.watcher.take();
        drop(state);
        wake(watcher);
        self.pipe.room.notify_waiters();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn next(body: &mut PipeBody) -> Option<Bytes> {
        let frame = body.frame().await?;
        frame.unwrap().into_data().ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_pipe_makes_its_feeder_wait_until_something_is_read() {
        let pipe = Pipe::new(10, PATIENCE);
        let mut body = pipe.body(None);

        // The chunk that passes the bound is still taken whole.
        pipe.send("123456".into()).await.unwrap();
        pipe.send("7890123".into()).await.unwrap();
        let full = tokio::time::timeout(Duration::from_secs(1), pipe.send("4".into())).await;
        assert!(full.is_err(), "it waits");

        assert_eq!(next(&mut body).await.unwrap(), "123456");
        pipe.send("4".into()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
        let pipe = Pipe::new(1, PATIENCE);
        let mut body = pipe.body(None);
        pipe.send("full".into()).await.unwrap();
        let feeder = pipe.clone();
        let feeding = tokio::spawn(async move {
            for _ in 0..3 {
                feeder.send("more".into()).await?;
            }
            Ok::<_, Error>(())
        });

        for _ in 0..3 {
            tokio::time::sleep(PATIENCE * 9 / 10).await;
            next(&mut body).await.unwrap();
        }
        feeding.await.unwrap().unwrap();

        assert!(pipe.send("in vain".into()).await.unwrap_err().is_closed());
        poll_fn(|cx| pipe.poll_gone(cx)).await;
        assert!(body.frame().await.unwrap().is_err(), "it looks cut off");
    }

    #[tokio::test]
    async fn one_who_waits_for_room_is_told_that_nobody_reads_any_more() {
        let pipe = Pipe::new(1, PATIENCE);
        let body = pipe.body(None);
        pipe.send("full".into()).await.unwrap();
        let feeder = pipe.clone();
        let waiting = tokio::spawn(async move { feeder.send("more".into()).await });
        tokio::task::yield_now().await;

        drop(body);

        assert!(waiting.await.unwrap().unwrap_err().is_closed());
        assert!(pipe.send("more".into()).await.unwrap_err().is_closed());
    }

    #[tokio::test]
    async fn what_is_large_is_read_in_slices() {
        let pipe = Pipe::new(1, PATIENCE);
        let mut body = pipe.body(None);

        pipe.send(vec![b'x'; SLICE + 1].into()).await.unwrap();

        assert_eq!(next(&mut body).await.unwrap().len(), SLICE);
        assert_eq!(next(&mut body).await.unwrap(), "x");
        pipe.send("more".into()).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_cut_off_looks_cut_off() {
        for (end, is_error) in [(PipeEnd::Complete, false), (PipeEnd::CutOff, true)] {
            let pipe = Pipe::new(10, PATIENCE);
            let mut body = pipe.body(None);
            pipe.send("a part".into()).await.unwrap();

            pipe.end(end);

            assert_eq!(next(&mut body).await.unwrap(), "a part");
            assert_eq!(body.frame().await.is_some(), is_error, "{end:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_pipe_says_that_it_is_there_and_a_busy_one_does_not() {
        let second = Duration::from_secs(1);
        let pipe = Pipe::new(10, PATIENCE);
        let mut body = pipe.body(Some((15 * second, Bytes::from_static(b":"))));
        let began = Instant::now();

        assert_eq!(next(&mut body).await.unwrap(), ":");
        assert_eq!(began.elapsed(), 15 * second);
        let feeder = pipe.clone();
        tokio::spawn(async move {
            tokio::time::sleep(10 * second).await;
            feeder.send("word".into()).await
        });
        assert_eq!(next(&mut body).await.unwrap(), "word");
        assert_eq!(next(&mut body).await.unwrap(), ":");
        assert_eq!(began.elapsed(), (15 + 10 + 15) * second);
    }
}
