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

/// Runs the user's code; a panic becomes an error, also one before there is a future.
///
/// What a panic may have left half done belongs to that conversation alone, which is ended.
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
    /// What [`catch_panic`] returns. An `async fn` would hold the code twice: as it came, and pinned.
    pub(crate) struct Guarded<F> {
        #[pin]
        code: Option<F>,
        // Of a hook that has made no future.
        panic: Option<Error>,
    }
}

impl<F: Future> Future for Guarded<F> {
    type Output = Result<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let catch_panic = self.project();
        let Some(code) = catch_panic.code.as_pin_mut() else {
            let panic = catch_panic.panic.take();
            return Poll::Ready(Err(panic.expect("not polled after it was ready")));
        };
        match catch_unwind(AssertUnwindSafe(|| code.poll(cx))) {
            Ok(polled) => Poll::Ready(Ok(ready!(polled))),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    }
}

/// As [`catch_panic`], for a plain function.
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
