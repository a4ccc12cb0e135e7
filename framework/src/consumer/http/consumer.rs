//! The trait of HTTP consumers.

use super::{super::HttpHandshake, Disconnect, HttpContext, HttpResponse};
use crate::{
    channels::{Channels, Event},
    error::Result,
    rejection::Rejection,
    required_state::RequiredState,
};
use http::Method;
use std::{fmt, future::Future, marker::PhantomData, time::Duration};

/// A consumer of one HTTP request, which may wait for events before it responds, or stream its
/// response: one value per request, created by [`connect`](HttpConsumer::connect).
///
/// ```
/// use seaway::{HttpConsumer, HttpContext, HttpHandshake, HttpResponse, Json, Rejection, Result, http::StatusCode};
/// use std::time::Duration;
/// # #[derive(seaway::Event)] enum ChatEvent { Message { text: String } }
///
/// /// Long polling: the next message in the room, or 204 after 30 s.
/// struct Next;
///
/// impl HttpConsumer for Next {
///     type Event = ChatEvent;
///
///     async fn connect(handshake: &mut HttpHandshake<ChatEvent>) -> Result<Self, Rejection> {
///         handshake.join("chat.lobby").await?;
///         Ok(Next)
///     }
///
///     async fn handle(&mut self, ctx: &mut HttpContext<ChatEvent>) -> Result<HttpResponse> {
///         match tokio::time::timeout(Duration::from_secs(30), ctx.next_event()).await {
///             Ok(Ok(Some(event))) => ctx.response(Json(event)),
///             _ => ctx.response(StatusCode::NO_CONTENT),
///         }
///     }
/// }
/// ```
///
/// When the client disconnects, the handler's future is dropped at its await. An error before the
/// response head is sent becomes a [`Rejection`]: 400 for an invalid name, 401 for a session that
/// has ended, 413 for a body that is too large, 503 for the channel layer, the session store or a
/// timeout, 500 for all else, which is logged. A later error aborts the stream, or ends it if it is
/// one of server-sent events.
///
/// The guide is `docs/http-consumers.md`: long polling, streams without gaps, bodies, consumers
/// beside other routes, and how a request ends.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an `HttpConsumer`",
    label = "put #[consumer] on its `impl` block with a `handle`, or #[consumer(sse)] without one, or write `impl HttpConsumer for {Self}`"
)]
pub trait HttpConsumer: Sized + Send + 'static {
    /// The type of events from other consumers: your type, or [`NoEvent`](crate::NoEvent).
    type Event: Event;

    /// Methods this consumer accepts (default, and if empty: GET, HEAD, POST, PUT, PATCH, DELETE,
    /// OPTIONS).
    ///
    /// Others get 405 with an `Allow` header before `connect` runs. GET includes HEAD (RFC 9110,
    /// 9.1).
    ///
    /// ```
    /// # use seaway::{HttpConsumer, HttpContext, HttpHandshake, HttpResponse, NoEvent, Rejection, Result};
    /// use seaway::http::Method;
    ///
    /// # struct Events;
    /// impl HttpConsumer for Events {
    ///     const METHODS: &'static [Method] = &[Method::GET];
    ///     // …
    /// #   type Event = NoEvent;
    /// #   async fn connect(_: &mut HttpHandshake) -> Result<Self, Rejection> { Ok(Events) }
    /// #   async fn handle(&mut self, ctx: &mut HttpContext) -> Result<HttpResponse> { ctx.response("") }
    /// }
    /// ```
    const METHODS: &'static [Method] = &[];

    /// Maximum size of a request body in bytes (default: 1 MiB).
    ///
    /// A request that announces more gets 413 before `connect` runs and before its body is read;
    /// for a body that turns out to be larger, [`body`](HttpContext::body) or
    /// [`next_chunk`](HttpContext::next_chunk) fails.
    const MAX_BODY: usize = 1024 * 1024;

    /// How many bytes of a streamed response may be queued for a client that reads slowly (default:
    /// 64 KiB).
    ///
    /// At the bound `send` waits; the chunk that exceeds it is still queued whole.
    const SEND_BUFFER: usize = 64 * 1024;

    /// How long `send` waits for a client that reads nothing (default: 60 s); then it fails.
    ///
    /// Detection takes between one and two times this value. Progress is noticed per piece that the
    /// connection takes, of at most 256 KiB: a client that reads more slowly than about 4 KiB/s
    /// counts as stalled, too.
    ///
    /// The server closes the connection of such a client after
    /// [`write_timeout`](crate::Serve::write_timeout), and over HTTP/2 resets the stream.
    const SEND_TIMEOUT: Duration = Duration::from_secs(60);

    /// How often a comment is sent on an idle [`Sse`](super::Sse), so that proxies do not close it
    /// (default: 15 s).
    ///
    /// With [`Duration::MAX`] none is sent.
    const KEEP_ALIVE: Duration = Duration::from_secs(15);

    /// Whether a client that closes its sending side (TCP FIN) while `handle` waits counts as
    /// disconnected (default: `true`).
    ///
    /// The future of `handle` is then dropped, and the client gets 499 if the response has not
    /// begun.
    ///
    /// A FIN does not distinguish a client that has closed the whole connection from one that still
    /// waits for the response. With `false` both are served, until a write fails or
    /// [`half_close_timeout`](crate::Serve::half_close_timeout) has passed. A reset (RST) ends the
    /// request in any case.
    const DISCONNECT_ON_HALF_CLOSE: bool = true;

    /// Accepts or rejects the request.
    ///
    /// `Ok` accepts it; `Err` responds with that status and text. After 10 s the client gets 503.
    fn connect(
        handshake: &mut HttpHandshake<Self::Event>,
    ) -> impl Future<Output = Result<Self, Rejection>> + Send;

    /// Handles the request and returns the response: a whole one, or the end of a
    /// [stream](HttpContext::stream) that it has started.
    fn handle(
        &mut self,
        ctx: &mut HttpContext<Self::Event>,
    ) -> impl Future<Output = crate::Result<HttpResponse>> + Send;

    /// Runs exactly once when the request ends, for any reason.
    ///
    /// It runs for every consumer that `connect` returned, after its groups are left, for 30 s at
    /// most (fixed).
    ///
    /// [`Disconnect`] says how it ended.
    fn disconnect(self, end: Disconnect) -> impl Future<Output = ()> + Send {
        _ = end;
        async {}
    }

    /// Returns the values that this consumer needs in its scope (default: none, so nothing is
    /// checked).
    ///
    /// [`serve`](crate::serve) checks them before it accepts connections, if it serves a
    /// [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter) or
    /// [`PathRouter`](crate::routing::PathRouter); not those of a consumer that it serves without a
    /// router, nor behind a tower layer around the router:
    /// [there](crate::routing::ProtocolTypeRouter::required_state) check them yourself.
    ///
    /// `RequiredState::of::<Database>()` requires a value for `handshake.state::<Database>()`.
    ///
    /// ```
    /// use seaway::RequiredState;
    /// # #[derive(Clone)] struct Database;
    ///
    /// fn required_state() -> RequiredState {
    ///     RequiredState::of::<Database>()
    /// }
    /// # required_state();
    /// ```
    fn required_state() -> RequiredState {
        RequiredState::none()
    }

    /// Returns the application that creates a consumer for each request: route it, serve it, or
    /// mount it in axum.
    ///
    /// # Panics
    /// If [`KEEP_ALIVE`](HttpConsumer::KEEP_ALIVE) or [`SEND_TIMEOUT`](HttpConsumer::SEND_TIMEOUT)
    /// is zero.
    #[track_caller]
    fn application(channels: &Channels) -> HttpConsumerApplication<Self> {
        assert!(
            !Self::KEEP_ALIVE.is_zero(),
            "KEEP_ALIVE is zero; use a period above zero, or Duration::MAX to send no comments"
        );
        assert!(
            !Self::SEND_TIMEOUT.is_zero(),
            "SEND_TIMEOUT is zero; use a timeout above zero, or Duration::MAX for none"
        );
        HttpConsumerApplication {
            channels: channels.clone(),
            consumer: PhantomData,
        }
    }
}

/// The application of an HTTP consumer, made by [`HttpConsumer::application`].
#[must_use = "an application does nothing until it is routed or served"]
pub struct HttpConsumerApplication<C> {
    pub(super) channels: Channels,
    consumer: PhantomData<fn() -> C>,
}

impl<C> Clone for HttpConsumerApplication<C> {
    fn clone(&self) -> Self {
        Self {
            channels: self.channels.clone(),
            consumer: PhantomData,
        }
    }
}

impl<C> fmt::Debug for HttpConsumerApplication<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpConsumerApplication")
            .field(&std::any::type_name::<C>())
            .finish()
    }
}
