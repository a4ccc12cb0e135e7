//! The tower services of routers and consumers: under hyper, inside axum, behind tower-http.

use super::{
    response_future::{Answering, ResponseFuture, refusal},
    upgrade::open,
};
use crate::{
    consumer::{
        BlockingApplication, BlockingConsumer, ConsumerApplication, HttpConsumer,
        HttpConsumerApplication, WebSocketConsumer,
    },
    error::BoxError,
    metric,
    protocol::{Body, Exchange, Http, WebSocket},
    refusal_log::{Peer, Rule},
    rejection::Rejection,
    routing::ProtocolTypeRouter,
    scope::Scope,
    server::{Asked, ConnectionHandle, asked, handle, without_upgrade},
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, request};
use std::{
    convert::Infallible,
    task::{Context, Poll},
};
use tower_service::Service;

/// The router as a tower service: under hyper, inside axum, behind tower-http.
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
        let is_head = request.method() == Method::HEAD && request.version() == Version::HTTP_2;
        ResponseFuture::new(answer(self, request.map(Body::new)), is_head)
    }
}

fn answer(router: &ProtocolTypeRouter, request: Request<Body>) -> Answering {
    let (mut head, body) = request.into_parts();
    if let Some(sockets) = router.get::<WebSocket>() {
        match asked(&head) {
            Asked::WebSocket { accept } => {
                let opening = open(sockets.clone(), head, accept);
                return Answering::socket(async {
                    let response = opening.await;
                    metric::handshake(response.status());
                    response
                });
            }
            Asked::Refuse(reject) => {
                metric::handshake(reject.status());
                return Answering::now(refused(&head, reject));
            }
            Asked::Page => {}
        }
    }
    let Some(pages) = router.get::<Http>() else {
        let reject = match router.get::<WebSocket>() {
            Some(_) => without_upgrade(&head),
            None => Rejection::from(StatusCode::NOT_FOUND).by(Rule::Path),
        };
        return Answering::now(refused(&head, reject));
    };
    let extensions = std::mem::take(&mut head.extensions);
    let mut scope = Scope::new(head);
    let handle = handle();
    scope.client = handle.as_ref().and_then(|handle| handle.client);
    scope.extensions = extensions;
    let (exchange, reply) = Exchange::new(body, handle.map(ConnectionHandle::host));
    Answering::page(pages.start(scope, exchange), reply)
}

/// Makes an application a tower service that routes to it alone.
macro_rules! service_of {
    ($(#[$doc:meta])* $application:ident<$consumer:ident>, $protocol:ident) => {
        $(#[$doc])*
        impl<B, C: $consumer> Service<Request<B>> for $application<C>
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
                    .$protocol(self.clone())
                    .call(request)
            }
        }
    };
}

service_of! {
    /// A single consumer as a tower service:
    /// `axum::Router::new().route_service("/ws", Chat::application(&channels))`.
    ConsumerApplication<WebSocketConsumer>, websocket
}
service_of! {
    /// A single blocking consumer as a tower service.
    BlockingApplication<BlockingConsumer>, websocket
}
service_of! {
    /// A single HTTP consumer as a tower service.
    HttpConsumerApplication<HttpConsumer>, http
}

/// Refuses a request that no application handles.
fn refused(head: &request::Parts, reject: Rejection) -> Response<Body> {
    let client = handle().and_then(|handle| handle.client);
    reject.log(&Peer::new(&head.uri, client));
    refusal(reject)
}
