//! The user's code, whose panic is an error of one conversation and no more.

use crate::error::{Error, ErrorKind, Result};
use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

/// Runs the user's code; a panic becomes an error.
///
/// What a panic may have left half done belongs to that conversation alone, which is ended.
pub(crate) async fn guarded<T>(code: impl Future<Output = T> + Send) -> Result<T> {
    let mut code = pin!(code);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| code.as_mut().poll(cx)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panicked(&*panic))),
        }
    })
    .await
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
