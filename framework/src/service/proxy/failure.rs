//! Why a server behind a proxy has sent no response.

use super::transfer::Transfer;
use crate::{
    error::Error,
    log_limit::log_limited,
    rejection::Rejection,
    upstream::{Upstream, chain, is_timeout, sources},
};
use http::StatusCode;
use hyper_util::client::legacy;

/// Why there is no response.
pub(super) enum Failure {
    /// The server has not continued in time.
    Slow,
    Failed(legacy::Error),
}

impl Failure {
    /// Returns the response to the client, and logs the reason if the server has failed.
    pub(super) fn rejection(self, upstream: &Upstream<Transfer>) -> Rejection {
        let error = match &self {
            Self::Slow => None,
            Self::Failed(error) => Some(error),
        };
        // The body of the request failed: the client has left or stalled.
        if let Some(source) = error.and_then(failed_body) {
            return Rejection::from(Error::closed().with_source(source));
        }
        let is_slow = error.is_none_or(is_timeout);
        let (status, reason) = match (is_slow, error.is_some_and(legacy::Error::is_connect)) {
            (true, false) => (StatusCode::GATEWAY_TIMEOUT, "it has not responded in time"),
            (true, true) => (
                StatusCode::GATEWAY_TIMEOUT,
                "it has not accepted a connection within 5 s",
            ),
            (false, true) => (
                StatusCode::BAD_GATEWAY,
                "it accepts no connection; check that it runs",
            ),
            (false, false) => (
                StatusCode::BAD_GATEWAY,
                "it has closed the connection, or its response is malformed",
            ),
        };
        let source = error.map(|error| chain(error)).unwrap_or_default();
        log_limited!(
            warn,
            upstream = ?upstream,
            status = status.as_u16(),
            source,
            "the server behind the proxy failed: {reason}"
        );
        Rejection::from_status(status).because(reason)
    }
}

/// Returns the text of the error of a request's body.
fn failed_body(error: &legacy::Error) -> Option<String> {
    let hyper = sources(error).find_map(|source| source.downcast_ref::<hyper::Error>())?;
    hyper.is_user().then(|| chain(hyper))
}
