//! The tower services of routers and consumers: under hyper, inside axum, behind tower-http.

use super::{
    response_future::{ResponseFuture, ResponseSource},
    upgrade::upgrade,
};
use crate::{
    application::{ApplicationExt, BoxApplication},
    connection_span::ConnectionSpan,
    consumer::{
        BlockingApplication, BlockingConsumer, ConsumerApplication, HttpConsumer,
        HttpConsumerApplication, WebSocketConsumer,
    },
    error::BoxError,
    metric,
    protocol::{
        Body, ConnectionHandle, Exchange, Http, RequestKind, WebSocket, request_kind,
        without_upgrade,
    },
    rejection::{Logged, Rejection},
    rejection_log::{Peer, Rejected, Rule},
    routing::{PathRouter, ProtocolTypeRouter},
    scope::{Protocol, Scope},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, request};
use std::{
    convert::Infallible,
    mem,
    net::SocketAddr,
    task::{Context, Poll},
};
use tower_service::Service;

/// Makes a type a tower service. A blanket implementation of a foreign trait is not allowed.
macro_rules! service {
    ($(#[$doc:meta])* ($($generics:tt)*) $type:ty, $respond:expr) => {
        $(#[$doc])*
        impl<B, $($generics)*> Service<Request<B>> for $type
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
                let respond: fn(&Self, Request<Body>) -> ResponseFuture = $respond;
                respond(self, request.map(Body::new))
            }
        }
    };
}

service! {
    /// The router as a tower service: under hyper, inside axum, behind tower-http.
    () ProtocolTypeRouter,
    |router, request| match router.get() {
        Some(websocket) => respond(Some(websocket), router.get(), request),
        None => respond_without_websockets(router.get(), request),
    }
}
service! {
    /// The pages of a router as a tower service: `axum::Router::new().nest_service("/live",
    /// pages)`.
    () PathRouter<Http>,
    |router, request| respond(None, Some(&router.clone().boxed()), request)
}
service! {
    /// The WebSockets of a router as a tower service:
    /// `axum::Router::new().nest_service("/ws", sockets)`.
    () PathRouter<WebSocket>,
    |router, request| respond(Some(&router.clone().boxed()), None, request)
}
service! {
    /// A single consumer as a tower service:
    /// `axum::Router::new().route_service("/ws", Chat::application(&channels))`.
    (C: WebSocketConsumer) ConsumerApplication<C>,
    |consumer, request| respond(Some(&consumer.clone().boxed()), None, request)
}
service! {
    /// A single blocking consumer as a tower service.
    (C: BlockingConsumer) BlockingApplication<C>,
    |consumer, request| respond(Some(&consumer.clone().boxed()), None, request)
}
service! {
    /// A single HTTP consumer as a tower service.
    (C: HttpConsumer) HttpConsumerApplication<C>,
    |consumer, request| respond(None, Some(&consumer.clone().boxed()), request)
}

/// Passes a request to the application of its protocol; rejects it if there is none.
///
/// The applications are borrowed: their reference counts are shared by all connections, and
/// changing one takes longer than most of this function.
fn respond(
    websocket: Option<&BoxApplication<WebSocket>>,
    http: Option<&BoxApplication<Http>>,
    request: Request<Body>,
) -> ResponseFuture {
    let is_head = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
    ResponseFuture::new(start(websocket, http, request), is_head)
}

/// Passes a request to the HTTP application, and logs a handshake for which this has no route and
/// no log line: an axum app may have WebSockets of its own.
fn respond_without_websockets(
    http: Option<&BoxApplication<Http>>,
    request: Request<Body>,
) -> ResponseFuture {
    let (head, body) = request.into_parts();
    if http.is_none() || matches!(request_kind(&head), RequestKind::Http) {
        return respond(None, http, Request::from_parts(head, body));
    }
    let client = ConnectionHandle::of(&head.extensions).and_then(|handle| handle.client());
    let peer = Peer::new(&head.uri, client);
    let response = respond(None, http, Request::from_parts(head, body));
    let source = ResponseSource::upgrade(async move {
        let Ok(response) = response.await;
        let has_no_route = matches!(
            response.status(),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UPGRADE_REQUIRED
        );
        if has_no_route && response.extensions().get::<Logged>().is_none() {
            let outcome = Rejected::Status(response.status());
            let reason = "a WebSocket handshake, and no WebSocket application is set: call `websocket` of the ProtocolTypeRouter";
            peer.log_rejection(Rule::Handshake, outcome, Some(reason));
        }
        response
    });
    ResponseFuture::new(source, false)
}

fn start(
    websocket: Option<&BoxApplication<WebSocket>>,
    http: Option<&BoxApplication<Http>>,
    request: Request<Body>,
) -> ResponseSource {
    let (mut head, body) = request.into_parts();
    let handle = ConnectionHandle::of(&head.extensions);
    let client = handle.as_ref().and_then(ConnectionHandle::client);
    if let Some(websocket) = websocket {
        match request_kind(&head) {
            RequestKind::WebSocket { accept } => {
                return ResponseSource::upgrade(upgrade(websocket.clone(), head, accept, handle));
            }
            RequestKind::Rejected(rejection) => {
                metric::handshake(rejection.status());
                return rejected_head(&head, client, rejection);
            }
            RequestKind::Http => {}
        }
    }
    let Some(http) = http else {
        let rejection = match websocket {
            Some(_) => without_upgrade(&head),
            None => Rejection::from_status(StatusCode::NOT_FOUND).by(Rule::Path),
        };
        return rejected_head(&head, client, rejection);
    };
    let extensions = mem::take(&mut head.extensions);
    let mut scope = Scope::<Http>::new(head);
    scope.client = client;
    scope.extensions = extensions;
    let span = ConnectionSpan::new(Http::NAME, &scope.head.uri, &scope.head.headers, client);
    scope.set_span(span.clone());
    let (exchange, response) = Exchange::new(body, scope.peer(), handle.clone());
    ResponseSource::http(http.start(scope, exchange), response, handle, span)
}

fn rejected_head(
    head: &request::Parts,
    client: Option<SocketAddr>,
    rejection: Rejection,
) -> ResponseSource {
    let response = rejection.into_logged_response(&Peer::new(&head.uri, client));
    ResponseSource::done(response.map(Body::from))
}
