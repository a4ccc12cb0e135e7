//! The response hooks of middleware, which run before a response is sent.

use crate::{
    error::{Error, ErrorKind},
    rejection::Rejection,
    rejection_log::Peer,
    scope::ResponseHook,
};
use http::{Response, response};
use std::{borrow::Cow, time::Duration};
use tokio::time::timeout;

/// How long all hooks of a response may take together.
const LIMIT: Duration = Duration::from_secs(10);

/// Runs the hooks of a response, the innermost first.
///
/// A rejection replaces the response, except its cookies and `Vary`, also for the hooks that
/// remain, and is logged. Returns the response, with the body of the last rejection if
/// there was one.
pub(super) async fn run<B: From<Cow<'static, str>>>(
    hooks: Vec<ResponseHook>,
    response: Response<B>,
    peer: &Peer,
) -> Response<B> {
    if hooks.is_empty() {
        return response;
    }
    let (mut head, mut body) = response.into_parts();
    let mut replace = |rejection: Rejection, head: &mut response::Parts| {
        let rejection = rejection.keeping_cookies(&head.headers);
        let (replaced, text) = rejection.into_logged_response(peer).into_parts();
        *head = replaced;
        body = B::from(text);
    };
    let running = async {
        for hook in hooks.into_iter().rev() {
            if let Err(rejection) = hook(&mut head).await {
                replace(rejection, &mut head);
            }
        }
    };
    if timeout(LIMIT, running).await.is_err() {
        let late = "the response hooks took longer than 10 s; check whether the session store and \
                    the channel layer respond";
        replace(
            Rejection::from(Error::new(ErrorKind::Timeout, late)),
            &mut head,
        );
    }
    Response::from_parts(head, body)
}
