//! The log of refused clients: one line each, at a bounded rate.

use crate::log_limit::LogLimit;
use http::{Uri, uri::PathAndQuery};
use std::net::SocketAddr;

/// The target of these lines, ten a minute for each rule. `RUST_LOG=seaway::refused=debug` shows the others as well.
const TARGET: &str = "seaway::refused";

/// How much of a path and of a reason is written, in bytes.
const MAX_PATH: usize = 200;
const MAX_REASON: usize = 400;

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A consumer's `connect` or an application rejected it.
    Application,
    /// Something failed that is not the client's fault.
    Failure,
    /// A consumer's `connect` took too long.
    ConnectTimeout,
    /// The request is no valid WebSocket handshake.
    Handshake,
    /// The page's origin is not allowed.
    Origin,
    /// No route has this path.
    Path,
    /// It is not logged in, or not the right user.
    User,
    /// The head of the request breaks HTTP, is too large, or is for CONNECT.
    RequestHead,
    /// The HTTP consumer does not take this method.
    Method,
    /// It took too long to read a response, or stalled after it had closed its sending side.
    Timeout,
    /// The request's body is malformed, incomplete or too slow.
    Body,
    /// The request's body is too large.
    BodySize,
    /// The WebSocket message is too large.
    MessageSize,
    /// The client broke the WebSocket protocol.
    Protocol,
    /// The message is no `Input` of the consumer.
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
            Self::User => "user",
            Self::RequestHead => "request_head",
            Self::Method => "method",
            Self::Timeout => "timeout",
            Self::Body => "body",
            Self::BodySize => "body_size",
            Self::MessageSize => "message_size",
            Self::Protocol => "protocol",
            Self::Input => "input",
        }
    }
}

/// The client of a connection, as far as the log shows it: no query, no header.
#[derive(Clone)]
pub(crate) struct Peer {
    path: Option<PathAndQuery>,
    client: Option<SocketAddr>,
}

/// What the client got.
#[derive(Clone, Copy)]
pub(crate) enum Outcome {
    Status(http::StatusCode),
    /// A close frame with this code.
    Close(u16),
    /// The end of its connection, and whatever hyper answered before.
    Disconnect,
}

impl Peer {
    pub(crate) fn new(uri: &Uri, client: Option<SocketAddr>) -> Self {
        Self {
            path: uri.path_and_query().cloned(),
            client,
        }
    }

    /// The client of a connection on which no request could be read.
    pub(crate) fn without_request(client: SocketAddr) -> Self {
        Self {
            path: None,
            client: Some(client),
        }
    }

    /// Logs that the client was refused. The reason is for people, and holds nothing that the client may keep secret.
    pub(crate) fn refused(&self, rule: Rule, answer: Outcome, reason: Option<&str>) {
        let admitted = limit(rule).admit();
        let path = self.path.as_ref().map(PathAndQuery::path);
        let path = path.map(|path| cut(path, MAX_PATH));
        let reason = reason.map(|reason| cut(reason, MAX_REASON));
        let client = self.client.map(tracing::field::display);
        let rule = rule.name();
        let (status, close) = match answer {
            Outcome::Status(status) => (Some(status.as_u16()), None),
            Outcome::Close(code) => (None, Some(code)),
            Outcome::Disconnect => (None, None),
        };
        match admitted {
            Some(suppressed) => {
                tracing::info!(target: TARGET, rule, path, client, status, close, reason, suppressed, "refused a client");
            }
            None => {
                tracing::debug!(target: TARGET, rule, path, client, status, close, reason, "refused a client");
            }
        }
    }
}

fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// The limit of this rule's lines.
fn limit(rule: Rule) -> &'static LogLimit {
    static LIMITS: [LogLimit; Rule::COUNT] = [const { LogLimit::new() }; Rule::COUNT];
    &LIMITS[rule as usize]
}
