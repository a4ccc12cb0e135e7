//! A WebSocket handshake that has no response yet.

use super::{
    super::{
        Body,
        connection_handle::{ConnectionHandle, UpgradedStream},
        response_hooks,
    },
    AllowedOrigins, Deflate, Origin, Socket, Transport, WebSocket, WebSocketConfig,
    transport::ByteTransport,
};
use crate::{
    error::{Error, Result},
    rejection::Rejection,
    rejection_log::{Peer, Rule},
    scope::{OpensOverHttp, ResponseHook},
};
use http::{HeaderMap, Response, StatusCode, header};
use std::{fmt, future::Future, pin::Pin, sync::Arc};
use tokio::sync::oneshot;

/// A WebSocket handshake that has no response yet.
///
/// It gets one response: the methods that send it consume the handshake. If it is dropped without a
/// response, the client gets 500.
///
/// ```
/// use seaway::{Rejection, Result, Scope, http::StatusCode, protocol::{Upgrade, WebSocket}};
///
/// async fn members_only(scope: Scope<WebSocket>, upgrade: Upgrade) -> Result<()> {
///     if !scope.head.headers.contains_key("x-member") {
///         return Ok(upgrade.reject(Rejection::from_status(StatusCode::FORBIDDEN)).await?);
///     }
///     let mut socket = upgrade.accept().await?;
///     socket.send("welcome").await?;
///     socket.close(1000).await;
///     Ok(())
/// }
/// ```
pub struct Upgrade {
    headers: HeaderMap,
    config: Arc<WebSocketConfig>,
    /// Unless set, the default.
    allowed_origins: Option<AllowedOrigins>,
    origin: Origin,
    offer: Option<Deflate>,
    peer: Peer,
    hooks: Vec<ResponseHook>,
    handle: Option<ConnectionHandle>,
    response: oneshot::Sender<HandshakeResponse>,
    open: Open,
}

/// The response to a handshake: the head of a 101, or a rejection with its body.
pub(crate) type HandshakeResponse = Response<Body>;

/// A function that waits for what is behind the handshake once the response is sent.
pub(crate) type Open = Box<dyn FnOnce() -> Opening + Send>;

/// The future of what is behind a handshake.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Opened>> + Send>>;

/// What is behind a handshake: the client's bytes, or the messages of a client without a WebSocket
/// of its own.
pub(crate) enum Opened {
    Stream(UpgradedStream),
    Transport(Box<dyn Transport>),
}

impl Upgrade {
    /// Creates a handshake, without a handle if another server serves it.
    pub(crate) fn new(
        origin: Origin,
        offer: Option<Deflate>,
        peer: Peer,
        handle: Option<ConnectionHandle>,
        open: Open,
    ) -> (Self, oneshot::Receiver<HandshakeResponse>) {
        let (response, receiver) = oneshot::channel();
        let upgrade = Self {
            headers: HeaderMap::new(),
            config: WebSocketConfig::shared(),
            allowed_origins: None,
            origin,
            offer,
            peer,
            hooks: Vec::new(),
            handle,
            response,
            open,
        };
        (upgrade, receiver)
    }

    /// Returns the headers of the response that accepts.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Returns the limits of the WebSocket once it is open.
    pub fn config(&self) -> &WebSocketConfig {
        &self.config
    }

    /// Sets the limits of the WebSocket once it is open.
    ///
    /// ```
    /// use seaway::protocol::{AllowedOrigins, Upgrade, WebSocketConfig};
    /// use std::sync::Arc;
    ///
    /// fn for_embedded_pages(upgrade: &mut Upgrade) {
    ///     upgrade.set_config(Arc::new(WebSocketConfig::new().max_message_size(4096)));
    ///     upgrade.set_allowed_origins(AllowedOrigins::any());
    /// }
    /// ```
    pub fn set_config(&mut self, config: Arc<WebSocketConfig>) {
        self.config = config;
    }

    /// Sets the origins whose pages may open this WebSocket.
    pub fn set_allowed_origins(&mut self, origins: AllowedOrigins) {
        self.allowed_origins = Some(origins);
    }

    /// Returns whether the page that opens this WebSocket has an allowed origin.
    ///
    /// [`accept`](Upgrade::accept) rejects it otherwise; check before you do anything that matters.
    pub fn is_origin_allowed(&self) -> bool {
        let allowed = self.allowed_origins.as_ref();
        allowed
            .unwrap_or(&AllowedOrigins::default())
            .allows(&self.origin)
    }

    /// Returns whether the page has an origin that middleware does not allow; without such
    /// middleware, the server behind a proxy decides.
    #[cfg(feature = "proxy")]
    pub(crate) fn is_origin_excluded(&self) -> bool {
        self.allowed_origins.is_some() && !self.is_origin_allowed()
    }

