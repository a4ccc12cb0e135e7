//! What middleware does to a reply before it is sent.

use crate::{
    error::{Error, ErrorKind},
    rejection::Rejection,
    scope::ReplyHook,
};
use http::response;
use std::time::Duration;
use tokio::time::timeout;

/// How long all hooks of a reply may take together.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs the hooks of a reply, the innermost first.
///
/// # Errors
/// What the client is answered instead.
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
