//! A signal that is set once, and cheap to poll.

use std::{
    future::{Future, poll_fn},
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
};

/// A signal that is set once; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Signal(Arc<State>);

#[derive(Default)]
struct State {
    is_set: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// The wakers of the tasks that wait.
#[derive(Default)]
struct Waiting {
    wakers: Vec<Option<Waker>>,
    /// The places in `wakers` that no receiver has.
    free: Vec<u32>,
}

impl Signal {
    /// Sets the signal, and wakes all tasks that wait for it.
    pub(crate) fn set(&self) {
        let wakers = {
            let mut waiting = self.0.waiting();
            self.0.is_set.store(true, Ordering::Release);
            mem::take(&mut waiting.wakers)
        };
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Completes once the signal is set.
    pub(crate) fn wait(&self) -> impl Future<Output = ()> + Send + 'static {
        self.watch().wait()
    }

    /// Returns whether the signal is set.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_set.load(Ordering::Acquire)
    }

    /// Returns a receiver of the signal for one task.
    pub(crate) fn watch(&self) -> SignalWatch {
        SignalWatch {
            signal: self.0.clone(),
            registered: None,
            place: None,
        }
    }
}

/// A receiver of a [`Signal`], which wakes the task that polled last.
pub(crate) struct SignalWatch {
    signal: Arc<State>,
    /// The waker that is registered with the signal. A connection polls this on every step, and
    /// registering again, which locks the signal, costs more than reading the flag.
    registered: Option<Waker>,
    /// Where it is registered.
    place: Option<u32>,
}

impl SignalWatch {
    /// Completes once the signal is set.
    pub(crate) fn wait(mut self) -> impl Future<Output = ()> + Send + 'static {
        poll_fn(move |cx| match self.poll(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
    }

    /// Returns whether the signal is set.
    pub(crate) fn is_set(&self) -> bool {
        self.signal.is_set.load(Ordering::Acquire)
    }

    /// Returns whether the signal is set; if not, the polling task is woken once it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_set() {
            return true;
        }
        let registered = self.registered.as_ref();
        if registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        let waker = cx.waker().clone();
        self.registered = Some(waker.clone());
        let mut waiting = self.signal.waiting();
        if self.signal.is_set.load(Ordering::Acquire) {
            return true;
        }
        let before = match self.place {
            Some(place) => waiting.wakers[place as usize].replace(waker),
            None => {
                self.place = Some(waiting.add(waker));
                None
            }
        };
        // Dropping a waker may run other code, so not under the lock.
        drop(waiting);
        drop(before);
        false
    }
}

impl State {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        let lock = self.waiting.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Waiting {
    fn add(&mut self, waker: Waker) -> u32 {
        if let Some(place) = self.free.pop() {
            self.wakers[place as usize] = Some(waker);
            return place;
        }
        let place = u32::try_from(self.wakers.len()).expect("no process has 4 billion tasks");
        self.wakers.push(Some(waker));
        place
    }

    fn remove(&mut self, place: u32) -> Option<Waker> {
        // None are left once the signal is set.
        let waker = self.wakers.get_mut(place as usize)?.take();
        self.free.push(place);
        if self.free.len() == self.wakers.len() {
            // Without a watch, the memory of the peak is released.
            *self = Self::default();
        }
        waker
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.signal.waiting().remove(place);
            // After the lock, as above.
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    async fn receivers_that_are_gone_leave_nothing_behind() {
        let signal = Signal::default();
        let mut kept = signal.watch();
        poll_fn(|cx| Poll::Ready(kept.poll(cx))).await;
        for _ in 0..3 {
            let mut gone = signal.watch();
            poll_fn(|cx| Poll::Ready(gone.poll(cx))).await;
        }
        assert_eq!(signal.0.waiting().wakers.len(), 2);

        drop(kept);

        assert_eq!(signal.0.waiting().wakers.capacity(), 0);
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
