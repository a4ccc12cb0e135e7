//! A stream of events for a browser's `EventSource`.

use super::{
    reply::{Kind, Reply},
    sse_event::{IntoSseEvent, SseEvent},
};
use crate::{
    error::Result,
    protocol::{Pipe, PipeEnd},
};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use std::{fmt, sync::Arc};

/// A stream of server-sent events (WHATWG HTML, 9.2): what [`HttpContext::sse`](super::HttpContext::sse) returns.
///
/// ```
/// use seaway::{Reply, HttpContext, Json, Result, SseEvent};
/// # use serde::{Serialize, Deserialize};
/// # #[derive(Serialize, Deserialize)] #[serde(tag = "type")] enum Said { Message { text: String } }
///
/// async fn handle(ctx: &mut HttpContext<Said>) -> Result<Reply> {
///     let events = ctx.sse().await?;
///     events.send(SseEvent::text("welcome").name("greeting")).await?;
///     while let Some(said) = ctx.next_event().await? {
///         events.send(Json(said)).await?;
///     }
///     Ok(events.end())
/// }
/// ```
///
/// While nothing is sent a comment goes out every [`KEEP_ALIVE`](super::HttpConsumer::KEEP_ALIVE). Dropped, the stream ends;
/// an `EventSource` then comes back by itself, with the id of the last event it has heard.
pub struct Sse {
    pipe: Arc<Pipe>,
}

impl Sse {
    pub(super) fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe }
    }

    /// Sends an event: text, [`Json`](crate::Json), or an [`SseEvent`] with name and id. Waits as
    /// [`BodySender::send`](super::BodySender::send) does.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has left or the stream is over: return it (`?`), it
    /// is no fault. [`ErrorKind::Codec`](crate::ErrorKind::Codec) if the event cannot be written.
    ///
    /// # Cancel safety
    /// Safe: the event is queued whole or not at all.
    pub async fn send(&self, event: impl IntoSseEvent) -> Result<()> {
        let bytes = event.into_sse_event()?.encode()?;
        self.pipe.send(bytes).await
    }

    /// Sends a comment, which an `EventSource` passes over.
    ///
    /// # Errors
    /// As [`send`](Sse::send).
    pub async fn comment(&self, text: &str) -> Result<()> {
        self.send(SseEvent::comment(text)).await
    }

    /// The stream is over: return this from `handle`.
    pub fn end(self) -> Reply {
        self.pipe.end(PipeEnd::Complete);
        Reply(Kind::Streamed)
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.pipe.end(PipeEnd::Complete);
    }
}

/// What is said while nothing is.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// The head of a stream: proxies shall neither keep it nor collect it (the last is nginx's own header).
pub(super) fn head() -> Response<()> {
    let mut head = Response::new(());
    let headers = head.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    head
}

impl fmt::Debug for Sse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sse").finish_non_exhaustive()
    }
}
