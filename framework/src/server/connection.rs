//! One accepted connection: the detection of its HTTP version, and its service.

use super::{
    access_log::AccessLine,
    alarm::Stall,
    client_stream::ClientStream,
    drain::{Connection, ON_THE_WAY},
    forwarded::ForwardedRequest,
    head_wait::HeadWait,
    http2_stream::{self, Pieces},
    open_streams::{IdleTimer, OpenStreams},
    preface::Preface,
    request_body::RequestBody,
    request_head,
    socket::AcceptedStream,
    stream_connection::StreamConnection,
    traffic::Traffic,
    trusted_proxies::TrustedProxies,
};
use crate::{
    byte_stream::HANG_UP_CHECK,
    error::BoxError,
    extract::RequestedHost,
    metric,
    protocol::{Body, ConnectionHandle, WeakConnectionHandle},
    rejection::Rejection,
    rejection_log::{Peer, Rejected, Rule},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as _;
use http_body_util::{Either, Full};
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    borrow::Cow,
    convert::Infallible,
    error::Error,
    fmt,
    future::{Future, poll_fn},
    mem,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tower_service::Service;

/// An application that [`serve`](crate::serve) accepts: a tower service for HTTP requests that
/// cannot fail.
///
/// Routers and the applications of consumers are such services, and so is an `axum::Router`. Put
/// any other application into a [`ProtocolTypeRouter`](crate::routing::ProtocolTypeRouter).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be served without a router",
    label = "put it into one: `ProtocolTypeRouter::new().http(…)` or `.websocket(…)`",
    note = "routers, the applications of consumers, and tower services whose error is `Infallible`, such as an `axum::Router`, are served as they are, without `from_service`"
)]
pub trait ServedApp:
    Service<
        Request<Body>,
        Response = Response<<Self as ServedApp>::Body>,
        Error = Infallible,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    /// The body of its responses.
    type Body: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;
}

#[diagnostic::do_not_recommend]
impl<S, B> ServedApp for S
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = B;
}

/// The limits of one connection.
#[derive(Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) head_timeout: Duration,
    pub(super) max_head_size: usize,
    pub(super) body_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) half_close_timeout: Duration,
    pub(super) allows_connect: bool,
}

/// How long an HTTP/2 client may be silent before it gets a PING frame.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// How long an idle HTTP/2 client has to close the connection after GOAWAY. Then the server closes
/// it.
const IDLE_GRACE: Duration = Duration::from_secs(5);

/// How many bytes an HTTP/2 client may send on a stream before the application reads them. Also the
/// most that it can upload per round trip.
const STREAM_WINDOW: u32 = 128 * 1024;

/// The same for all streams of a connection. If the two were equal, as by hyper's default, one stream
/// that is not read would block the others; here it takes 128.
///
/// h2 also ends a connection whose small DATA frames are not read: each counts as what it lacks to
/// 256 bytes, up to half of this window. A stream of empty WebSocket messages, 6 bytes each, counts
/// as 5.2 MiB of these 8. The 16 MiB are less than 200 WebSockets may hold in incomplete messages.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// The smallest buffer that hyper allows.
const MIN_BUFFER: usize = 8 * 1024;

/// How long a client of HTTP/2 may take to read what is left of a WebSocket that has ended.
const LAST_BYTES: Duration = Duration::from_secs(5);

