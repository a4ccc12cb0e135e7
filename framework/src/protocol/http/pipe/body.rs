//! The reader of a pipe: a body.

use super::{PipeEnd, sender::PipeSender};
use crate::{
    error::{BoxError, Result},
    waker::{store_waker, wake},
};
use bytes::Bytes;
use http_body::Frame;
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// The reader of a [`PipeSender`], as a body.
pub(crate) struct PipeBody {
    pipe: Arc<PipeSender>,
    idle: Option<KeepAlive>,
}

impl PipeBody {
    /// Creates a body. If nothing is sent for the duration in `idle`, it yields the bytes in
    /// `idle`.
    pub(crate) fn new(pipe: Arc<PipeSender>, idle: Option<(Duration, Bytes)>) -> Self {
        let idle = idle.map(|(every, bytes)| KeepAlive {
            every,
            bytes,
            last_output: Instant::now(),
            alarm: None,
        });
        Self { pipe, idle }
    }
}

/// The keep-alive bytes of a silent body.
struct KeepAlive {
    every: Duration,
    bytes: Bytes,
    /// The time of the last output. The alarm is set again only when it fires too early: a busy
    /// stream never touches it.
    last_output: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl KeepAlive {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        loop {
            // The sum overflows (`Duration::MAX`): no alarm.
            let Some(due) = self.last_output.checked_add(self.every) else {
                return Poll::Pending;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            std::task::ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= due {
                self.last_output = Instant::now();
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
            // An idle stream must not keep the memory of its peak.
            if state.chunks.is_empty() && state.chunks.capacity() > 16 {
                state.chunks = VecDeque::new();
            }
            let sender = match was_full && has_room {
                true => state.sender.take(),
                false => None,
            };
            drop(state);
            if was_full && has_room {
                pipe.room.notify_waiters();
                wake(sender);
            }
            if let Some(idle) = idle {
                idle.last_output = Instant::now();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        match state.end {
            Some(PipeEnd::Complete) => return Poll::Ready(None),
            Some(PipeEnd::Incomplete | PipeEnd::Stalled) => {
                return Poll::Ready(Some(Err("the response was not finished".into())));
            }
            None => store_waker(&mut state.reader, cx),
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
        let watcher = state.closed.take();
        drop(state);
        wake(watcher);
        self.pipe.room.notify_waiters();
    }
}
