//! Helpers to store and wake a task's waker.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
};
use tokio::task::yield_now;

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

/// Has this task polled again after the other tasks of its thread, and after the sockets and timers
/// that have become ready: tokio looks for those once in 61 polls, unless a task yields.
pub(crate) fn yield_to_others(cx: &mut Context<'_>) {
    // The first poll does all that; the future has nothing left to do.
    _ = pin!(yield_now()).poll(cx);
}
