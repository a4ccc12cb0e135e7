//! The response that a handler returns.

use crate::{
    codec::{IntoMessage, Json},
    message::Message,
    protocol::Body,
    rejection::Rejection,
};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use std::fmt;

/// The response of an HTTP consumer, which `handle` returns: a whole one, or the end of a streamed one.
///
/// [`HttpContext::response`](super::HttpContext::response) makes the first,
/// [`BodySender::end`](super::BodySender::end) and [`Sse::end`](super::Sse::end) the second.
#[must_use = "a response is sent when `handle` returns it"]
pub struct HttpResponse(pub(super) ResponseKind);

pub(super) enum ResponseKind {
    Whole(Response<Body>),
    Streamed,
}

/// A type that an HTTP consumer can respond with: a [`Response`], a status, text, bytes, JSON, a
/// [`Rejection`], or one of these with another status.
///
/// ```
/// use seaway::{IntoHttpResponse, Json, http::StatusCode};
///
/// let response = (StatusCode::CREATED, Json([1, 2])).into_http_response().unwrap();
/// assert_eq!(response.status(), StatusCode::CREATED);
/// assert_eq!(response.headers()["content-type"], "application/json");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP response",
    label = "wrap it to respond with JSON: `Json(…)`",
    note = "consumers respond with responses, statuses, text, bytes, `Json(value)`, or one of these after a status: `(status, text)`"
)]
pub trait IntoHttpResponse {
    /// Converts the value to a response.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the value cannot be encoded.
    fn into_http_response(self) -> crate::Result<Response<Body>>;
}

impl<B: Into<Body>> IntoHttpResponse for Response<B> {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(self.map(Into::into))
    }
}

impl IntoHttpResponse for StatusCode {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        Ok(response)
    }
}

/// Replaces the status: `(StatusCode::CREATED, Json(value))`.
impl<A: IntoHttpResponse> IntoHttpResponse for (StatusCode, A) {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        let (status, other) = self;
        let mut response = other.into_http_response()?;
        *response.status_mut() = status;
        Ok(response)
    }
}

impl IntoHttpResponse for Rejection {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(self.into_response().map(Body::from))
    }
}

impl IntoHttpResponse for &'static str {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoHttpResponse for String {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(typed("text/plain; charset=utf-8", self))
    }
}

impl IntoHttpResponse for Bytes {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

impl IntoHttpResponse for Vec<u8> {
    fn into_http_response(self) -> crate::Result<Response<Body>> {
        Ok(typed("application/octet-stream", self))
    }
}

/// Responds with JSON. An event, `Json(event)`, is encoded once per process.
impl<T> IntoHttpResponse for Json<T>
where
    Json<T>: IntoMessage,
{
    fn into_http_response(self) -> crate::Result<Response<Body>> {
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

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ResponseKind::Whole(response) => f
                .debug_tuple("HttpResponse")
                .field(&response.status())
                .finish(),
            ResponseKind::Streamed => f.debug_tuple("HttpResponse").field(&"streamed").finish(),
        }
    }
}
