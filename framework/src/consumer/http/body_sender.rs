//! An answer whose head is out, and whose body is fed.

use super::reply::{Kind, Reply};
use crate::{
    error::Result,
    protocol::{Pipe, PipeEnd},
};
use bytes::Bytes;
use std::{fmt, sync::Arc};

/// An answer whose head is out, and whose body is fed: what [`HttpContext::stream`](super::HttpContext::stream) returns.
///
/// ```
/// use seaway::{Reply, HttpContext, NoEvent, Result, http::Response};
///
/// async fn numbers(ctx: &mut HttpContext) -> Result<Reply> {
///     let body = ctx.stream(Response::new(())).await?;
///     for number in 0..1_000_000 {
///         body.send(format!("{number}\n")).await?;
///     }
///     Ok(body.end())
/// }
/// ```
///
/// Dropped before its [`end`](BodySender::end), the answer is cut off, and the client can tell: the connection breaks (over
/// HTTP/2 the stream does).
pub struct BodySender {
    pipe: Arc<Pipe>,
}

impl BodySender {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }

    /// Sends a chunk. Waits while [`SEND_BUFFER`](super::HttpConsumer::SEND_BUFFER) bytes wait for a client that reads
    /// slowly; the chunk that passes the bound is still taken whole. A client that takes nothing for
    /// [`SEND_TIMEOUT`](super::HttpConsumer::SEND_TIMEOUT) has left.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has left or the answer is over: return it (`?`), it
    /// is no fault.
    ///
    /// # Cancel safety
    /// Safe: the chunk is queued whole or not at all.
    pub async fn send(&self, chunk: impl Into<Bytes>) -> Result<()> {
        self.pipe.send(chunk.into()).await
    }

    /// The body is complete: return this from `handle`.
    pub fn end(self) -> Reply {
        self.pipe.end(PipeEnd::Complete);
        Reply(Kind::Streamed)
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        self.pipe.end(PipeEnd::CutOff);
    }
}

impl fmt::Debug for BodySender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodySender").finish_non_exhaustive()
    }
}
