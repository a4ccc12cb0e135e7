//! WebSocket consumers over server-sent events and POST, for clients whose network blocks
//! WebSockets.
//!
//! | file | contents |
//! | --- | --- |
//! | `mod.rs` | the middleware, and the opening of a stream |
//! | `stream.rs` | the transport: messages out as events, messages in from POSTs |
//! | `post.rs` | a POST, which may arrive in another process |
//! | `forward.rs` | what the two send each other through the channel layer |

mod forward;
mod post;
mod stream;

use self::{forward::ConnectionId, stream::FallbackStream};
use super::http::{CONNECT_LIMIT, sse};
use crate::{
    application::Application,
    channels::{Channels, Mailbox},
    digest::digest,
    error::{Error, ErrorKind, Result},
    header_list,
    protocol::{
        Body, ConnectionHandle, Exchange, HandshakeResponse, Http, Opened, Origin, SignalWatch,
        Upgrade, WebSocket, detached, without_upgrade,
    },
    rejection::Rejection,
    rejection_log::Rule,
    required_state::RequiredState,
    scope::{OpensOverHttp, Scope},
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use std::future::Future;
use tokio::{sync::oneshot, time::timeout};
use tower_layer::Layer;

/// Middleware that serves WebSocket consumers over server-sent events and POST, too: for clients
/// whose network blocks WebSockets.
///
/// The wrapped application is one for HTTP. Route it below the paths of the WebSockets:
///
/// ```
/// use seaway::{
///     ApplicationExt, Channels, WebSocketConsumer,
///     consumer::SseFallback,
///     protocol::Http,
///     routing::{PathRouter, ProtocolTypeRouter},
/// };
/// # use seaway::{Context, Handshake, NoEvent, Rejection, Result};
/// # struct Chat;
/// # impl WebSocketConsumer for Chat {
/// #     type Input = String;
/// #     type Event = NoEvent;
/// #     async fn connect(_: &mut Handshake) -> Result<Self, Rejection> { Ok(Self) }
/// #     async fn receive(&mut self, _: &mut Context, _: String) -> Result<()> { Ok(()) }
/// # }
///
/// let channels = Channels::in_memory();
/// let sockets = PathRouter::new().route("/ws/chat/{room}", Chat::application(&channels));
/// let streams = sockets.clone().with(SseFallback::new(&channels));
///
/// let app = ProtocolTypeRouter::new()
///     .http(PathRouter::<Http>::new().route("/ws/{*path}", streams))
///     .websocket(sockets);
/// ```
///
/// `GET` with `Accept: text/event-stream` opens a connection, and each `POST` is a message of the
/// client; `docs/browser-client.md` describes the wire format. The consumer notices no difference,
/// except that a binary message closes the connection with 1003. Middleware around both, sessions
/// and users among it, applies to the `GET` as to a handshake. A `POST` needs the secret id of its
/// connection, and may arrive in any process that shares the channel layer.
///
/// A stream is added to a group of its own once its consumer has accepted, so a rejected `GET` costs
/// the channel layer no more than a rejected handshake. If the channel layer fails, or takes longer
/// than 10 s, the client gets 503, and the consumer's `disconnect` runs with 1006.
///
/// A `POST` gets 204 once its message is queued for the consumer; 404 if there is no such
/// connection, or if its process does not answer within 4 s; 413 for a message that is too large;
/// and 429 or 503 with `Retry-After` at the bounds of the connection
/// ([`rate_limit`](crate::protocol::WebSocketConfig::rate_limit), or 64 messages or 64 KiB that
/// wait while a hook runs): then it was not handled, and may be sent again.
/// For a message above 4 KiB the process with the connection is asked first, and the body is read
/// only if the connection is open and may send.
#[derive(Clone, Debug)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct SseFallback {
    channels: Channels,
    max_body: usize,
}

/// An application wrapped by [`SseFallback`].
#[derive(Clone, Debug)]
pub struct WithSseFallback<A> {
    inner: A,
    settings: SseFallback,
}

impl SseFallback {
    /// Creates the middleware; a `POST` reaches its connection through these channels.
    pub fn new(channels: &Channels) -> Self {
        Self {
            channels: channels.clone(),
            max_body: 1024 * 1024,
        }
    }

    /// Sets the largest body of a `POST`, in bytes (default: 1 MiB).
    ///
    /// At the bound it gets 413, as does a message over the
    /// [`max_message_size`](crate::protocol::WebSocketConfig::max_message_size) of its connection.
    ///
    /// ```
    /// use seaway::{Channels, consumer::SseFallback};
    ///
    /// let fallback = SseFallback::new(&Channels::in_memory()).max_body(64 * 1024);
    /// ```
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }
}

impl<A> Layer<A> for SseFallback {
    type Service = WithSseFallback<A>;

    fn layer(&self, inner: A) -> Self::Service {
        WithSseFallback {
            inner,
            settings: self.clone(),
        }
    }
}

