//! The adapter that makes a tower service an application for HTTP.

use crate::{
    application::Application,
    error::{AnyError, BoxError},
    protocol::{Body, Exchange, Http},
    scope::Scope,
};
use bytes::Bytes;
use http::{Request, Response};
use std::future::poll_fn;
use tower_service::Service;

/// Makes a tower service, such as an `axum::Router`, an application for HTTP.
///
/// Values that middleware has inserted into the scope are in the request's extensions.
///
/// ```
/// use seaway::{from_service, routing::ProtocolTypeRouter};
///
/// let web = axum::Router::new().route("/", axum::routing::get(|| async { "hello" }));
/// let app = ProtocolTypeRouter::new().http(from_service(web));
/// ```
pub fn from_service<S>(service: S) -> FromService<S> {
    FromService(service)
}

/// The application that [`from_service`] returns.
#[derive(Clone, Copy, Debug)]
#[must_use = "an application does nothing until it is routed or served"]
pub struct FromService<S>(S);

impl<S, B> Application<Http> for FromService<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<AnyError>,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn call(&self, scope: Scope<Http>, mut exchange: Exchange) -> crate::Result<()> {
        let mut service = self.0.clone();
        let span = scope.span().clone();
        let mut head = *scope.head;
        head.extensions = scope.extensions;
        let request = Request::from_parts(head, exchange.take_body());
        let ready = poll_fn(|cx| service.poll_ready(cx)).await;
        ready.map_err(Into::<AnyError>::into)?;
        let response = span.watch(async { service.call(request).await }).await;
        let response = response.map_err(Into::<AnyError>::into)?;
        Ok(exchange.respond(response.map(Body::new)).await?)
    }
}
