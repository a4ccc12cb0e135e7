//! The context of an HTTP consumer: events, the request body, and the response.

use super::{
    super::{NoEvent, response_headers::complete},
    body_sender::BodySender,
    handler_state::HandlerState,
    response::{HttpResponse, IntoHttpResponse, ResponseKind},
    sse::{self, Sse},
};
use crate::{
    channels::{
        Channels, Event, Group, Includes, Leave, Mailbox, Meta, Missed, Position, Presence,
        PresenceEvent, Shared, Topic, TopicEvent,
    },
    error::{BodyError, Error, ErrorKind, Result},
    name::{ChannelName, IntoGroupName},
    protocol::{Body, Exchange, Http, PipeBody, PipeEnd, PipeSender, detached},
    scope::Scope,
};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use std::{fmt, future::poll_fn, marker::PhantomData, sync::Arc, task::Poll, time::Duration};

/// The context of an [`HttpConsumer`](super::HttpConsumer)'s handler: wait for events, read the
/// body, respond or stream.
///
/// ```
/// use seaway::{HttpContext, HttpResponse, Json, Result};
///
/// /// Responds with the length of the request body.
/// async fn count(ctx: &mut HttpContext) -> Result<HttpResponse> {
///     let body = ctx.body().await?;
///     ctx.response(Json(body.len()))
/// }
/// ```
pub struct HttpContext<E = NoEvent> {
    pub(super) scope: Scope<Http>,
    pub(super) handler_state: Arc<HandlerState>,
    /// `None` once the response has begun.
    pub(super) exchange: Option<Exchange>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) limits: HttpLimits,
    pub(super) event: PhantomData<fn(E)>,
}

/// The limits that the consumer's constants set.
pub(super) struct HttpLimits {
    pub(super) max_body: usize,
    /// How many more bytes the body may have.
    pub(super) body_rest: usize,
    pub(super) send_buffer: usize,
    pub(super) send_timeout: Duration,
    pub(super) keep_alive: Duration,
}

impl HttpLimits {
    fn too_large(&self) -> Error {
        Error::body_too_large(self.max_body)
    }
}

impl<E: Event> HttpContext<E> {
    /// Returns the next event of the groups that this consumer has joined.
    ///
    /// It waits until there is one; without a group, until the server stops.
    ///
    /// An event that cannot be decoded as `E` is counted and skipped.
    ///
    /// `None` means that the server stops: respond, or end the stream. The server waits for that, for
    /// [`drain_timeout`](crate::Serve::drain_timeout) at most; an event stream that is still open
    /// is ended after 5 s.
    ///
    /// # Errors
    /// [`Missed`] if events before the next one may be missing. Through `?` a waiting request gets
    /// 503 and a stream ends, so that the client reconnects and reloads its state. A handler that
    /// can catch up by itself calls `next_event` again.
    ///
    /// # Cancel safety
    /// Safe: no event is lost.
    pub async fn next_event(&mut self) -> Result<Option<Shared<E>>, Missed> {
        let handler_state = &*self.handler_state;
        handler_state.mark_long_running();
        poll_fn(|cx| {
            if handler_state.poll_stop_notice(cx).is_ready() {
                return Poll::Ready(Ok(None));
            }
            let Some(mailbox) = handler_state.address.mailbox() else {
                return Poll::Pending;
            };
            loop {
                let channels = &handler_state.address.channels;
                match std::task::ready!(mailbox.poll_event(cx)) {
                    Ok(envelope) => {
                        if let Some(event) = channels.decode(envelope) {
                            return Poll::Ready(Ok(Some(event)));
                        }
                    }
                    Err(missed) => {
                        channels.count_missed(missed);
                        return Poll::Ready(Err(missed));
                    }
                }
            }
        })
        .await
    }

    /// Returns how many events were dropped because this consumer was too slow and its mailbox was
    /// full.
    pub fn dropped(&self) -> u64 {
        let mailbox = self.handler_state.address.mailbox();
        mailbox.map_or(0, Mailbox::dropped)
    }

    /// Reads the whole request body.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] over [`MAX_BODY`](super::HttpConsumer::MAX_BODY) bytes: through `?`
    /// a 413. [`ErrorKind::Closed`] if the body is incomplete or malformed, or the client sends
    /// nothing for [`body_timeout`](crate::Serve::body_timeout): through `?` a 400 or a 408.
    ///
    /// # Cancel safety
    /// Not safe: what was read is lost. Use [`next_chunk`](HttpContext::next_chunk).
    pub async fn body(&mut self) -> Result<Bytes> {
        let body = std::mem::take(&mut self.body);
        let limits = &self.limits;
        let body = body.to_bytes(limits.body_rest).await;
        body.map_err(|error| match error.body_error() {
            Some(BodyError::TooLarge(_)) => limits.too_large(),
            _ => error,
        })
    }