/// The error of a connection that was closed because the client stalled, with the reason for the
/// log.
#[derive(Debug)]
pub(super) struct Stalled(&'static str);

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Stalled {}

const NOT_READ: Stalled = Stalled("the client read nothing of the response for `write_timeout`");
const LAST_NOT_READ: Stalled =
    Stalled("the client has not read the last messages of a WebSocket that has ended");
const HALF_CLOSED: Stalled =
    Stalled("the client closed its sending side, and nothing was written for `half_close_timeout`");
const IDLE: Stalled = Stalled(
    "the client made no request for `idle_timeout` and did not close the connection after GOAWAY",
);

/// Serves one connection until it ends; after the server stops, until its open requests are done.
pub(super) async fn serve<S: ServedApp>(
    mut socket: AcceptedStream,
    app: S,
    connection: Connection,
    limits: ConnectionLimits,
    proxies: Option<TrustedProxies>,
) -> Result<(), BoxError> {
    socket.set_options()?;
    let preface = tokio::time::timeout(limits.head_timeout, Preface::read(&mut socket));
    let preface = tokio::select! {
        preface = preface => preface??,
        // A client that has not sent anything yet has no request to finish, unless it has only just
        // connected: its request may be on the way.
        () = connection.first_bytes_overdue() => return Ok(()),
    };
    let is_http_2 = preface.is_http_2();
    let traffic = Arc::new(Traffic::default());
    let stream = ClientStream::new(socket, preface, traffic.clone());
    let stream = TokioIo::new(stream);
    let proxies = proxies.filter(|proxies| proxies.trust(connection.client()));
    let requests = RequestService {
        app,
        handle: connection.handle().downgrade(),
        limits,
        proxies,
    };
    match is_http_2 {
        false => serve_http_1(stream, requests, &connection, traffic).await,
        true => serve_http_2(stream, requests, connection, traffic).await,
    }
}

async fn serve_http_1<S: ServedApp>(
    stream: TokioIo<ClientStream>,
    requests: RequestService<S>,
    connection: &Connection,
    traffic: Arc<Traffic>,
) -> Result<(), BoxError> {
    let limits = requests.limits;
    let timer = HeadWait::new(traffic.clone());
    let mut stop = connection.stopping();
    let service = {
        let traffic = traffic.clone();
        service_fn(move |request: Request<Incoming>| {
            let checked = match traffic.begin_request() {
                true => Err(request_head::two_lengths()),
                false => requests.check(&request),
            };
            let is_rejected = checked.is_err();
            let is_connect = *request.method() == Method::CONNECT;
            let carrier = Carrier::Http1(&traffic);
            let traffic = traffic.clone();
            let finish = move |mut response: ServerResponse<_>| {
                let status = response.status();
                let leaves_http =
                    status == StatusCode::SWITCHING_PROTOCOLS || is_connect && status.is_success();
                let is_last = is_rejected || connection.is_stopping();
                if is_last && !leaves_http || traffic.has_broken_body() {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(header::CONNECTION, close);
                }
                if leaves_http {
                    traffic.end_http(connection.take_place());
                }
                response
            };
            requests.respond(request, checked, carrier, finish)
        })
    };
    let mut builder = conn::http1::Builder::new();
    builder
        .timer(timer)
        // The timer only records the waits.
        .header_read_timeout(Duration::ZERO)
        .max_header_size(limits.max_head_size)
        .max_buf_size(limits.max_head_size.max(MIN_BUFFER));
    let mut http = pin!(builder.serve_connection(stream, service).with_upgrades());
    let mut on_the_way = Stall::new(ON_THE_WAY);
    let mut is_ending = false;
    let mut head = Stall::new(limits.head_timeout);
    let mut writing = Stall::new(limits.write_timeout);
    let mut half_closed = Stall::new(limits.half_close_timeout);
    let mut is_half_closed = false;
    let mut unread = Stall::new(HANG_UP_CHECK);
    poll_fn(|cx| {
        traffic.begin_poll();
        if let Poll::Ready(served) = http.as_mut().poll(cx) {
            return Poll::Ready(served.map_err(BoxError::from));
        }
        // hyper closes a connection without a request at once, so not before a request that has
        // been sent can have arrived; and it adds `close` to the response to a handshake.
        let idle = (!traffic.is_serving()).then_some(0);
        if !is_ending && stop.poll(cx) && on_the_way.poll(idle, cx).is_ready() {
            is_ending = true;
            http.as_mut().graceful_shutdown();
            cx.waker().wake_by_ref();
        }
        if head.poll(traffic.awaited_head(), cx).is_ready() {
            return Poll::Ready(Err("no complete request head within `head_timeout`".into()));
        }
        if writing.poll(traffic.blocked(), cx).is_ready() {
            return Poll::Ready(Err(NOT_READ.into()));
        }
        let half_close = traffic.half_closed();
        if half_close.is_some() && !mem::replace(&mut is_half_closed, true) {
            connection.record_half_close();
        }
        if half_closed.poll(half_close, cx).is_ready() {
            return Poll::Ready(Err(HALF_CLOSED.into()));
        }
        while unread.poll(traffic.unread(), cx).is_ready() {
            // The stream is inside hyper, and checks when it is polled.
            traffic.demand_check();
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await
}

async fn serve_http_2<S: ServedApp>(
    stream: TokioIo<ClientStream>,
    requests: RequestService<S>,
    connection: Connection,
    traffic: Arc<Traffic>,
) -> Result<(), BoxError> {
    let _open = metric::OpenHttp2Connection::new();
    let limits = requests.limits;
    let server = connection.server();
    let service = service_fn(move |request: Request<Incoming>| {
        let checked = requests.check(&request);
        let is_connect = *request.method() == Method::CONNECT;
        let opening = is_connect.then(|| StreamConnection::new(server.clone()));
        let finish = |response: ServerResponse<_>| response.map(Pieces::of);
        requests.respond(request, checked, Carrier::Http2(opening), finish)
    });
    let mut stop = connection.stopping();
    let streams = OpenStreams::new();
    let executor = Streams {
        connection,
        streams: streams.clone(),
        write_timeout: limits.write_timeout,
    };
    let mut builder = conn::http2::Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.max_head_size).unwrap_or(u32::MAX));
    let mut http = pin!(builder.serve_connection(stream, service));
    let mut writing = Stall::new(limits.write_timeout);
    let mut idle = IdleTimer::new(streams.clone(), limits.idle_timeout);
    let mut is_going_away = false;
    let mut is_stopping = false;
    poll_fn(|cx| {
        if stop.poll(cx) {
            http.as_mut().graceful_shutdown();
            if !mem::replace(&mut is_stopping, true) {
                // hyper waits for the client to confirm GOAWAY, for up to 40 s.
                idle = IdleTimer::new(streams.clone(), IDLE_GRACE);
            }
        }
        let is_writing = traffic.blocked().is_some();
        while idle.poll(is_writing, IDLE_GRACE, cx).is_ready() {
            if is_stopping {
                return Poll::Ready(Ok(()));
            }
            if is_going_away {
                return Poll::Ready(Err(IDLE.into()));
            }
            http.as_mut().graceful_shutdown();
            is_going_away = true;
        }
        if let Poll::Ready(served) = http.as_mut().poll(cx) {
            return Poll::Ready(served.map_err(BoxError::from));
        }
        if writing.poll(traffic.blocked(), cx).is_ready() {
            return Poll::Ready(Err(NOT_READ.into()));
        }
        Poll::Pending
    })
    .await
}

/// What carries a request.
enum Carrier<'a> {
    /// The connection: failures of its bodies are recorded in its traffic.
    Http1(&'a Arc<Traffic>),
    /// A stream of the connection, which may open a connection of its own.
    Http2(Option<StreamConnection>),
}

/// What responds to the requests of one connection.
struct RequestService<S> {
    app: S,
    handle: WeakConnectionHandle,
    limits: ConnectionLimits,
    /// The trusted proxies; `None` if the peer is not one of them.
    proxies: Option<TrustedProxies>,
}

/// The response of the application, or to a request head that failed its checks.
type ServerResponse<B> = Response<Either<B, Full<Bytes>>>;

impl<S: ServedApp> RequestService<S> {
    fn check(&self, request: &Request<Incoming>) -> Result<(), Rejection> {
        request_head::check(request, self.limits.allows_connect)
    }

    /// Has the application respond to a request whose head passed its checks, and rejects another.
    fn respond<R, F>(
        &self,
        request: Request<Incoming>,
        checked: Result<(), Rejection>,
        carrier: Carrier<'_>,
        finish: F,
    ) -> impl Future<Output = Result<R, Infallible>> + use<S, R, F>
    where
        F: FnOnce(ServerResponse<S::Body>) -> R,
    {
        let request = self.prepare(request, &carrier);
        let line = AccessLine::of(&request);
        let mut app = self.app.clone();
        let opening = match carrier {
            Carrier::Http1(_) => None,
            Carrier::Http2(opening) => opening,
        };
        async move {
            if let Some(opening) = &opening {
                http2_stream::expect_upgrade(opening.ended());
            }
            let response = match checked {
                Ok(()) => {
                    let Ok(()) = poll_fn(|cx| app.poll_ready(cx)).await;
                    let Ok(response) = app.call(request).await;
                    response.map(Either::Left)
                }
                Err(rejection) => reject(&request, rejection),
            };
            if let Some(line) = line {
                line.log(response.status());
            }
            Ok(finish(response))
        }
    }

    /// Adds the handle of the connection, and what a trusted proxy states, and sets the timeout of
    /// the body. A request without a body has no cost for that.
    fn prepare(&self, request: Request<Incoming>, carrier: &Carrier<'_>) -> Request<Body> {
        let (mut head, body) = request.into_parts();
        let handle = match carrier {
            Carrier::Http2(Some(opening)) => opening.handle(),
            Carrier::Http1(_) | Carrier::Http2(None) => self.handle.clone(),
        };
        let handle = match &self.proxies {
            Some(proxies) => {
                let forwarded = ForwardedRequest::read(&head.headers, proxies);
                if forwarded.requested != RequestedHost::default() {
                    head.extensions.insert(forwarded.requested);
                }
                handle.forwarded_for(forwarded.client)
            }
            None => handle,
        };
        head.extensions.insert(handle);
        let body = match body.is_end_stream() {
            true => Body::empty(),
            false => {
                // A client that expects 100 (Continue) has not sent its body, and HTTP/2 resets the
                // stream.
                let discards_rest =
                    head.version < Version::HTTP_2 && !head.headers.contains_key(header::EXPECT);
                let traffic = match *carrier {
                    Carrier::Http1(traffic) => Some(traffic.clone()),
                    Carrier::Http2(_) => None,
                };
                let limit = self.limits.body_timeout;
                Body::new(RequestBody::new(body, limit, discards_rest, traffic))
            }
        };
        Request::from_parts(head, body)
    }
}

fn reject<B>(request: &Request<Body>, rejection: Rejection) -> ServerResponse<B> {
    let client = ConnectionHandle::of(request.extensions()).and_then(|handle| handle.client());
    let rejection = rejection.by(Rule::RequestHead);
    let text = |text: Cow<'static, str>| Bytes::from(text.into_owned());
    rejection
        .into_logged_response(&Peer::new(request.uri(), client))
        .map(|body| Either::Right(Full::new(text(body))))
}

/// Logs that a client stalled: a client that reads slowly, or not at all, may ask why it was
/// disconnected.
pub(super) fn log_stall(client: Option<SocketAddr>, stalled: &Stalled) {
    let peer = Peer::without_request(client);
    peer.log_rejection(Rule::Timeout, Rejected::Disconnect, Some(stalled.0));
}

/// The executor of an HTTP/2 connection: it spawns a task per request.
#[derive(Clone)]
struct Streams {
    connection: Connection,
    streams: OpenStreams,
    write_timeout: Duration,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let open = self.streams.open();
        let client = self.connection.client();
        if let Some(ended) = http2_stream::upgrading() {
            let limit = self.write_timeout.min(LAST_BYTES);
            let writing = http2_stream::write_after_upgrade(stream, ended, limit);
            return self.connection.spawn(async move {
                if !writing.await {
                    log_stall(client, &LAST_NOT_READ);
                }
                drop(open);
            });
        }
        let serving = http2_stream::serve(stream, self.write_timeout);
        self.connection.spawn(async move {
            if serving.await.is_none() {
                log_stall(client, &NOT_READ);
            }
            drop(open);
        });
    }
}
