//! Helpers to store and wake a task's waker.

use std::task::{Context, Waker};

/// Stores the task's waker, reusing the existing allocation.
pub(crate) fn store_waker(waiting: &mut Option<Waker>, cx: &Context<'_>) {
    match waiting {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// Wakes the stored task, if there is one.
pub(crate) fn wake(waiting: Option<Waker>) {
    if let Some(waker) = waiting {
        waker.wake();
    }
}
