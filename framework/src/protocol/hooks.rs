//! The reply hooks of middleware, which run before a response is sent.

use crate::{
    error::{Error, ErrorKind},
    rejection::Rejection,
    scope::ReplyHook,
};
use http::response;
use std::time::Duration;
use tokio::time::timeout;

/// How long all hooks of a response may take together.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs the hooks of a response, the innermost first.
///
/// # Errors
/// The response that the client gets instead.
pub(super) async fn run(
    hooks: Vec<ReplyHook>,
    head: &mut response::Parts,
) -> Result<(), Rejection> {
    let running = async {
        for hook in hooks.into_iter().rev() {
            hook(head).await;
        }
    };
    if timeout(LIMIT, running).await.is_err() {
        let late = "the reply hooks took longer than 10 s; does a session store hang?";
        return Err(Rejection::from(Error::new(ErrorKind::Timeout, late)));
    }
    match head.extensions.remove::<Rejection>() {
        Some(reject) => Err(reject),
        None => Ok(()),
    }
}