    /// Accepts the handshake, after the response hooks have run.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected, or was
    /// rejected because of its [origin](AllowedOrigins) or by a response hook.
    pub async fn accept(mut self) -> Result<Socket> {
        if !self.is_origin_allowed() {
            self.reject_origin().await?;
            return Err(Error::closed());
        }
        let (config, peer) = (self.config.clone(), self.peer.clone());
        let deflate = self.offer.filter(|_| config.compression.is_some());
        self.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        if let Some(deflate) = deflate {
            let extension = deflate.response();
            self.headers
                .insert(header::SEC_WEBSOCKET_EXTENSIONS, extension);
        }
        let handle = self.handle.clone();
        let transport = match self.switch_protocols().await? {
            Opened::Transport(mut transport) => {
                transport.configure(&config);
                transport
            }
            Opened::Stream(UpgradedStream { io, early }) => Box::new(ByteTransport::new(
                io,
                &early,
                config.clone(),
                deflate,
                peer,
            )),
        };
        Ok(Socket::new(transport, handle.as_ref(), config, deflate))
    }

    /// Accepts the handshake whatever its origin, and returns the client's bytes.
    ///
    /// # Errors
    /// As [`accept`](Self::accept); also for a test client, which has none.
    #[cfg(feature = "proxy")]
    pub(crate) async fn tunnel(self) -> Result<UpgradedStream> {
        match self.switch_protocols().await? {
            Opened::Stream(stream) => Ok(stream),
            Opened::Transport(_) => Err(Error::new(
                crate::error::ErrorKind::Missing,
                "there are no bytes to pass through: a proxy serves neither test clients nor the fallback to server-sent events",
            )),
        }
    }

    /// Sends the 101, and waits for what is behind it.
    async fn switch_protocols(self) -> Result<Opened> {
        let Self {
            headers,
            peer,
            hooks,
            response,
            open,
            ..
        } = self;
        let mut switching = Response::new(Body::empty());
        *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *switching.headers_mut() = headers;
        let switching = response_hooks::run(hooks, switching, &peer).await;
        let accepted = switching.status() == StatusCode::SWITCHING_PROTOCOLS;
        response.send(switching).map_err(|_| Error::closed())?;
        if !accepted {
            return Err(Error::closed());
        }
        open().await
    }

    /// Rejects the handshake, after the response hooks have run.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected.
    pub async fn reject(self, rejection: impl Into<Rejection>) -> Result<()> {
        let response = rejection.into().into_logged_response(&self.peer);
        self.respond(response.map(Body::from)).await
    }

    /// Rejects the handshake with the response of a server behind.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the client has disconnected.
    #[cfg(feature = "proxy")]
    pub(crate) async fn reject_with(self, response: Response<Body>) -> Result<()> {
        let rejected = crate::rejection_log::Rejected::Status(response.status());
        let reason = "the server behind rejected the handshake";
        self.peer
            .log_rejection(Rule::Application, rejected, Some(reason));
        self.respond(response).await
    }

    /// Sends a response that is not a 101, after the response hooks have run.
    async fn respond(self, response: Response<Body>) -> Result<()> {
        let response = response_hooks::run(self.hooks, response, &self.peer).await;
        self.response.send(response).map_err(|_| Error::closed())
    }

    /// Rejects the handshake because of its origin.
    pub(crate) async fn reject_origin(self) -> Result<()> {
        let allowed = self.allowed_origins.clone().unwrap_or_default();
        let text = "pages of this origin may not open a WebSocket here";
        let rejection = Rejection::new(StatusCode::FORBIDDEN, text)
            .by(Rule::Origin)
            .because(allowed.refusal(&self.origin));
        self.reject(rejection).await
    }

    pub(crate) fn handle(&self) -> Option<&ConnectionHandle> {
        self.handle.as_ref()
    }

    /// Waits until the client no longer waits for the response, or has closed its sending side (only
    /// seen over HTTP/1): a WebSocket needs both.
    pub(crate) async fn abandoned(&mut self) {
        let Some(handle) = &self.handle else {
            return self.response.closed().await;
        };
        tokio::select! {
            () = self.response.closed() => {}
            () = handle.half_close().wait() => {}
        }
    }

    /// Responds to a client that has abandoned the handshake: if it has closed only its sending
    /// side, it may still read. 499 is the status that nginx uses for it. It is no rejection, which
    /// would be logged.
    pub(crate) async fn abandon(self) {
        if self.response.is_closed() {
            return;
        }
        let status = StatusCode::from_u16(499).expect("a status has three digits");
        let text = "the client closed its sending side of the connection during the handshake";
        let response = Rejection::new(status, text).into_response();
        _ = self.respond(response.map(Body::from)).await;
    }
}

impl OpensOverHttp for WebSocket {
    const HAS_SUBPROTOCOLS: bool = true;

    fn on_response(upgrade: &mut Upgrade, hook: ResponseHook) {
        upgrade.hooks.push(hook);
    }

    async fn reject(upgrade: Upgrade, rejection: impl Into<Rejection> + Send) -> Result<()> {
        upgrade.reject(rejection).await
    }

    async fn while_awaited<T: Send>(
        mut upgrade: Upgrade,
        step: impl Future<Output = T> + Send,
    ) -> Option<(T, Upgrade)> {
        tokio::select! {
            biased;
            output = step => return Some((output, upgrade)),
            () = upgrade.abandoned() => {}
        }
        upgrade.abandon().await;
        None
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
