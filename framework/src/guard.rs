//! The user's code, whose panic is an error of one conversation and no more.

use crate::error::{Error, ErrorKind, Result};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Runs the user's code; a panic becomes an error.
///
/// What a panic may have left half done belongs to that conversation alone, which is ended.
pub(crate) fn guarded<F: Future>(code: F) -> Guarded<F> {
    Guarded { code }
}

pin_project! {
    /// What [`guarded`] returns. An `async fn` would hold the code twice: as it came, and pinned.
    pub(crate) struct Guarded<F> {
        #[pin]
        code: F,
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let code = self.project().code;
        match catch_unwind(AssertUnwindSafe(|| code.poll(cx))) {
            Ok(polled) => Poll::Ready(Ok(ready!(polled))),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    }
}

/// As [`guarded`], for a plain function.
pub(crate) fn caught<T>(code: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| panicked(&*panic))
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Error::new(
        ErrorKind::User,
        format!("the application panicked: {message}"),
    )
}
