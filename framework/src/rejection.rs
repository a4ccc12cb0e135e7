//! Rejections: the HTTP response to a client that is not accepted.

use crate::{
    connection_span::ConnectionSpan,
    error::{AnyError, BodyError, BoxError, Error, ErrorKind},
    rejection_log::{Peer, Rejected, Rule, Severity},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::{borrow::Cow, fmt, sync::Arc};

/// The HTTP response to a client that is not accepted: a status, a text for humans, and headers if
/// needed.
///
/// ```
/// use http::StatusCode;
/// use seaway::Rejection;
///
/// let reject = Rejection::new(StatusCode::FORBIDDEN, "this room is for members");
/// assert_eq!(reject.status(), 403);
/// let also = Rejection::from_status(StatusCode::NOT_FOUND);
/// assert_eq!(also.body(), "Not Found");
/// ```
#[derive(Clone, Debug)]
#[must_use = "a rejection has no effect unless it is returned"]
pub struct Rejection {
    status: StatusCode,
    body: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rule: Rule,
    /// `None` if the client is at fault.
    failure: Option<Severity>,
    reason: Option<Reason>,
}

/// Why a client was rejected, where the response does not state it. It is logged, and attached to
/// the response for tests.
#[derive(Clone, Debug)]
pub(crate) struct Reason(Arc<str>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The extension of a response whose rejection is in the log.
#[derive(Clone, Copy)]
pub(crate) struct Logged;

impl Rejection {
    /// Creates a rejection with this status and plain text.
    pub fn new(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            body: body.into(),
            headers: Vec::new(),
            rule: Rule::Application,
            failure: None,
            reason: None,
        }
    }

    /// Creates a rejection whose text is the reason phrase of its status, such as "Not Found".
    pub fn from_status(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }

    /// Adds a header to the response.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Keeps the cookies of the response that this one replaces: a session that was saved under a
    /// new id would be lost without its cookie.
    pub(crate) fn keeping_cookies(mut self, replaced: &HeaderMap) -> Self {
        for name in [header::SET_COOKIE, header::VARY] {
            let values = replaced.get_all(&name).iter();
            self.headers
                .extend(values.map(|value| (name.clone(), value.clone())));
        }
        self
    }

    /// Sets the rule that the client broke, for the log.
    pub(crate) fn by(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    /// Sets why the client is rejected, where the response does not state it.
    pub(crate) fn because(mut self, reason: impl Into<Arc<str>>) -> Self {
        self.reason = Some(Reason(reason.into()));
        self
    }

    /// Marks it as a failure of the server, for the log.
    pub(crate) fn failure(mut self, severity: Severity) -> Self {
        self.failure = Some(severity);
        self
    }

    /// Logs the rejection, and converts it to the response that this client gets.
    pub(crate) fn into_logged_response(self, peer: &Peer) -> http::Response<Cow<'static, str>> {
        self.log(peer);
        let mut response = self.respond();
        response.extensions_mut().insert(Logged);
        response
    }

    /// Logs the rejection. Without a reason of its own, the text of a framework rule is logged as
    /// the reason; an application's text is not, since it may be confidential.
    fn log(&self, peer: &Peer) {
        let text = match self.rule {
            Rule::Application => None,
            _ => Some(&*self.body),
        };
        let reason = self.reason.as_ref().map(|reason| &*reason.0);
        match self.failure {
            Some(severity) => peer.log_failure(self.rule, severity, self.status, reason),
            None => {
                peer.log_rejection(self.rule, Rejected::Status(self.status), reason.or(text));
            }
        }
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// Converts the rejection to a response: plain text, unless it has a content type of its own.
    ///
    /// That of an error whose details the response withholds logs them.
    pub fn into_response(self) -> http::Response<Cow<'static, str>> {
        if self.failure.is_some() {
            // Otherwise that of the consumer is entered already.
            let _in_span = ConnectionSpan::current().open().entered();
            self.log(&Peer::without_request(None));
        }
        self.respond()
    }

    fn respond(self) -> http::Response<Cow<'static, str>> {
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers);
        headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(reason) = self.reason {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// Client errors are an invalid name (400), because names are made of what clients send, an ended
/// session (401), and a body that is over its limit (413), malformed or incomplete (400), or too
/// slow (408). A failure of the channel layer or the session store and a timeout are temporary
/// (503), everything else is a server error (500). Only client errors state the reason in the
/// response; the details of the others are logged when the response is sent.
impl<E: Into<BoxError>> From<E> for Rejection {
    fn from(error: E) -> Self {
        Self::of(&Error::from(error.into()))
    }
}

/// As for the error that it wraps.
impl From<AnyError> for Rejection {
    fn from(error: AnyError) -> Self {
        Self::of(&error)
    }
}

/// So that `?` in an HTTP consumer's `handle` responds with a rejection.
impl From<Rejection> for AnyError {
    fn from(rejection: Rejection) -> Self {
        Error::user(RejectionError(rejection)).into()
    }
}

/// A rejection on its way through functions that return errors.
#[derive(Debug)]
struct RejectionError(Rejection);

impl fmt::Display for RejectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rejected with status {}", self.0.status)
    }
}

