//! Why a client was turned away: the one HTTP answer it gets instead.

use crate::error::{Error, ErrorKind};
use http::{HeaderName, HeaderValue, StatusCode};
use std::borrow::Cow;

/// A refusal: a status, a sentence for people, and headers if the client needs them.
///
/// ```
/// use http::StatusCode;
/// use seaway::Reject;
///
/// let reject = Reject::new(StatusCode::FORBIDDEN, "this room is for members");
/// assert_eq!(reject.status(), 403);
/// let also = Reject::from(StatusCode::NOT_FOUND);
/// assert_eq!(also.body(), "Not Found");
/// ```
#[derive(Clone, Debug)]
pub struct Reject {
    status: StatusCode,
    body: Cow<'static, str>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reject {
    /// A refusal with this status and plain text.
    pub fn new(status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            body: body.into(),
            headers: Vec::new(),
        }
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// The refusal as a response whose body is text.
    pub fn into_response(self) -> http::Response<Cow<'static, str>> {
        let mut response = http::Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        headers.extend(self.headers);
        response
    }
}

impl From<StatusCode> for Reject {
    fn from(status: StatusCode) -> Self {
        Self::new(status, status.canonical_reason().unwrap_or_default())
    }
}

/// A bad name and a body over its limit are the client's (400, 413), a lost channel layer passes (503), all else is ours
/// (500). Only the first two say why: the others' details are for the log.
impl From<Error> for Reject {
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Name => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            ErrorKind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, error.to_string()),
            ErrorKind::SessionGone => Self::new(StatusCode::UNAUTHORIZED, error.to_string()),
            // Nobody waits for this answer any more.
            ErrorKind::Closed => Self::from(StatusCode::INTERNAL_SERVER_ERROR),
            // The layer itself has told the log that it is away; a crowd that knocks shall not flood it.
            ErrorKind::Layer => {
                tracing::debug!(error = %error.chain(), "refused a client");
                Self::from(StatusCode::SERVICE_UNAVAILABLE)
            }
            ErrorKind::Session | ErrorKind::Timeout => {
                tracing::warn!(error = %error.chain(), "refused a client");
                Self::from(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => {
                tracing::error!(error = %error.chain(), "refused a client");
                Self::from(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}
