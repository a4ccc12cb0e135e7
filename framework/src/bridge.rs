//! The two seams to tower: a service as an application, and the house as a service.

use crate::{
    application::{Application, BoxApplication, Conversation},
    consumer::{ConsumerApplication, HttpConsumer, HttpConsumerApplication, WebSocketConsumer},
    error::{BoxError, Error, ErrorKind, Result},
    protocol::{
        Body, Exchange, Http, Origin, Reply, Transport, Upgrade, WebSocket, WebSocketConfig,
    },
    reject::Reject,
    routing::ProtocolTypeRouter,
    scope::{Protocol, Scope},
    server::{Asked, ByteTransport, Seat, asked},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header, request};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::net::TcpStream;
use tower_service::Service;

/// Makes any tower service, an `axum::Router` too, the application for pages.
///
/// What middleware has put into the scope arrives in the request's extensions.
///
/// ```
/// use seaway::{from_service, routing::ProtocolTypeRouter};
///
/// let pages = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let app = ProtocolTypeRouter::new().http(from_service(pages));
/// ```
pub fn from_service<S>(service: S) -> FromService<S> {
    FromService(service)
}

/// What [`from_service`] returns.
#[derive(Clone, Copy, Debug)]
pub struct FromService<S>(S);

impl<S, B> Application<Http> for FromService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn call(&self, scope: Scope<Http>, mut exchange: Exchange) -> Result<()> {
        let mut service = self.0.clone();
        let mut head = scope.head;
        head.extensions = scope.extensions;
        let request = Request::from_parts(head, exchange.take_body());
        poll_fn(|cx| service.poll_ready(cx))
            .await
            .map_err(Error::user)?;
        let response = service.call(request).await.map_err(Error::user)?;
        exchange.respond(response.map(Body::new)).await
    }
}

type ResponseFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Outward, the router is a service: under hyper, inside axum, behind tower-http.
impl<B> Service<Request<B>> for ProtocolTypeRouter
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let (mut head, body) = request.into_parts();
        if let Some(sockets) = self.get::<WebSocket>() {
            match asked(&head) {
                Asked::WebSocket { accept } => {
                    return Box::pin(open(sockets.clone(), head, accept));
                }
                Asked::Refuse(reject) => return ready(refusal(reject)),
                Asked::Page => {}
            }
        }
        let Some(pages) = self.get::<Http>() else {
            return ready(refusal(no_pages(self.get::<WebSocket>().is_some())));
        };
        let mut scope = Scope::new(head_without_extensions(&mut head));
        scope.client = head.extensions.get::<Seat>().and_then(|seat| seat.client);
        scope.extensions = head.extensions;
        let (exchange, reply) = Exchange::new(Body::new(body));
        Box::pin(answer(pages.start(scope, exchange), reply))
    }
}

/// A single consumer, mounted: `axum::Router::new().route_service("/ws", Chat::application(&channels))`.
impl<B, C: WebSocketConsumer> Service<Request<B>> for ConsumerApplication<C>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ProtocolTypeRouter::new()
            .websocket(self.clone())
            .call(request)
    }
}

/// A single HTTP consumer, mounted.
impl<B, C: HttpConsumer> Service<Request<B>> for HttpConsumerApplication<C>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        ProtocolTypeRouter::new().http(self.clone()).call(request)
    }
}

/// Answers a page. The conversation runs here until it has answered; what it does afterwards goes on by itself.
/// A client that leaves before drops this future, and with it the conversation, at an await.
async fn answer(
    mut conversation: Conversation,
    mut reply: Reply,
) -> Result<Response<Body>, Infallible> {
    let mut ended = None;
    let answered = poll_fn(|cx| {
        if ended.is_none()
            && let Poll::Ready(outcome) = conversation.as_mut().poll(cx)
        {
            ended = Some(outcome);
        }
        Pin::new(&mut reply).poll(cx)
    })
    .await;
    match ended {
        Some(outcome) => note::<Http>(outcome),
        None => drop(tokio::spawn(
            async move { note::<Http>(conversation.await) },
        )),
    }
    Ok(answered.unwrap_or_else(|_| refusal(StatusCode::INTERNAL_SERVER_ERROR)))
}