impl std::error::Error for RejectionError {}

impl Rejection {
    /// Returns the rejection for an error.
    fn of(error: &Error) -> Self {
        if let Some(RejectionError(rejection)) = error.find_source() {
            return rejection.clone();
        }
        if let Some(broken) = error.body_error() {
            let status = match broken {
                BodyError::Broken(_) => StatusCode::BAD_REQUEST,
                BodyError::Stalled => StatusCode::REQUEST_TIMEOUT,
                BodyError::TooLarge(_) | BodyError::OverLimit => StatusCode::PAYLOAD_TOO_LARGE,
            };
            let rule = match broken {
                BodyError::TooLarge(_) | BodyError::OverLimit => Rule::BodySize,
                BodyError::Broken(_) | BodyError::Stalled => Rule::Body,
            };
            return Self::new(status, broken.to_string()).by(rule);
        }
        let (status, severity) = match error.kind() {
            ErrorKind::Name => {
                return Self::new(StatusCode::BAD_REQUEST, error.client_message()).by(Rule::Name);
            }
            ErrorKind::SessionGone => {
                return Self::new(StatusCode::UNAUTHORIZED, error.client_message()).by(Rule::User);
            }
            // The client has left, so no client gets this response.
            ErrorKind::Closed => (StatusCode::INTERNAL_SERVER_ERROR, Severity::Reported),
            ErrorKind::Layer | ErrorKind::Missed | ErrorKind::Unconfirmed => {
                (StatusCode::SERVICE_UNAVAILABLE, Severity::Reported)
            }
            ErrorKind::ChannelFull | ErrorKind::Session | ErrorKind::Timeout => {
                (StatusCode::SERVICE_UNAVAILABLE, Severity::Temporary)
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, Severity::Permanent),
        };
        Self::from_status(status)
            .by(Rule::Failure)
            .failure(severity)
            .because(format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_cannot_be_read_is_the_clients_error() {
        for (cause, status) in [
            (BodyError::broken("invalid chunk size"), 400),
            (BodyError::Stalled, 408),
            (BodyError::TooLarge(7), 413),
            (BodyError::OverLimit, 413),
        ] {
            assert_eq!(Rejection::from(Error::user(cause)).status(), status);
        }
        assert_eq!(Rejection::from(Error::closed()).status(), 500);
    }

    #[test]
    fn what_is_too_large_and_no_body_is_not_the_clients_error() {
        let meta = Error::new(ErrorKind::TooLarge, "the meta has more than 16 KiB");
        assert_eq!(Rejection::from(meta).status(), 500);
        assert_eq!(Rejection::from(Error::body_too_large(7)).status(), 413);
    }

    #[test]
    fn a_rejection_is_text_unless_it_has_a_content_type() {
        let kind = http::header::CONTENT_TYPE;
        let text = Rejection::from_status(StatusCode::NOT_FOUND);
        let json = Rejection::new(StatusCode::NOT_FOUND, "{}")
            .header(kind.clone(), HeaderValue::from_static("application/json"));

        for (reject, expected) in [
            (text, "text/plain; charset=utf-8"),
            (json, "application/json"),
        ] {
            let response = reject.into_response();
            let kinds: Vec<_> = response.headers().get_all(&kind).iter().collect();
            assert_eq!(kinds, [expected]);
        }
    }
}
