//! What a handler can do: wait for events, read the request, answer or stream.

use super::{
    super::{NoEvent, reply_headers::complete},
    body_sender::BodySender,
    common::Common,
    reply::{IntoReply, Kind, Reply},
    sse::{self, Sse},
};
use crate::{
    channels::{Channels, Event, Group, Mailbox, Missed, Shared},
    error::{Error, ErrorKind, Result},
    name::ChannelName,
    protocol::{Body, Exchange, Http, Pipe, PipeBody, PipeEnd, detached},
    scope::Scope,
};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use std::{future::poll_fn, marker::PhantomData, sync::Arc, task::Poll, time::Duration};

/// What a handler of an [`HttpConsumer`](super::HttpConsumer) can do: wait for events, read the request, answer or stream.
pub struct HttpContext<E = NoEvent> {
    pub(super) scope: Scope<Http>,
    pub(super) common: Arc<Common>,
    /// Gone once the head of the answer is out.
    pub(super) exchange: Option<Exchange>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) limits: Limits,
    pub(super) event: PhantomData<fn(E)>,
}

/// What the consumer's constants say.
pub(super) struct Limits {
    /// How much of the body may still come.
    pub(super) max_body: usize,
    pub(super) send_buffer: usize,
    pub(super) send_timeout: Duration,
    pub(super) keep_alive: Duration,
}

