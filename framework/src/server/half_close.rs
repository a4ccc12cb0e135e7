//! The signal that the client of a connection has closed its sending side (TCP FIN).

use crate::protocol::Stop;
use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, Ordering},
};
use tokio_util::sync::CancellationToken;

/// Whether the client of one connection has closed its sending side. The signal is allocated when
/// the first consumer requests it: few connections need one.
#[derive(Default)]
pub(super) struct HalfClose(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Open,
    Awaited(Signal),
    Closed,
}

#[derive(Clone, Default)]
struct Signal {
    is_given: Arc<AtomicBool>,
    token: CancellationToken,
}

impl HalfClose {
    /// Records the half-close, and notifies all tasks that wait for it.
    pub(super) fn note(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Closed);
        if let State::Awaited(signal) = before {
            signal.give();
        }
    }

    /// Returns a signal that is set when the client closes its sending side, or at once if it has.
    pub(super) fn signal(&self) -> Stop {
        let mut state = self.state();
        let signal = match &*state {
            State::Awaited(signal) => signal.clone(),
            State::Open => {
                let signal = Signal::default();
                *state = State::Awaited(signal.clone());
                signal
            }
            State::Closed => {
                let signal = Signal::default();
                signal.give();
                signal
            }
        };
        Stop::new(signal.is_given, signal.token.cancelled_owned())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let lock = self.0.lock();
        lock.expect("no code panics while it holds this lock")
    }
}

impl Signal {
    fn give(&self) {
        self.is_given.store(true, Ordering::Release);
        self.token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, task::Poll};

    #[tokio::test]
    async fn signals_made_before_and_after_the_half_close_are_given() {
        let half_close = HalfClose::default();
        let mut before = half_close.signal();
        poll_fn(|cx| {
            assert!(!before.poll(cx));
            Poll::Ready(())
        })
        .await;

        half_close.note();

        let mut after = half_close.signal();
        poll_fn(|cx| {
            assert!(before.poll(cx) && after.poll(cx));
            Poll::Ready(())
        })
        .await;
    }
}
