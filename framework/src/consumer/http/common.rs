//! What driver and handler both look at: while a handler runs, the context is its own.

use super::super::address::Address;
use crate::{
    protocol::{Pipe, PipeEnd},
    waker::{note, wake},
};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

pub(super) struct Common {
    pub(super) address: Address,
    /// What streams the answer, once its head is out, and how that ends if nobody says how.
    pub(super) pipe: OnceLock<(Arc<Pipe>, PipeEnd)>,
    /// Whether the handler waits for events, or streams: then it may be long, and is watched over.
    is_long: AtomicBool,
    last_call: Mutex<LastCall>,
}

/// The word that the server stops.
#[derive(Default)]
struct LastCall {
    is_made: bool,
    waiting: Option<Waker>,
}

impl Common {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            pipe: OnceLock::new(),
            is_long: AtomicBool::new(false),
            last_call: Mutex::default(),
        }
    }

    pub(super) fn note_long(&self) {
        self.is_long.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    /// Tells the handler to come to an end.
    pub(super) fn make_last_call(&self) {
        let mut last_call = self.last_call();
        last_call.is_made = true;
        let waiting = last_call.waiting.take();
        drop(last_call);
        wake(waiting);
    }

    pub(super) fn is_last_call_made(&self) -> bool {
        self.last_call().is_made
    }

    pub(super) fn poll_last_call(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut last_call = self.last_call();
        if last_call.is_made {
            return Poll::Ready(());
        }
        note(&mut last_call.waiting, cx);
        Poll::Pending
    }

    /// Ends the stream, if there is one that has not said its end.
    pub(super) fn end_stream(&self) {
        if let Some((pipe, end)) = self.pipe.get() {
            pipe.end(*end);
        }
    }

    /// Whether a stream waits no longer for its client.
    pub(super) fn is_given_up(&self) -> bool {
        let pipe = self.pipe.get();
        pipe.is_some_and(|(pipe, _)| pipe.is_given_up())
    }

    fn last_call(&self) -> MutexGuard<'_, LastCall> {
        let lock = self.last_call.lock();
        lock.expect("no code panics while it holds this lock")
    }
}