    /// Returns the next chunk of the request body as it arrives; `None` at its end.
    ///
    /// # Errors
    /// As [`body`](HttpContext::body).
    ///
    /// # Cancel safety
    /// Safe: nothing is lost.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(Error::unread_body)?;
            let Ok(chunk) = frame.into_data() else {
                continue;
            };
            let Some(rest) = self.limits.body_rest.checked_sub(chunk.len()) else {
                return Err(self.limits.too_large());
            };
            self.limits.body_rest = rest;
            return Ok(Some(chunk));
        }
        Ok(None)
    }

    /// Takes the request body, for code that reads bodies itself.
    ///
    /// [`MAX_BODY`](super::HttpConsumer::MAX_BODY) no longer applies to it.
    pub fn take_body(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    /// Returns the response that `handle` is to return, made from a response, a status, text, bytes,
    /// JSON or a [`Rejection`](crate::Rejection).
    ///
    /// It sends nothing itself.
    ///
    /// # Errors
    /// [`ErrorKind::Codec`] if the value cannot be encoded.
    pub fn response(&self, response: impl IntoHttpResponse) -> crate::Result<HttpResponse> {
        Ok(HttpResponse(ResponseKind::Whole(
            response.into_http_response()?,
        )))
    }

    /// Sends the response head and returns a sender for the body.
    ///
    /// `handle` returns its [`end`](BodySender::end).
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] if the client has left, [`ErrorKind::User`] if the response has
    /// already begun.
    ///
    /// # Cancel safety
    /// Not safe: if it is cancelled while middleware works on the response, such as saving a
    /// session, the request can only get 500.
    pub async fn stream(&mut self, head: Response<()>) -> Result<BodySender> {
        let pipe = self.begin(head, PipeEnd::Incomplete, None).await?;
        Ok(BodySender::new(pipe))
    }

    /// Starts a stream of server-sent events.
    ///
    /// `handle` returns its [`end`](Sse::end).
    ///
    /// # Errors
    /// As [`stream`](HttpContext::stream).
    ///
    /// # Cancel safety
    /// As [`stream`](HttpContext::stream).
    pub async fn sse(&mut self) -> Result<Sse> {
        let idle = (self.limits.keep_alive, sse::KEEP_ALIVE);
        let mut head = sse::head();
        // The framework made this head, so headers that `connect` has set replace its own.
        head.headers_mut().extend(self.headers.drain());
        let pipe = self.begin(head, PipeEnd::Complete, Some(idle)).await?;
        Ok(Sse::new(pipe))
    }

    async fn begin(
        &mut self,
        head: Response<()>,
        end: PipeEnd,
        idle: Option<(Duration, Bytes)>,
    ) -> Result<Arc<PipeSender>> {
        let Some(exchange) = self.exchange.take() else {
            let message = "the response has already begun: call `stream` or `sse` once";
            return Err(Error::new(ErrorKind::User, message));
        };
        let pipe = PipeSender::new(self.limits.send_buffer, self.limits.send_timeout);
        let mut response = head.map(|()| Body::new(PipeBody::new(pipe.clone(), idle)));
        complete(response.headers_mut(), &mut self.headers);
        // A stream may be open for hours: its head must not pin hyper's read buffer.
        *self.scope.head = detached(&self.scope.head);
        // Boxed, so that the handler's future reserves no memory for it while the stream is open.
        Box::pin(exchange.respond(response)).await?;
        _ = self.handler_state.pipe.set((pipe.clone(), end));
        self.handler_state.mark_long_running();
        Ok(pipe)
    }

    /// Adds this consumer to a group.
    ///
    /// The membership ends with the request.
    ///
    /// # Errors
    /// [`ErrorKind::Name`] if `group` is not a valid group name, [`ErrorKind::Layer`] if the
    /// channel layer did not accept it.
    ///
    /// # Cancel safety
    /// Safe: the consumer is a member or not, and a membership ends with the request in any case.
    pub async fn join(&mut self, group: impl IntoGroupName) -> Result<Group<E>> {
        self.handler_state.address.join(group).await
    }

    /// Adds this consumer to a group of events that `E` [includes](crate::Includes): for consumers
    /// that receive the events of groups with different event types.
    ///
    /// ```
    /// use seaway::{HttpContext, Event, Group, Result};
    ///
    /// #[derive(Event)]
    /// enum LotEvent { Sold }
    ///
    /// #[derive(Event)]
    /// enum BidderEvent {
    ///     #[event(include)]
    ///     Lot(LotEvent),
    /// }
    ///
    /// async fn watch(ctx: &mut HttpContext<BidderEvent>) -> Result<Group<LotEvent>> {
    ///     Ok(ctx.join_as::<LotEvent>("lot.8").await?)
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`join`](HttpContext::join).
    ///
    /// # Cancel safety
    /// As [`join`](HttpContext::join).
    pub async fn join_as<G: Event>(&mut self, group: impl IntoGroupName) -> Result<Group<G>>
    where
        E: Includes<G>,
    {
        self.handler_state.address.join(group).await
    }

    /// Makes this consumer present in a group; see
    /// [`Handshake::present`](crate::Handshake::present).
    ///
    /// ```
    /// use seaway::{HttpContext, HttpResponse, Json, PresenceEvent, Result};
    ///
    /// /// Streams who is connected.
    /// async fn handle(ctx: &mut HttpContext<PresenceEvent<String>>) -> Result<HttpResponse> {
    ///     let here = ctx.present("lot.7", "ana", "looking".to_owned()).await?;
    ///     let stream = ctx.sse().await?;
    ///     ctx.update(&here, "streaming".to_owned()).await?;
    ///     while let Some(event) = ctx.next_event().await? {
    ///         stream.send(Json(event)).await?;
    ///     }
    ///     Ok(stream.end())
    /// }
    /// ```
    ///
    /// If it is present there already, it changes to this key and meta, and receives the whole list
    /// again: so it catches up if it has [missed](crate::Missed) events.
    ///
    /// # Errors
    /// As [`Handshake::present`](crate::Handshake::present).
    ///
    /// # Cancel safety
    /// Safe: the consumer is present or not.
    pub async fn present<M: Meta>(
        &mut self,
        group: impl IntoGroupName,
        key: impl ToString,
        meta: M,
    ) -> Result<Presence<M>>
    where
        E: Includes<PresenceEvent<M>>,
    {
        let key = key.to_string();
        self.handler_state.address.present(group, key, &meta).await
    }

    /// Changes the meta of this connection's person, for all of their connections.
    ///
    /// # Errors
    /// As [`Presence::update`].
    pub async fn update<M: Meta>(&mut self, presence: &Presence<M>, meta: M) -> Result<()> {
        let channel = self.handler_state.address.open().await?.name();
        presence.update_of(channel, &meta).await
    }

    /// Adds this consumer to a topic: [`next_event`](HttpContext::next_event) returns what it has
    /// missed since a position, then [`TopicEvent::Recovered`], then live events.
    ///
    /// ```
    /// use seaway::{Event, HttpContext, HttpResponse, Result, SseEvent, Topic, TopicEvent};
    /// # #[derive(Event)] enum LotEvent { Placed { cents: u64 } }
    ///
    /// /// Streams a topic; a page that reconnects receives what it has missed.
    /// async fn stream(ctx: &mut HttpContext<TopicEvent<LotEvent>>, lot: &Topic<LotEvent>) -> Result<HttpResponse> {
    ///     // In `connect`: let since = handshake.since(&lot)?;
    /// #   let since = None;
    ///     ctx.resume(lot, since).await?;
    ///     let events = ctx.sse().await?;
    ///     while let Some(event) = ctx.next_event().await? {
    ///         events.send(SseEvent::topic(&event)?).await?;
    ///     }
    ///     Ok(events.end())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not accept the membership, or cannot read the
    /// history.
    ///
    /// # Cancel safety
    /// As [`join`](HttpContext::join).
    pub async fn resume<G: Event>(
        &mut self,
        topic: &Topic<G>,
        since: Option<Position>,
    ) -> Result<()>
    where
        E: Includes<TopicEvent<G>>,
    {
        self.handler_state.address.resume(topic, since).await
    }

    /// Removes this consumer from a group, or ends its presence there, before the request ends.
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not accept it.
    ///
    /// # Cancel safety
    /// As [`join`](HttpContext::join).
    pub async fn leave(&mut self, from: &impl Leave) -> Result<()> {
        match self.handler_state.address.mailbox() {
            Some(mailbox) => from.leave(mailbox.name()).await,
            None => Ok(()),
        }
    }

    /// Returns the name of this consumer's own channel, its address in every process.
    ///
    /// ```
    /// use seaway::{HttpContext, HttpResponse, Result};
    ///
    /// async fn handle(ctx: &mut HttpContext) -> Result<HttpResponse> {
    ///     let address = ctx.channel().await?.to_string();
    ///     ctx.response(address)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Layer`] if the channel layer did not open one.
    pub async fn channel(&mut self) -> Result<&ChannelName> {
        Ok(self.handler_state.address.open().await?.name())
    }

    /// Returns the scope: the metadata of the request.
    pub fn scope(&self) -> &Scope<Http> {
        &self.scope
    }

    /// Returns a mutable reference to the scope.
    pub fn scope_mut(&mut self) -> &mut Scope<Http> {
        &mut self.scope
    }

    /// Returns a value that [`Provide`](crate::middleware::Provide) or other middleware has added.
    ///
    /// # Errors
    /// [`ErrorKind::Missing`] if there is none of this type.
    pub fn state<T: Clone + Send + Sync + 'static>(&self) -> Result<&T> {
        self.scope.state()
    }

    /// Returns the handle to the channel layer.
    pub fn channels(&self) -> &Channels {
        &self.handler_state.address.channels
    }
}

impl<E> fmt::Debug for HttpContext<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpContext")
            .field("path", &self.scope.head.uri.path())
            .finish_non_exhaustive()
    }
}
