//! The access log: one line per response, which is off by default.

use crate::{
    connection_span::{MAX_PATH, truncate},
    protocol::{Body, ConnectionHandle},
};
use http::{Method, Request, StatusCode, uri::PathAndQuery};
use std::{net::SocketAddr, time::Instant};
use tracing::{Level, enabled};

/// What the access log shows of a request, without its query and headers.
pub(super) struct AccessLine {
    method: Method,
    path: Option<PathAndQuery>,
    client: Option<SocketAddr>,
    received: Instant,
}

impl AccessLine {
    /// Returns the line of a request; `None` without an access log.
    pub(super) fn of(request: &Request<Body>) -> Option<Self> {
        enabled!(target: "seaway::access", Level::DEBUG).then(|| Self {
            method: request.method().clone(),
            path: request.uri().path_and_query().cloned(),
            client: ConnectionHandle::of(request.extensions()).and_then(|handle| handle.client()),
            received: Instant::now(),
        })
    }

    /// Logs the response.
    pub(super) fn log(self, status: StatusCode) {
        let path = self.path.as_ref().map(PathAndQuery::path);
        let millis = self.received.elapsed().as_secs_f64() * 1000.0;
        tracing::debug!(
            target: "seaway::access",
            method = %self.method,
            path = path.map(|path| truncate(path, MAX_PATH)),
            client = self.client.map(tracing::field::display),
            status = status.as_u16(),
            millis = format_args!("{millis:.1}"),
            "responded"
        );
    }
}
