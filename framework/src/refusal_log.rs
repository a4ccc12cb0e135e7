//! The log of refused clients: one line each, at a bounded rate.

use http::{Uri, uri::PathAndQuery};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

/// The target of these lines. `RUST_LOG=seaway::refused=debug` shows those as well that the bound keeps from `info`.
const TARGET: &str = "seaway::refused";

/// How many lines each rule may write per [`WINDOW`]. Further ones are written at the level `debug`, and their number
/// stands in the rule's next line.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

/// How much of a path and of a reason is written, in bytes.
const MAX_PATH: usize = 200;
const MAX_REASON: usize = 400;

/// Why a client was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
pub(crate) enum Answer {
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
    pub(crate) fn refused(&self, rule: Rule, answer: Answer, reason: Option<&str>) {
        let admitted = admit(rule);
        let path = self.path.as_ref().map(PathAndQuery::path);
        let path = path.map(|path| cut(path, MAX_PATH));
        let reason = reason.map(|reason| cut(reason, MAX_REASON));
        let client = self.client.map(tracing::field::display);
        let rule = rule.name();
        let (status, close) = match answer {
            Answer::Status(status) => (Some(status.as_u16()), None),
            Answer::Close(code) => (None, Some(code)),
            Answer::Disconnect => (None, None),
        };
        match admitted {
            Some(suppressed) => {
                let suppressed = Some(suppressed).filter(|count| *count > 0);
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

/// Whether a line about this rule may be written now: then, how many were suppressed before it.
fn admit(rule: Rule) -> Option<u64> {
    static LIMITS: Mutex<BTreeMap<Rule, Limit>> = Mutex::new(BTreeMap::new());
    let limits = LIMITS.lock();
    let mut limits = limits.expect("no code panics while it holds this lock");
    limits.entry(rule).or_default().admit(Instant::now())
}

/// How many lines a rule has written in its current window, and how many were suppressed since the last one.
#[derive(Default)]
struct Limit {
    window: Option<Instant>,
    written: u32,
    suppressed: u64,
}

impl Limit {
    /// Whether a line may be written: then, how many were suppressed before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let is_over = |began| now.duration_since(began) >= WINDOW;
        if self.window.is_none_or(is_over) {
            self.window = Some(now);
            self.written = 0;
        }
        if self.written == LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_writes_ten_lines_a_minute_and_the_next_line_counts_the_others() {
        let mut limit = Limit::default();
        let start = Instant::now();
        let admitted = |limit: &mut Limit, second| {
            let lines = (0..1000).filter_map(|_| limit.admit(start + Duration::from_secs(second)));
            lines.collect::<Vec<_>>()
        };

        assert_eq!(admitted(&mut limit, 0), [0; 10]);
        assert_eq!(admitted(&mut limit, 59), [0; 0]);
        let mut next = [0; 10];
        next[0] = 990 + 1000;
        assert_eq!(admitted(&mut limit, 60), next);
        assert_eq!(limit.admit(start + Duration::from_secs(200)), Some(990));
    }
}
