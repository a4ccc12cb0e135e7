//! The reply that a handler returns.

use crate::{
    codec::{IntoMessage, Json},
    message::Message,
    protocol::Body,
    rejection::Rejection,
};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::fmt;

/// The reply of an HTTP consumer: a whole response, or the end of a streamed one.
///
/// [`HttpContext::reply`](super::HttpContext::reply) makes the first,
/// [`BodySender::end`](super::BodySender::end) and [`Sse::end`](super::Sse::end) the second.
#[must_use = "a reply is sent when `handle` returns it"]
pub struct Reply(pub(super) ReplyKind);

pub(super) enum ReplyKind {
    Whole(Response<Body>),
    Streamed,
}

/// A type that can be a reply: a response, a status, text, bytes, JSON, a [`Rejection`], or one of
/// these with another status.
///
/// ```
/// use seaway::{IntoReply, Json, http::StatusCode};
///
/// let response = (StatusCode::CREATED, Json([1, 2])).into_reply().unwrap();
/// assert_eq!(response.status(), StatusCode::CREATED);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a reply",
    label = "wrap it to reply with JSON: `Json(…)`",
    note = "replies are responses, statuses, text, bytes, `Json(value)`, or one of these after a status: `(status, reply)`"
)]
pub trait IntoReply {
    /// Converts the value to a response.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value cannot be encoded.
    fn into_reply(self) -> crate::Result<Response<Body>>;
}

impl<B: Into<Body>> IntoReply for Response<B> {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(self.map(Into::into))
    }
}

impl IntoReply for StatusCode {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

/// Replaces the status of a reply: `(StatusCode::CREATED, Json(value))`.
impl<A: IntoReply> IntoReply for (StatusCode, A) {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        let (status, reply) = self;
        let mut response = reply.into_reply()?;
        *response.status_mut() = status;
        Ok(response)
    }
}

impl IntoReply for Rejection {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(self.into_response().map(Body::from))
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoReply for String {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoReply for Bytes {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

impl IntoReply for Vec<u8> {
    fn into_reply(self) -> crate::Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

/// Replies with JSON. An event, `Json(event)`, is encoded once per process.
impl<T> IntoReply for Json<T>
where
    Json<T>: IntoMessage,
{
    fn into_reply(self) -> crate::Result<Response<Body>> {
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
            ReplyKind::Whole(response) => f.debug_tuple("Reply").field(&response.status()).finish(),
            ReplyKind::Streamed => f.debug_tuple("Reply").field(&"streamed").finish(),
        }
    }
}
