//! What a handler answers: once, by what it returns.

use super::super::{IntoFrame, Json};
use crate::{error::Result, frame::Frame, protocol::Body, reject::Reject};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::fmt;

/// A request's answer: what [`HttpContext::answer`](super::HttpContext::answer) makes of a value, or the end of an answer
/// that was streamed ([`BodySender::end`](super::BodySender::end), [`Sse::end`](super::Sse::end)).
pub struct Answer(pub(super) Kind);

pub(super) enum Kind {
    Whole(Response<Body>),
    Streamed,
}

/// What a request can be answered: a response, a status, text, bytes, JSON, a refusal, or one of these with another status.
pub trait IntoAnswer {
    /// The answer as a response.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value cannot be expressed.
    fn into_answer(self) -> Result<Response<Body>>;
}

impl<B: Into<Body>> IntoAnswer for Response<B> {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(self.map(Into::into))
    }
}

impl IntoAnswer for StatusCode {
    fn into_answer(self) -> Result<Response<Body>> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

/// Another status for what is answered: `(StatusCode::CREATED, Json(value))`.
impl<A: IntoAnswer> IntoAnswer for (StatusCode, A) {
    fn into_answer(self) -> Result<Response<Body>> {
        let (status, answer) = self;
        let mut response = answer.into_answer()?;
        *response.status_mut() = status;
        Ok(response)
    }
}

impl IntoAnswer for Reject {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(self.into_response().map(Body::from))
    }
}

impl IntoAnswer for &'static str {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoAnswer for String {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoAnswer for Bytes {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

impl IntoAnswer for Vec<u8> {
    fn into_answer(self) -> Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

/// JSON. An event, `Json(event)`, is written once per process.
impl<T> IntoAnswer for Json<T>
where
    Json<T>: IntoFrame,
{
    fn into_answer(self) -> Result<Response<Body>> {
        let frame: Frame = self.into_frame()?;
        Ok(typed("application/json", frame.into_payload()))
    }
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(response) => f.debug_tuple("Answer").field(&response.status()).finish(),
            Kind::Streamed => f.debug_tuple("Answer").field(&"streamed").finish(),
        }
    }
}
