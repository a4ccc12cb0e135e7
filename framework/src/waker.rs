//! Whom to wake.

use std::task::{Context, Waker};

/// Notes who waits, in the memory of the one before if there was one.
pub(crate) fn note(waiting: &mut Option<Waker>, cx: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Wakes who waits, if somebody does.
pub(crate) fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}
