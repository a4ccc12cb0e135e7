//! How a conversation learns that the server stops.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};

/// Turns true once, when the server stops or a client closes its sending side, and wakes the task that asked last.
pub(crate) struct Stop {
    is_stopping: Arc<AtomicBool>,
    /// Resolves after `is_stopping` was set.
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Who is registered with the signal. A conversation asks at every turn, and registering again costs more than
    /// looking at the flag.
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

    /// Whether the server stops; if not, the asking task is woken once it does.
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
