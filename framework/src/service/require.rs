//! The tower service of `RequireUser`, for axum's routes.

use crate::middleware::WithRequiredUser;
use axum_core::response::{IntoResponse, Response};
use http::Request;
use std::{
    convert::Infallible,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};
use tower_service::Service;

/// `Router::route_layer(RequireUser::<Account>::new())` protects some routes of an axum app.
impl<B, S, U> Service<Request<B>> for WithRequiredUser<S, U>
where
    B: Send + 'static,
    S: Service<Request<B>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    U: Send + Sync + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let rule = self.rule.clone();
        // The service that is ready gets called; its clone waits for the next request.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            match rule.rejection(Some(&head), &head.extensions).await {
                Some(reject) => Ok(IntoResponse::into_response(reject)),
                None => inner.call(Request::from_parts(head, body)).await,
            }
        })
    }
}
