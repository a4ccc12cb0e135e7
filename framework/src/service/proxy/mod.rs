//! A proxy to another HTTP server, such as a Django site.
//!
//! | file | contents |
//! | --- | --- |
//! | `headers.rs` | which headers pass, and which are added |
//! | `failure.rs` | why a request failed |
//! | `transfer.rs` | bodies whose progress is watched |
//! | `tunnel.rs` | a WebSocket that is passed through |
//! | `frames.rs` | where its frames end |

mod failure;
mod frames;
mod headers;
mod transfer;
mod tunnel;

use self::{
    failure::Failure,
    headers::RequestOrigin,
    transfer::{Progress, Transfer},
    tunnel::TunnelLimits,
};
use crate::{
    application::Application,
    channels::Channels,
    consumer::{EVENT_STREAM_GRACE, complete, revoked},
    error::Result,
    message::Close,
    protocol::{Body, ConnectionHandle, Exchange, Http, Upgrade, UpgradedStream, WebSocket},
    rejection::Rejection,
    rejection_log::Rule,
    revocation::Revocations,
    scope::{OpensOverHttp, Scope},
    upstream::{Upstream, switched},
};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, header, request,
    uri::{self, PathAndQuery, Scheme},
};
use http_body::Body as _;
use hyper::body::Incoming;
use std::{fmt, future::pending, mem, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::sleep;
use tungstenite::handshake::client::generate_key;

/// The default of [`Proxy::response_timeout`].
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the sides of a WebSocket may read nothing under another server than Seaway's, which
/// does not tell its write timeout.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Passes requests to the HTTP server at this address: `http://127.0.0.1:8000`, or
/// `unix:/run/site.sock` for a Unix socket.
///
/// ```
/// use seaway::{proxy, routing::{PathRouter, ProtocolTypeRouter}};
///
/// let django = proxy("http://127.0.0.1:8000");
/// let app = ProtocolTypeRouter::new()
///     .http(django.clone())
///     .websocket(PathRouter::new().route("/ws/still/in/python", django));
/// ```
///
/// # Panics
/// If the address has another form.
#[track_caller]
pub fn proxy(upstream: &str) -> Proxy {
    // Not `unwrap_or_else`: a panic inside its closure would be located here.
    let parsed = match Upstream::parse(upstream) {
        Ok(parsed) => parsed,
        Err(mistake) => panic!(
            "{upstream:?} is not the address of an HTTP server: {mistake}; write \
             http://127.0.0.1:8000 or unix:/run/site.sock"
        ),
    };
    Proxy {
        upstream: Arc::new(parsed),
        response_timeout: RESPONSE_TIMEOUT,
        origin: RequestOrigin::Http,
        channels: None,
    }
}

/// The application that [`proxy`] returns, for HTTP and WebSockets.
///
/// Bodies are streamed in both directions as fast as the slower side reads. `Host`, `ETag`, `Range`
/// and all other headers pass, except the hop-by-hop headers (RFC 9110, 7.6.1), `Expect` (the
/// client gets its 100 from Seaway), and headers with an underscore in their name, which WSGI
/// servers confuse with others. `X-Forwarded-For`, `X-Forwarded-Host` and `X-Forwarded-Proto` are
/// set; those of the client are removed, with `X-Real-IP`, `Forwarded` and `Daphne-Root-Path`,
/// unless another proxy is [in front](Self::behind_proxy). A request without `Host` gets 400. The
/// trailer fields of a request are removed with `Trailer`, since some servers merge them into the
/// headers; those of a response pass.
///
/// The client gets 502 if the server does not accept the connection or closes it without a
/// response, and 504 if it takes more than 5 s to accept, or more than the [response
/// timeout](Self::response_timeout); the log has the reason. A client whose request body is
/// malformed or incomplete gets 400, and one that stops sending it 408.
///
/// Connections to the server are kept for 1 s without a request. If the server closes one without a
/// response, a request without a body whose method is safe, such as GET, is sent once more, on a
/// new connection; any other gets 502, because the server may have processed it.
///
/// A WebSocket is passed through byte by byte: limits, heartbeat and origin check are those of the
/// server behind. [`AllowedOrigins`](crate::protocol::AllowedOrigins) around the proxy are checked
/// before it. A rejected handshake has the status, headers and body of the server's response;
/// one that it answers with a page (2xx) gets 502. An open WebSocket ends with either side, at the
/// latest 5 s after it. It is closed if one side reads nothing for the server's
/// [`write_timeout`](crate::Serve::write_timeout) (under another server than Seaway's, for 30 s) of
/// what the other has sent; if that other is known to have left, for 5 s.
///
/// When Seaway's server stops, the client of an open WebSocket gets a close frame with 1001, or 1012
/// and a time with [`retry_after`](crate::Serve::retry_after), after the frame that is under way;
/// the server behind gets it, too. Both are disconnected
/// [`close_timeout`](crate::protocol::WebSocketConfig::close_timeout) after the stop. It is closed
/// in the same way, with 4401, if a [`RequireUser`](crate::middleware::RequireUser) is around the
/// proxy and the user is no longer allowed: see [`channels`](Self::channels). A response with
/// server-sent events ends 5 s after the stop, and with the user of a `RequireUser`; any other one
/// may end within [`drain_timeout`](crate::Serve::drain_timeout).
///
/// The server behind may read a path in another way than Seaway's routers, which route it as
/// [written](crate::routing::PathRouter): a `RequireUser` around some paths does not replace the
/// server's own checks. See [`fallback`](crate::routing::PathRouter::fallback).
///
/// hyper limits the headers of a response to 100; one with more gives 502.
///
/// As it serves two protocols, middleware around it alone has to name one:
///
/// ```
/// use seaway::{
///     ApplicationExt,
///     protocol::{WebSocket, WebSocketConfig},
///     proxy,
///     routing::PathRouter,
/// };
/// use std::time::Duration;
///
/// let site = proxy("http://127.0.0.1:8000");
/// let limits = WebSocketConfig::new().close_timeout(Duration::from_secs(2));
/// let chat = ApplicationExt::<WebSocket>::with(site, limits);
/// let sockets = PathRouter::new().route("/ws/chat", chat);
/// ```
#[derive(Clone)]
#[must_use = "an application does nothing until it is routed or served"]
pub struct Proxy {
    upstream: Arc<Upstream<Transfer>>,
    response_timeout: Duration,
    origin: RequestOrigin,
    channels: Option<Channels>,
}

impl Proxy {
    /// Sets how long the server may take to continue: to read more of the request, to begin its
    /// response, or to send more of it (default: 60 s).
    ///
    /// At the bound, the client gets 504, or the response is aborted if it has begun. The time in which
    /// the server waits for more of the request does not count.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let reports = seaway::proxy("http://127.0.0.1:8000").response_timeout(Duration::from_secs(300));
    /// ```
    ///
    /// # Panics
    /// If the time is zero.
    #[track_caller]
    pub fn response_timeout(mut self, limit: Duration) -> Self {
        assert!(!limit.is_zero(), "response_timeout needs a non-zero time");
        self.response_timeout = limit;
        self
    }

    /// Sets `X-Forwarded-Proto` to `https`, for a server whose clients connect over TLS.
    ///
    /// ```
    /// let django = seaway::proxy("http://127.0.0.1:8000").https();
    /// ```
    pub fn https(mut self) -> Self {
        self.origin = RequestOrigin::Https;
        self
    }

    /// Keeps the `X-Forwarded-*` headers that a proxy in front of Seaway has set, and adds the
    /// address of this proxy to `X-Forwarded-For`, also with
    /// [`trusted_proxies`](crate::Serve::trusted_proxies).
    ///
    /// Only safe if clients cannot connect to Seaway directly. A proxy that connects over a Unix
    /// socket has no address, and none is added.
    ///
    /// ```
    /// let django = seaway::proxy("unix:/run/site.sock").behind_proxy();
    /// ```
    pub fn behind_proxy(mut self) -> Self {
        self.origin = RequestOrigin::OtherProxy;
        self
    }

    /// Ends an open WebSocket or event stream at once when the user of a [`RequireUser`] around this
    /// proxy logs out, or is [disconnected](Channels::disconnect_user), through these channels.
    ///
    /// By default the session and the user are only checked repeatedly: in the period of
    /// [`Auth::recheck`](crate::middleware::Auth::recheck) or
    /// [`DjangoAuth::recheck`](crate::django::DjangoAuth::recheck), and without one every 10 s.
    ///
    /// ```
    /// use seaway::{Channels, proxy};
    ///
    /// let channels = Channels::in_memory();
    /// let members = proxy("http://127.0.0.1:8000").channels(&channels);
    /// ```
    ///
    /// [`RequireUser`]: crate::middleware::RequireUser
    pub fn channels(mut self, channels: &Channels) -> Self {
        self.channels = Some(channels.clone());
        self
    }

    /// Returns the address for `X-Forwarded-For`: that of the client, and behind another proxy that
    /// of this proxy, which has stated its client there.
    fn forwarded_for(
        &self,
        client: Option<SocketAddr>,
        handle: Option<&ConnectionHandle>,
    ) -> Option<SocketAddr> {
        match (self.origin, handle) {
            (RequestOrigin::OtherProxy, Some(handle)) => handle.peer_address(),
            _ => client,
        }
    }

    /// Returns the request for the server.
    ///
    /// # Errors
    /// The response to a client whose request cannot be passed on.
    fn request(
        &self,
        head: &mut request::Parts,
        address: Option<SocketAddr>,
        body: Transfer,
    ) -> Result<Request<Transfer>, Rejection> {
        let bad = |text: &'static str| {
            Rejection::new(StatusCode::BAD_REQUEST, text).by(Rule::RequestHead)
        };
        if head.method == Method::CONNECT {
            return Err(bad("this server opens no tunnels"));
        }
        let path = head.uri.path_and_query().cloned();
        let mut uri = uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.upstream.authority());
        uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
        // hyper sends a body of unknown length with these methods only if a header says so.
        let is_chunked = matches!(head.method, Method::GET | Method::HEAD)
            && !body.is_end_stream()
            && body.size_hint().exact().is_none();
        let mut request = Request::new(body);
        *request.method_mut() = head.method.clone();
        *request.uri_mut() =
            Uri::from_parts(uri).map_err(|_| bad("the path cannot be passed on"))?;
        *request.headers_mut() = headers::for_upstream(head, address, self.origin);
        if !request.headers().contains_key(header::HOST) {
            return Err(bad("the request has no Host header"));
        }
        if is_chunked {
            let chunked = HeaderValue::from_static("chunked");
            let headers = request.headers_mut();
            headers.insert(header::TRANSFER_ENCODING, chunked);
        }
        Ok(request)
    }

    /// Waits for the head of the response.
    async fn send(
        &self,
        request: Request<Transfer>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        tokio::select! {
            response = self.upstream.send(request) => response.map_err(Failure::Failed),
            () = progress.stalled(self.response_timeout) => Err(Failure::Slow),
        }
    }

    /// Returns the response for the client.
    fn response(
        &self,
        response: Response<Incoming>,
        handle: Option<&ConnectionHandle>,
        revocations: Option<Revocations>,
    ) -> Response<Body> {
        let (head, body) = response.into_parts();
        let mut body = Transfer::limited(body, self.response_timeout);
        if headers::is_event_stream(&head.headers) {
            body.end_with(self.clone().stream_end(handle.cloned(), revocations));
        }
        let body = Body::new(body);
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.headers_mut() = headers::without_hop_by_hop(head.headers);
        response
    }

    /// Waits for the end of an event stream that neither side has asked for. Its client reconnects
    /// by itself.
    async fn stream_end(self, handle: Option<ConnectionHandle>, revocations: Option<Revocations>) {
        let stopped = async {
            match &handle {
                Some(handle) => handle.closing().wait().await,
                None => pending().await,
            }
            sleep(EVENT_STREAM_GRACE).await;
        };
        tokio::select! {
            () = stopped => {}
            _ = self.revoked(revocations.as_ref()) => {}
        }
    }

    /// Returns the response of the server to a request that is no handshake.
    async fn respond(
        &self,
        request: Request<Transfer>,
        progress: &Progress,
        handle: Option<&ConnectionHandle>,
        revocations: Option<Revocations>,
    ) -> Result<Response<Body>, Failure> {
        let response = self.send(request, progress).await?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Unexpected(
                "it has switched protocols, which the request did not ask for",
            ));
        }
        Ok(self.response(response, handle, revocations))
    }

    /// Waits for the end of an open WebSocket that neither side has asked for: the server stops, or
    /// the client's session or user is no longer allowed.
    async fn closing(
        &self,
        handle: Option<ConnectionHandle>,
        revocations: Option<Revocations>,
    ) -> Close {
        let stopped = async {
            match &handle {
                Some(handle) => handle.stopped().await,
                None => pending().await,
            }
        };
        tokio::select! {
            close = stopped => close,
            close = self.revoked(revocations.as_ref()) => close,
        }
    }

    /// Waits until the client's session or user is no longer allowed.
    async fn revoked(&self, revocations: Option<&Revocations>) -> Close {
        match revocations {
            Some(revocations) => revoked(revocations, self.channels.as_ref()).await,
            None => pending().await,
        }
    }

    /// Returns the response of the server to the handshake of a WebSocket: a 101, or a rejection.
    async fn handshake(
        &self,
        request: Request<Transfer>,
        progress: &Progress,
    ) -> Result<Response<Incoming>, Failure> {
        let response = self.send(request, progress).await?;
        let upgrade = response.headers().get(header::UPGRADE);
        let is_websocket =
            upgrade.is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"));
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS if !is_websocket => Err(Failure::Unexpected(
                "it has switched to another protocol than that of WebSockets",
            )),
            // Over HTTP/2, the client would take it for an open WebSocket.
            status if status.is_success() => Err(Failure::Unexpected(
                "it has responded to the handshake of a WebSocket as to a page; check that it \
                 serves this path",
            )),
            _ => Ok(response),
        }
    }
}