impl<A: Application<WebSocket>> Application<Http> for WithSseFallback<A> {
    async fn call(&self, scope: Scope<Http>, exchange: Exchange) -> crate::Result<()> {
        let head = &scope.head;
        let rejection = match head.method {
            Method::GET if accepts_events(&head.headers) => {
                return self.open(scope, exchange).await;
            }
            Method::POST => {
                let SseFallback { channels, max_body } = &self.settings;
                return Ok(post::answer(channels, *max_body, &scope, exchange).await?);
            }
            Method::GET => without_upgrade(head),
            _ => Rejection::from_status(StatusCode::METHOD_NOT_ALLOWED)
                .header(header::ALLOW, HeaderValue::from_static("GET, POST"))
                .by(Rule::Method),
        };
        Ok(Http::reject(exchange, rejection).await?)
    }

    fn required_state(&self) -> RequiredState {
        self.inner.required_state()
    }
}

impl<A: Application<WebSocket>> WithSseFallback<A> {
    /// Runs the application with a stream in place of a WebSocket.
    async fn open(&self, mut scope: Scope<Http>, exchange: Exchange) -> crate::Result<()> {
        if is_cross_site(&scope.head.headers) {
            let text = "pages of another site may not open a stream here";
            let rejection = Rejection::new(StatusCode::FORBIDDEN, text).by(Rule::Origin);
            return Ok(Http::reject(exchange, rejection).await?);
        }
        *scope.head = detached(&scope.head);
        let origin = Origin::of(&scope.head.headers, &scope.head.uri, &scope.extensions);
        let page = scope.head.headers.get(header::ORIGIN);
        let page = page.map(|page| digest(page.as_bytes()));
        let handle = exchange.handle().cloned();
        let left = handle.as_ref().map(ConnectionHandle::half_close);
        let (opened, opening) = oneshot::channel::<FallbackStream>();
        let open = Box::new(|| {
            Box::pin(async move {
                // It is not sent if it could not be opened: then the client got a rejection.
                let stream = opening.await.map_err(|_| Error::closed())?;
                Ok(Opened::Transport(Box::new(stream)))
            }) as _
        });
        let (upgrade, response) = Upgrade::new(origin, None, scope.peer(), handle, open);
        let running = self.inner.call(scope.into_protocol(), upgrade);
        // Runs only if the client is accepted: a rejected one must not cost a subscription.
        let stream = open_stream(self.settings.channels.clone(), left, page);
        // Boxed, so that an open connection does not hold the memory of its response.
        let responding = Box::pin(respond(exchange, response, stream, opened));
        let (outcome, ()) = tokio::join!(running, responding);
        outcome
    }
}

/// Opens the stream of a client whose handshake was accepted, and returns the body of its response.
async fn open_stream(
    channels: Channels,
    left: Option<SignalWatch>,
    page: Option<String>,
) -> Result<(FallbackStream, Body)> {
    let listening = timeout(CONNECT_LIMIT, listen(&channels)).await;
    let (id, mailbox) = listening.map_err(|_| {
        let message = "the channel layer took longer than 10 s to open a stream of `SseFallback`";
        Error::new(ErrorKind::Layer, message)
    })??;
    FallbackStream::new(channels, mailbox, id, left, page)
}

/// Opens the mailbox to which the POSTs of a new connection are forwarded.
async fn listen(channels: &Channels) -> Result<(ConnectionId, Mailbox)> {
    let id = ConnectionId::new()?;
    let mailbox = channels.open().await?;
    id.group(channels)?.add(mailbox.name()).await?;
    Ok((id, mailbox))
}

/// Sends the response to the handshake: a stream in place of a 101.
async fn respond(
    exchange: Exchange,
    response: oneshot::Receiver<HandshakeResponse>,
    stream: impl Future<Output = Result<(FallbackStream, Body)>>,
    opened: oneshot::Sender<FallbackStream>,
) {
    // If the application has ended without a response, so does the exchange, which is a 500.
    let Ok(mut response) = response.await else {
        return;
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (stream, body) = match stream.await {
            Ok(stream) => stream,
            Err(error) => {
                let rejection = Rejection::from(error).keeping_cookies(response.headers());
                _ = Http::reject(exchange, rejection).await;
                return;
            }
        };
        // If the application has ended, so does the stream.
        _ = opened.send(stream);
        response = accepted(response, body);
    }
    // If the client has left, the stream has lost its reader, and ends the consumer.
    _ = exchange.respond(response).await;
}

fn accepted(response: HandshakeResponse, body: Body) -> Response<Body> {
    let (mut head, _) = response.into_parts();
    head.status = StatusCode::OK;
    head.headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    let (stream, ()) = sse::head().into_parts();
    head.headers.extend(stream.headers);
    Response::from_parts(head, body)
}

/// Returns whether the client asks for server-sent events.
fn accepts_events(headers: &HeaderMap) -> bool {
    header_list::items(headers, header::ACCEPT).any(|item| {
        let kind = item.split(';').next().unwrap_or_default().trim_end();
        kind.eq_ignore_ascii_case("text/event-stream")
    })
}

/// Returns whether a page of another site requests this without an `Origin`, as a `no-cors` fetch
/// does. The handshake of a WebSocket always has one.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let is_ours = matches!(fetch_site(headers), None | Some(b"same-origin" | b"none"));
    !is_ours && !headers.contains_key(header::ORIGIN)
}

/// Returns how the page that requests this relates to this server, as the browser states it: no
/// page can set the header.
fn fetch_site(headers: &HeaderMap) -> Option<&[u8]> {
    headers.get("sec-fetch-site").map(HeaderValue::as_bytes)
}