impl<E: Event> HttpContext<E> {
    /// Waits for the next event of the groups that were joined; without a group, for the end. An event that is no `E` is
    /// counted and skipped.
    ///
    /// `None` means that the server stops: answer, or end the stream. The server waits for that, for
    /// [`drain_timeout`](crate::Serve::drain_timeout) at most; a stream of events that goes on is ended after 5 s.
    ///
    /// # Errors
    /// [`Missed`] if events before the next one may be missing. With `?` a request that waits is answered 503 and a stream
    /// ends, so that the client comes back and reads its state anew. A handler that can catch up by itself calls again.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next_event(&mut self) -> Result<Option<Shared<E>>, Missed> {
        let common = &*self.common;
        common.note_long();
        poll_fn(|cx| {
            if common.poll_last_call(cx).is_ready() {
                return Poll::Ready(Ok(None));
            }
            let Some(mailbox) = common.address.mailbox() else {
                return Poll::Pending;
            };
            loop {
                let channels = &common.address.channels;
                match std::task::ready!(mailbox.poll_event(cx)) {
                    Ok(envelope) => {
                        if let Some(event) = channels.decode(envelope) {
                            return Poll::Ready(Ok(Some(event)));
                        }
                    }
                    Err(missed) => {
                        channels.note_missed(missed);
                        return Poll::Ready(Err(missed));
                    }
                }
            }
        })
        .await
    }

    /// How many events were lost because this consumer heard them more slowly than they came: its mailbox was full.
    pub fn dropped(&self) -> u64 {
        let mailbox = self.common.address.mailbox();
        mailbox.map_or(0, Mailbox::dropped)
    }

    /// Reads the whole body of the request.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] over [`MAX_BODY`](super::HttpConsumer::MAX_BODY) bytes: through `?` a 413.
    /// [`ErrorKind::Closed`] if it is cut off or malformed, or the client sends nothing for
    /// [`body_timeout`](crate::Serve::body_timeout): through `?` a 400 or a 408.
    ///
    /// # Cancel safety
    /// None: what was read is lost. Use [`next_chunk`](HttpContext::next_chunk).
    pub async fn body(&mut self) -> Result<Bytes> {
        let body = std::mem::take(&mut self.body);
        body.to_bytes(self.limits.max_body).await
    }

    /// The next piece of the request's body, as it comes; `None` at its end.
    ///
    /// # Errors
    /// As [`body`](HttpContext::body).
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|source| Error::closed().with_source(source))?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let Some(rest) = self.limits.max_body.checked_sub(chunk.len()) else {
                return Err(Error::new(
                    ErrorKind::TooLarge,
                    "the body is larger than this consumer takes",
                ));
            };
            self.limits.max_body = rest;
            return Ok(Some(chunk));
        }
        Ok(None)
    }

    /// The body itself, for what reads bodies on its own; nobody counts its bytes.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Makes the answer that `handle` returns: of a response, a status, text, bytes, JSON or a refusal.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be expressed.
    pub fn reply(&self, reply: impl IntoReply) -> Result<Reply> {
        reply
            .into_reply()
            .map(|response| Reply(Kind::Whole(response)))
    }

    /// Sends the head of an answer, whose body you then feed. Its end is what `handle` returns:
    /// [`BodySender::end`].
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the client has left, [`ErrorKind::User`] if the request is answered already.
    ///
    /// # Cancel safety
    /// None: where middleware still works on the reply, such as a session that is saved, the request can then only be
    /// answered 500.
    pub async fn stream(&mut self, head: Response<()>) -> Result<BodySender> {
        let pipe = self.begin(head, PipeEnd::CutOff, None).await?;
        Ok(BodySender::new(pipe))
    }

    /// Begins a stream of server-sent events. Its end is what `handle` returns: [`Sse::end`].
    ///
    /// # Errors
    /// As [`stream`](HttpContext::stream).
    ///
    /// # Cancel safety
    /// As [`stream`](HttpContext::stream).
    pub async fn sse(&mut self) -> Result<Sse> {
        let idle = (self.limits.keep_alive, sse::KEEP_ALIVE);
        let mut head = sse::head();
        // This head is ours: here `connect` has the last word.
        head.headers_mut().extend(self.headers.drain());
        let pipe = self.begin(head, PipeEnd::Complete, Some(idle)).await?;
        Ok(Sse::new(pipe))
    }

    async fn begin(
        &mut self,
        head: Response<()>,
        end: PipeEnd,
        idle: Option<(Duration, Bytes)>,
    ) -> Result<Arc<Pipe>> {
        let Some(exchange) = self.exchange.take() else {
            let message = "the request is answered already";
            return Err(Error::new(ErrorKind::User, message));
        };
        let pipe = Pipe::new(self.limits.send_buffer, self.limits.send_timeout);
        let mut response = head.map(|()| Body::new(PipeBody::new(pipe.clone(), idle)));
        // With it goes what whoever serves the connection has to know of its body.
        response.extensions_mut().insert(pipe.clone());
        complete(response.headers_mut(), &mut self.headers);
        // A stream may be open for hours.
        *self.scope.head = detached(&self.scope.head);
        // Boxed, so that a handler's memory does not keep room for it while the stream is open.
        Box::pin(exchange.respond(response)).await?;
        _ = self.common.pipe.set((pipe.clone(), end));
        self.common.note_long();
        Ok(pipe)
    }

    /// Makes this consumer a member of the group. Leaving happens by itself when the request is over.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if it is no group name, [`ErrorKind::Layer`] if the channel layer did not take it.
    ///
    /// # Cancel safety
    /// Safe: it is a member or not, and leaves in both cases when the request is over.
    pub async fn join(&mut self, group: &str) -> Result<Group<E>> {
        self.common.address.join(group).await
    }

    /// Ends a membership while the request goes on.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not take it.
    ///
    /// # Cancel safety
    /// As [`join`](HttpContext::join).
    pub async fn leave(&mut self, group: &Group<E>) -> Result<()> {
        match self.common.address.mailbox() {
            Some(mailbox) => group.discard(mailbox.name()).await,
            None => Ok(()),
        }
    }

    /// This consumer's own channel: its address for everyone, in every process.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not open one.
    pub async fn channel(&mut self) -> Result<&ChannelName> {
        Ok(self.common.address.open().await?.name())
    }

    /// The facts of the request.
    pub fn scope(&self) -> &Scope<Http> {
        &self.scope
    }

    /// The facts of the request, to add to.
    pub fn scope_mut(&mut self) -> &mut Scope<Http> {
        &mut self.scope
    }

    /// A value that [`Provide`](crate::middleware::Provide) or other middleware has put in.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if there is none of this type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.get()
    }

    /// The channel layer.
    pub fn channels(&self) -> &Channels {
        &self.common.address.channels
    }
}
