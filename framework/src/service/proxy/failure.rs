//! Why a server behind a proxy has sent no response.

use super::transfer::Transfer;
use crate::{
    error::{BodyError, Error},
    rejection::Rejection,
    rejection_log::{Rule, Severity},
    upstream::{Upstream, chain, is_timeout, sources},
};
use http::StatusCode;
use hyper_util::client::legacy;

/// Why there is no response.
pub(super) enum Failure {
    /// The server has not continued in time.
    Slow,
    Failed(legacy::Error),
    /// Its response is not one to the request, for this reason.
    Unexpected(&'static str),
}

impl Failure {
    /// Returns the response to the client.
    pub(super) fn rejection(self, upstream: &Upstream<Transfer>) -> Rejection {
        let (status, reason, source) = match self {
            Self::Failed(error) if has_failed_body(&error) => {
                // A malformed, incomplete or stalled body, for which the client is at fault.
                return Rejection::from(Error::closed().with_source(error));
            }
            Self::Failed(error) => {
                let (status, reason) = match (is_timeout(&error), error.is_connect()) {
                    (true, true) => (
                        StatusCode::GATEWAY_TIMEOUT,
                        "it has not accepted a connection within 5 s",
                    ),
                    (true, false) => (StatusCode::GATEWAY_TIMEOUT, SLOW),
                    (false, true) => (
                        StatusCode::BAD_GATEWAY,
                        "it accepts no connection; check that it runs",
                    ),
                    (false, false) => (
                        StatusCode::BAD_GATEWAY,
                        "it has closed the connection, or its response is malformed",
                    ),
                };
                (status, reason, chain(&error))
            }
            Self::Slow => (StatusCode::GATEWAY_TIMEOUT, SLOW, String::new()),
            Self::Unexpected(reason) => (StatusCode::BAD_GATEWAY, reason, String::new()),
        };
        let separator = if source.is_empty() { "" } else { ": " };
        let reason = format!(
            "the server behind the proxy, {upstream:?}, failed: {reason}{separator}{source}"
        );
        Rejection::from_status(status)
            .by(Rule::Failure)
            .failure(Severity::Temporary)
            .because(reason)
    }
}

const SLOW: &str = "it has not responded in time";

/// Returns whether reading the request's body has failed, and not the server.
fn has_failed_body(error: &legacy::Error) -> bool {
    sources(error).any(|source| source.is::<BodyError>())
}
