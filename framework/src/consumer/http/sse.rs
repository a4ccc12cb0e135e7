//! A stream of server-sent events.

use super::{
    response::{HttpResponse, ResponseKind},
    sse_event::{IntoSseEvent, SseEvent},
};
use crate::{
    error::Result,
    metric,
    protocol::{PipeEnd, PipeSender},
};
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use std::{fmt, sync::Arc, time::Duration};

/// A stream of server-sent events (WHATWG HTML, 9.2), returned by
/// [`HttpContext::sse`](super::HttpContext::sse).
///
/// ```
/// use seaway::{HttpContext, HttpResponse, Json, Result, SseEvent};
/// # #[derive(seaway::Event)] enum ChatEvent { Message { text: String } }
///
/// async fn handle(ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
///     let events = ctx.sse().await?;
///     events.send(SseEvent::text("welcome").name("greeting")).await?;
///     while let Some(event) = ctx.next_event().await? {
///         events.send(Json(event)).await?;
///     }
///     Ok(events.end())
/// }
/// ```
///
/// While it is idle, a comment is sent every [`KEEP_ALIVE`](super::HttpConsumer::KEEP_ALIVE).
/// Dropping it ends the stream; an `EventSource` then reconnects by itself, with the id of the last
/// event that it received.
pub struct Sse {
    pipe: Arc<PipeSender>,
    _counted: metric::OpenEventStream,
}

impl Sse {
    pub(super) fn new(pipe: Arc<PipeSender>) -> Self {
        Self {
            pipe,
            _counted: metric::OpenEventStream::new(),
        }
    }

    /// Sends an event: text, [`Json`](crate::Json), or an [`SseEvent`] with name and id.
    ///
    /// Waits as [`BodySender::send`](super::BodySender::send) does.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has left or the stream has
    /// ended: return it (`?`), it is not logged. [`ErrorKind::Codec`](crate::ErrorKind::Codec) if
    /// the event cannot be encoded.
    ///
    /// # Cancel safety
    /// Safe: the event is queued whole or not at all.
    pub async fn send(&self, event: impl IntoSseEvent) -> Result<()> {
        let bytes = event.into_sse_event()?.encode()?;
        self.pipe.send(bytes).await
    }

    /// Sends a comment, which an `EventSource` ignores.
    ///
    /// ```
    /// # async fn example(events: &seaway::Sse) -> seaway::Result<()> {
    /// events.comment("still reading the history").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Sse::send).
    pub async fn comment(&self, text: &str) -> Result<()> {
        self.send(SseEvent::comment(text)).await
    }

    /// Ends the stream; return the response from `handle`.
    pub fn end(self) -> HttpResponse {
        self.pipe.end(PipeEnd::Complete);
        HttpResponse(ResponseKind::Streamed)
    }
}

impl Drop for Sse {
    fn drop(&mut self) {
        self.pipe.end(PipeEnd::Complete);
    }
}

/// The comment that is sent while a stream is idle.
pub(in crate::consumer) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Returns the line that sets how long the client waits before it reconnects.
pub(super) fn retry(pause: Duration) -> Bytes {
    format!("retry: {}\n\n", pause.as_millis()).into()
}

/// Returns the response head of a stream: proxies must neither cache nor buffer it
/// (`x-accel-buffering` is nginx's own header).
pub(in crate::consumer) fn head() -> Response<()> {
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
