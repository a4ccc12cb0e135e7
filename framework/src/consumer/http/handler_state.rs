//! The state that driver and handler share, since the handler borrows the context while it runs.

use super::super::address::ConsumerAddress;
use crate::{
    protocol::{PipeEnd, PipeSender},
    waker::{store_waker, wake},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub(super) struct HandlerState {
    pub(super) address: ConsumerAddress,
    /// The pipe of a streamed response, once its head is sent, and how the stream ends by default.
    pub(super) pipe: OnceLock<(Arc<PipeSender>, PipeEnd)>,
    /// Whether the handler waits for events, or streams: it may then run long, and its session and
    /// user are watched.
    is_long_running: AtomicBool,
    stop_notice: Mutex<StopNotice>,
}

/// The signal that the server stops.
#[derive(Default)]
struct StopNotice {
    is_given: bool,
    waiting: Option<Waker>,
}

impl HandlerState {
    pub(super) fn new(address: ConsumerAddress) -> Self {
        Self {
            address,
            pipe: OnceLock::new(),
            is_long_running: AtomicBool::new(false),
            stop_notice: Mutex::default(),
        }
    }

    pub(super) fn mark_long_running(&self) {
        self.is_long_running.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_long_running(&self) -> bool {
        self.is_long_running.load(Ordering::Relaxed)
    }

    /// Signals the handler to finish.
    pub(super) fn give_stop_notice(&self) {
        let mut stop_notice = self.stop_notice();
        stop_notice.is_given = true;
        let waiting = stop_notice.waiting.take();
        drop(stop_notice);
        wake(waiting);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_notice().is_given
    }

    pub(super) fn poll_stop_notice(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut stop_notice = self.stop_notice();
        if stop_notice.is_given {
            return Poll::Ready(());
        }
        store_waker(&mut stop_notice.waiting, cx);
        Poll::Pending
    }

    /// Ends the stream, if there is one that has not ended.
    pub(super) fn end_stream(&self) {
        if let Some((pipe, end)) = self.pipe.get() {
            pipe.end(*end);
        }
    }

    /// Returns whether the client of a stream has stalled.
    pub(super) fn has_stalled(&self) -> bool {
        let pipe = self.pipe.get();
        pipe.is_some_and(|(pipe, _)| pipe.has_stalled())
    }

    /// Returns whether the client of a stream has left or has stalled.
    pub(super) fn has_left(&self) -> bool {
        let pipe = self.pipe.get();
        pipe.is_some_and(|(pipe, _)| pipe.is_gone())
    }

    fn stop_notice(&self) -> MutexGuard<'_, StopNotice> {
        let lock = self.stop_notice.lock();
        lock.expect("no code panics while it holds this lock")
    }
}
