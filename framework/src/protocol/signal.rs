//! A signal that is set once, and cheap to poll.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Waker},
};
use tokio_util::sync::CancellationToken;

/// A signal that is set once; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Signal {
    is_set: Arc<AtomicBool>,
    token: CancellationToken,
}

impl Signal {
    /// Sets the signal, and wakes all tasks that wait for it.
    pub(crate) fn set(&self) {
        self.is_set.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Completes once the signal is set.
    pub(crate) fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        self.token.clone().cancelled_owned()
    }

    /// Returns a receiver of the signal for one task.
    pub(crate) fn watch(&self) -> SignalWatch {
        SignalWatch {
            is_set: self.is_set.clone(),
            signal: Box::pin(self.wait()),
            registered: None,
        }
    }
}

/// A receiver of a [`Signal`], which wakes the task that polled last.
pub(crate) struct SignalWatch {
    is_set: Arc<AtomicBool>,
    /// Completes after `is_set` was set.
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// The waker that is registered with the signal. A connection polls this on every step, and
    /// registering again, which locks the token, costs more than reading the flag.
    registered: Option<Waker>,
}

impl SignalWatch {
    /// Returns whether the signal is set; if not, the polling task is woken once it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_set.load(Ordering::Acquire) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Poll};

    #[tokio::test]
    async fn receivers_made_before_and_after_the_signal_see_it() {
        let signal = Signal::default();
        let mut before = signal.watch();
        let is_set = poll_fn(|cx| Poll::Ready(before.poll(cx))).await;
        assert!(!is_set);

        signal.set();

        let mut after = signal.watch();
        let are_set = poll_fn(|cx| Poll::Ready((before.poll(cx), after.poll(cx)))).await;
        assert_eq!(are_set, (true, true));
    }

    #[tokio::test]
    async fn a_waiting_task_is_woken() {
        let signal = Signal::default();
        let mut watch = signal.watch();
        let waiting = tokio::spawn(poll_fn(move |cx| match watch.poll(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }));
        tokio::task::yield_now().await;

        signal.set();

        waiting.await.unwrap();
    }
}