/// Answers a handshake. The conversation runs in a task of its own: it outlives the request.
async fn open(
    sockets: BoxApplication<WebSocket>,
    mut head: request::Parts,
    accept: HeaderValue,
) -> Result<Response<Body>, Infallible> {
    let Some(upgrading) = head.extensions.remove::<OnUpgrade>() else {
        tracing::error!(
            "a WebSocket cannot be opened: something before this service has taken hyper's OnUpgrade from the request"
        );
        return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let seat = head.extensions.remove::<Seat>();
    let origin = Origin::of(&head.headers, &head.uri);
    let mut scope = Scope::new(copy(&head));
    scope.client = seat.as_ref().and_then(|seat| seat.client);
    scope.extensions = head.extensions;
    let stop = seat.as_ref().map(Seat::stop);
    let (upgrade, answered) = Upgrade::new(
        origin,
        stop,
        Box::new(|config| Box::pin(transport(upgrading, config))),
    );
    let conversation = sockets.start(scope, upgrade);
    tokio::spawn(async move {
        note::<WebSocket>(conversation.await);
        drop(seat);
    });
    let Ok(reply) = answered.await else {
        return Ok(refusal(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let mut response = reply.map(Body::from);
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

/// The stream that hyper lets go once the 101 is written.
async fn transport(
    upgrading: OnUpgrade,
    config: Arc<WebSocketConfig>,
) -> Result<Box<dyn Transport>> {
    let upgraded = upgrading
        .await
        .map_err(|source| Error::new(ErrorKind::Closed, "the client left").with_source(source))?;
    // Over plain HTTP/1.1 of our own server it is the bare socket; elsewhere whatever the host wraps it in.
    Ok(match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => Box::new(ByteTransport::new(
            parts.io.into_inner(),
            &parts.read_buf,
            config,
        )),
        Err(upgraded) => wrapped(upgraded, config),
    })
}

fn wrapped(upgraded: Upgraded, config: Arc<WebSocketConfig>) -> Box<dyn Transport> {
    Box::new(ByteTransport::new(TokioIo::new(upgraded), &[], config))
}

/// Copies what a conversation keeps of its request: header values are slices of hyper's buffer of 8 KiB, which would
/// live as long as they do. All values share one allocation.
fn copy(head: &request::Parts) -> request::Parts {
    let (mut copy, ()) = Request::new(()).into_parts();
    copy.method = head.method.clone();
    copy.version = head.version;
    copy.uri = Uri::try_from(head.uri.to_string()).expect("a URI's text is a URI");
    let mut values = BytesMut::with_capacity(head.headers.values().map(HeaderValue::len).sum());
    for value in head.headers.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let values = values.freeze();
    copy.headers = HeaderMap::with_capacity(head.headers.keys_len());
    let mut start = 0;
    for (name, value) in &head.headers {
        let end = start + value.len();
        let bytes = values.slice(start..end);
        let value = HeaderValue::from_maybe_shared(bytes).expect("it was a value before");
        copy.headers.append(name.clone(), value);
        start = end;
    }
    copy
}

/// Moves the head out; its extensions stay behind, for the scope.
fn head_without_extensions(head: &mut request::Parts) -> request::Parts {
    let (mut moved, ()) = Request::new(()).into_parts();
    std::mem::swap(head, &mut moved);
    std::mem::swap(&mut head.extensions, &mut moved.extensions);
    moved
}

fn no_pages(has_sockets: bool) -> Reject {
    if !has_sockets {
        return StatusCode::NOT_FOUND.into();
    }
    Reject::new(
        StatusCode::UPGRADE_REQUIRED,
        "only WebSockets are served here",
    )
    .header(header::UPGRADE, HeaderValue::from_static("websocket"))
    .header(header::CONNECTION, HeaderValue::from_static("upgrade"))
}

fn refusal(reject: impl Into<Reject>) -> Response<Body> {
    reject.into().into_response().map(Body::from)
}

fn ready(response: Response<Body>) -> ResponseFuture {
    Box::pin(std::future::ready(Ok(response)))
}

/// Logs how a conversation ended, if it is a fault.
fn note<P: Protocol>(outcome: Result<()>) {
    match outcome {
        Err(error) if !error.is_closed() => {
            tracing::error!(protocol = P::NAME, error = %error.chain(), "a conversation failed");
        }
        _ => {}
    }
}
