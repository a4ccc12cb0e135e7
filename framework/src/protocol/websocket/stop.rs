//! A signal that the server stops, or that a client has closed its sending side.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

/// A signal that is set once, when the server stops or a client closes its sending side, and wakes
/// the task that polled last.
pub(crate) struct Stop {
    is_stopping: Arc<AtomicBool>,
    /// Completes after `is_stopping` was set.
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The waker that is registered with the signal. A driver polls this on every turn, and
    /// registering again costs more than reading the flag.
    registered: Option<Waker>,
}

impl Stop {
    pub(crate) fn new(
        is_stopping: Arc<AtomicBool>,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        Self {
            is_stopping,
            signal: Box::pin(signal),
            registered: None,
        }
    }

    /// Returns whether the signal is set; if not, the polling task is woken once it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_stopping.load(Ordering::Acquire) {
            return true;
        }
        let registered = self.registered.as_ref();
        if registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        self.registered = Some(cx.waker().clone());
        self.signal.as_mut().poll(cx).is_ready()
    }
}
