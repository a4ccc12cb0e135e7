//! Functions that run the user's code and turn a panic into an error of one connection.

use crate::error::{Error, ErrorKind, Result};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    cell::Cell,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};

thread_local! {
    /// The `type` that was being handled when a panic began to unwind.
    static PANICKED_IN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A method that handles a message or event of this `type`, from before its call until its end. The
/// macros' code creates it; the error of the method, or its panic, gets the type.
#[derive(Debug)]
pub struct Handling(&'static str);

impl Handling {
    /// Returns it before the call.
    pub fn of(name: &'static str) -> Self {
        Self(name)
    }

    /// Returns the outcome of the call, whose error gets the type.
    pub fn end(self, outcome: crate::Result<()>) -> crate::Result<()> {
        outcome.map_err(|error| Error::from(error).while_handling(self.0).into())
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        if thread::panicking() {
            PANICKED_IN.set(Some(self.0));
        }
    }
}

/// Runs the user's code; a panic becomes an error, also one in the function that creates the
/// future.
///
/// State that a panic left inconsistent belongs to that connection alone, which is closed.
pub(crate) fn catch_panic<F: Future>(begin: impl FnOnce() -> F) -> Guarded<F> {
    match caught(begin) {
        Ok(code) => Guarded {
            code: Some(code),
            panic: None,
        },
        Err(panic) => Guarded {
            code: None,
            panic: Some(panic),
        },
    }
}

pin_project! {
    /// The future returned by [`catch_panic`]. An `async fn` would store the code twice: as an
    /// argument, and pinned.
    pub(crate) struct Guarded<F> {
        #[pin]
        code: Option<F>,
        // The panic of a function that created no future.
        panic: Option<Error>,
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(code) = this.code.as_pin_mut() else {
            let panic = this.panic.take();
            return Poll::Ready(Err(panic.expect("not polled after it was ready")));
        };
        match catch_unwind(AssertUnwindSafe(|| code.poll(cx))) {
            Ok(polled) => Poll::Ready(Ok(ready!(polled))),
            Err(panic) => Poll::Ready(Err(panicked(panic))),
        }
    }
}

/// Drops a panic's value. `panic_any` takes one whose drop may panic, and so may that of the second
/// panic's value.
pub(crate) fn discard(panic: Box<dyn Any + Send>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(panic);
    }
}

/// Runs a plain function; a panic becomes an error.
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code)).map_err(panicked)
}

fn panicked(panic: Box<dyn Any + Send>) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let error = Error::new(ErrorKind::User, format!("panicked: {message}"));
    discard(panic);
    match PANICKED_IN.take() {
        Some(name) => error.while_handling(name),
        None => error,
    }
}
