//! What a handler answers: once, by what it returns.

use super::super::{IntoMessage, Json};
use crate::{error::Result, message::Message, protocol::Body, rejection::Rejection};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::fmt;

/// A request's answer: what [`HttpContext::reply`](super::HttpContext::reply) makes of a value, or the end of an answer
/// that was streamed ([`BodySender::end`](super::BodySender::end), [`Sse::end`](super::Sse::end)).
pub struct Reply(pub(super) Kind);

pub(super) enum Kind {
    Whole(Response<Body>),
    Streamed,
}

/// What a request can be answered: a response, a status, text, bytes, JSON, a refusal, or one of these with another status.
pub trait IntoReply {
    /// The answer as a response.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value cannot be expressed.
    fn into_reply(self) -> Result<Response<Body>>;
}

impl<B: Into<Body>> IntoReply for Response<B> {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(self.map(Into::into))
    }
}

impl IntoReply for StatusCode {
    fn into_reply(self) -> Result<Response<Body>> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

/// Another status for what is answered: `(StatusCode::CREATED, Json(value))`.
impl<A: IntoReply> IntoReply for (StatusCode, A) {
    fn into_reply(self) -> Result<Response<Body>> {
        let (status, answer) = self;
        let mut response = answer.into_reply()?;
        *response.status_mut() = status;
        Ok(response)
    }
}

impl IntoReply for Rejection {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(self.into_response().map(Body::from))
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoReply for Bytes {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

/// JSON. An event, `Json(event)`, is written once per process.
impl<T> IntoReply for Json<T>
where
    Json<T>: IntoMessage,
{
    fn into_reply(self) -> Result<Response<Body>> {
        let message: Message = self.into_message()?;
        Ok(typed("application/json", message.into_payload()))
    }
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Whole(response) => f.debug_tuple("Reply").field(&response.status()).finish(),
            Kind::Streamed => f.debug_tuple("Reply").field(&"streamed").finish(),
        }
    }
}
