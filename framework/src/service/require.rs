//! The tower service of `RequireUser`, for axum's routes.

use crate::{
    middleware::WithRequiredUser,
    protocol::{ConnectionHandle, RequestKind, request_kind},
    rejection_log::Peer,
};
use axum_core::{body::Body, response::Response};
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
            let page = matches!(request_kind(&head), RequestKind::Http).then_some(&head);
            match rule.rejection(page, &head.extensions).await {
                Some(reject) => {
                    let client = ConnectionHandle::of(&head.extensions);
                    let client = client.as_ref().and_then(ConnectionHandle::client);
                    let response = reject.into_logged_response(&Peer::new(&head.uri, client));
                    Ok(response.map(|text| Body::from(text.into_owned())))
                }
                None => inner.call(Request::from_parts(head, body)).await,
            }
        })
    }
}
