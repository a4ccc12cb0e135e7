//! The sender of a streamed response body.

use super::response::{HttpResponse, ResponseKind};
use crate::{
    error::Result,
    protocol::{PipeEnd, PipeSender},
};
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// The sender of a streamed response body, returned by
/// [`HttpContext::stream`](super::HttpContext::stream).
///
/// ```
/// use seaway::{HttpContext, HttpResponse, NoEvent, Result, http::Response};
///
/// async fn numbers(ctx: &mut HttpContext) -> Result<HttpResponse> {
///     let body = ctx.stream(Response::new(())).await?;
///     for number in 0..1_000_000 {
///         body.send(format!("{number}\n")).await?;
///     }
///     Ok(body.end())
/// }
/// ```
///
/// If it is dropped before [`end`](BodySender::end), the response is aborted in a way that the
/// client can detect: the connection is closed (over HTTP/2 the stream is reset).
pub struct BodySender {
    pipe: Arc<PipeSender>,
}

impl BodySender {
    pub(super) fn new(pipe: Arc<PipeSender>) -> Self {
        Self { pipe }
    }

    /// Sends a chunk.
    ///
    /// Waits while [`SEND_BUFFER`](super::HttpConsumer::SEND_BUFFER) bytes are queued for a client
    /// that reads slowly; the chunk that exceeds the bound is still queued whole. It
    /// fails if the client reads nothing for [`SEND_TIMEOUT`](super::HttpConsumer::SEND_TIMEOUT).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has left or the response has
    /// ended: return it (`?`), it is not logged.
    ///
    /// # Cancel safety
    /// Safe: the chunk is queued whole or not at all.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<()> {
        self.pipe.send(chunk.into()).await
    }

    /// Ends the body; return the response from `handle`.
    pub fn end(self) -> HttpResponse {
        self.pipe.end(PipeEnd::Complete);
        HttpResponse(ResponseKind::Streamed)
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        self.pipe.end(PipeEnd::Incomplete);
    }
}

impl fmt::Debug for BodySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySender").finish_non_exhaustive()
    }
}
