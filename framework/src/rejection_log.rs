//! The log of rejected clients: one line each, at a limited rate.

use crate::{
    connection_span::{MAX_PATH, truncate},
    log_limit::{LogLimit, log_limited},
    metric,
};
use http::{StatusCode, Uri, uri::PathAndQuery};
use std::net::SocketAddr;

/// The target of these lines, 10 per minute for each rule. `RUST_LOG=seaway::rejected=debug` shows
/// the others as well.
const TARGET: &str = "seaway::rejected";

/// The maximum length of a logged reason, in bytes.
const MAX_REASON: usize = 400;

/// The reason why a client was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A consumer's `connect` or an application rejected the client.
    Application,
    /// The server failed; the client is not at fault.
    Failure,
    /// A consumer's `connect` took too long.
    ConnectTimeout,
    /// The request is not a valid WebSocket handshake.
    Handshake,
    /// The page's origin is not allowed.
    Origin,
    /// No route matches the path.
    Path,
    /// The name of a group or channel, made of what the client sent, is not valid.
    Name,
    /// The client is not logged in, or is not the right user.
    User,
    /// The client's address has too many connections.
    Address,
    /// The TLS handshake failed.
    #[cfg_attr(not(feature = "tls"), expect(dead_code))]
    Tls,
    /// The request head violates HTTP, is too large, or is for CONNECT.
    RequestHead,
    /// The HTTP consumer does not accept the method.
    Method,
    /// The client took too long to read a response, or stalled after it had closed its sending
    /// side.
    Timeout,
    /// The request body is malformed, incomplete or too slow.
    Body,
    /// The request body is too large.
    BodySize,
    /// The WebSocket message is too large.
    MessageSize,
    /// The client violated the WebSocket protocol.
    Protocol,
    /// The client sent faster than its rate limit.
    Rate,
    /// The message could not be decoded as the consumer's `Input`.
    Input,
}

impl Rule {
    const COUNT: usize = Self::Input as usize + 1;

    fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Failure => "failure",
            Self::ConnectTimeout => "connect_timeout",
            Self::Handshake => "handshake",
            Self::Origin => "origin",
            Self::Path => "path",
            Self::Name => "name",
            Self::User => "user",
            Self::Address => "address",
            Self::Tls => "tls",
            Self::RequestHead => "request_head",
            Self::Method => "method",
            Self::Timeout => "timeout",
            Self::Body => "body",
            Self::BodySize => "body_size",
            Self::MessageSize => "message_size",
            Self::Protocol => "protocol",
            Self::Rate => "rate",
            Self::Input => "input",
        }
    }
}

/// The client of a connection, as far as the log shows it: without query or headers.
#[derive(Clone)]
pub(crate) struct Peer {
    path: Option<PathAndQuery>,
    client: Option<SocketAddr>,
}

/// What the rejected client received.
#[derive(Clone, Copy)]
pub(crate) enum Rejected {
    Status(StatusCode),
    /// A close frame with this code.
    Close(u16),
    /// The end of its connection, after any response that hyper sent itself.
    Disconnect,
}

/// How severe a failure of the server is, which is the level of its log line.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Severity {
    /// It recurs until somebody changes something.
    Permanent,
    /// It passes.
    Temporary,
    /// It is in the log already, such as an outage of the channel layer, or is none: the client has
    /// left.
    Reported,
}

impl Peer {
    pub(crate) fn new(uri: &Uri, client: Option<SocketAddr>) -> Self {
        Self {
            path: uri.path_and_query().cloned(),
            client,
        }
    }

    /// Returns the client of a connection on which no request could be read.
    pub(crate) fn without_request(client: Option<SocketAddr>) -> Self {
        Self { path: None, client }
    }

    /// Logs that the client was rejected. The reason is written for people, and contains nothing
    /// that the client may keep secret.
    pub(crate) fn log_rejection(&self, rule: Rule, outcome: Rejected, reason: Option<&str>) {
        metric::rejection(rule.name());
        let admitted = limit(rule).admit();
        let path = self.shown_path();
        let reason = reason.map(|reason| truncate(reason, MAX_REASON));
        let client = self.client.map(tracing::field::display);
        let rule = rule.name();
        let (status, close) = match outcome {
            Rejected::Status(status) => (Some(status.as_u16()), None),
            Rejected::Close(code) => (None, Some(code)),
            Rejected::Disconnect => (None, None),
        };
        match admitted {
            Some(suppressed) => {
                tracing::info!(target: TARGET, rule, path, client, status, close, reason, suppressed, "rejected a client");
            }
            None => {
                tracing::debug!(target: TARGET, rule, path, client, status, close, reason, "rejected a client");
            }
        }
    }

    /// Logs that the server failed to serve the client. Unlike the others, the line does not
    /// have the target [`TARGET`], which an operator may turn off.
    pub(crate) fn log_failure(
        &self,
        rule: Rule,
        severity: Severity,
        status: StatusCode,
        error: Option<&str>,
    ) {
        let rule = rule.name();
        metric::rejection(rule);
        let path = self.shown_path();
        let client = self.client.map(tracing::field::display);
        let status = status.as_u16();
        let error = error.map(tracing::field::display);
        match severity {
            Severity::Permanent => {
                log_limited!(
                    error,
                    rule,
                    path,
                    client,
                    status,
                    error,
                    "failed to serve a client"
                );
            }
            Severity::Temporary => {
                log_limited!(
                    warn,
                    rule,
                    path,
                    client,
                    status,
                    error,
                    "failed to serve a client"
                );
            }
            Severity::Reported => {
                log_limited!(
                    info,
                    rule,
                    path,
                    client,
                    status,
                    error,
                    "failed to serve a client"
                );
            }
        }
    }

    fn shown_path(&self) -> Option<&str> {
        let path = self.path.as_ref().map(PathAndQuery::path);
        path.map(|path| truncate(path, MAX_PATH))
    }
}

/// Returns the rate limit of this rule's lines.
fn limit(rule: Rule) -> &'static LogLimit {
    static LIMITS: [LogLimit; Rule::COUNT] = [const { LogLimit::new() }; Rule::COUNT];
    &LIMITS[rule as usize]
}