impl Application<Http> for Proxy {
    async fn call(&self, mut scope: Scope<Http>, mut exchange: Exchange) -> crate::Result<()> {
        let progress = Progress::new();
        let body = Transfer::watched(exchange.take_body(), progress.clone());
        let address = self.forwarded_for(scope.client, exchange.handle());
        let revocations = scope.extensions.remove::<Revocations>();
        let responding = match self.request(&mut scope.head, address, body) {
            Ok(request) => {
                self.respond(request, &progress, exchange.handle(), revocations)
                    .await
            }
            Err(rejection) => return Ok(Http::reject(exchange, rejection).await?),
        };
        match responding {
            Ok(response) => Ok(exchange.respond(response).await?),
            Err(failure) => {
                let rejection = failure.rejection(&self.upstream);
                Ok(Http::reject(exchange, rejection).await?)
            }
        }
    }
}

impl Application<WebSocket> for Proxy {
    async fn call(&self, mut scope: Scope<WebSocket>, mut upgrade: Upgrade) -> crate::Result<()> {
        if upgrade.is_origin_excluded() {
            return Ok(upgrade.reject_origin().await?);
        }
        let progress = Progress::new();
        // The server behind speaks HTTP/1.1; a client of HTTP/2 has sent CONNECT, and no key.
        scope.head.method = Method::GET;
        let address = self.forwarded_for(scope.client, upgrade.handle());
        let mut request = match self.request(&mut scope.head, address, Transfer::default()) {
            Ok(request) => request,
            Err(rejection) => return Ok(upgrade.reject(rejection).await?),
        };
        let headers = request.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if !headers.contains_key(header::SEC_WEBSOCKET_KEY)
            && let Ok(key) = HeaderValue::from_str(&generate_key())
        {
            headers.insert(header::SEC_WEBSOCKET_KEY, key);
        }
        let responding = tokio::select! {
            responding = self.handshake(request, &progress) => responding,
            () = upgrade.abandoned() => {
                upgrade.abandon().await;
                return Ok(());
            }
        };
        let mut response = match responding {
            Ok(response) => response,
            Err(failure) => {
                return Ok(upgrade.reject(failure.rejection(&self.upstream)).await?);
            }
        };
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let response = self.response(response, upgrade.handle(), None);
            return Ok(upgrade.reject_with(response).await?);
        }
        let (io, early) = switched(hyper::upgrade::on(&mut response).await?);
        let upstream = UpgradedStream { io, early };
        let mut head = headers::without_hop_by_hop(mem::take(response.headers_mut()));
        complete(&mut head, upgrade.headers_mut());
        *upgrade.headers_mut() = head;
        let handle = upgrade.handle().cloned();
        let limits = TunnelLimits {
            write_timeout: handle
                .as_ref()
                .map_or(WRITE_TIMEOUT, ConnectionHandle::write_timeout),
            close_timeout: upgrade.config().close_timeout,
        };
        let revocations = scope.extensions.remove::<Revocations>();
        let client = upgrade.tunnel().await?;
        let closing = self.closing(handle, revocations);
        tunnel::run(client, upstream, limits, closing).await;
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("upstream", &self.upstream)
            .field("response_timeout", &self.response_timeout)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}
