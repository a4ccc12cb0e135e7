//! Middleware that provides the values of startup functions to every connection.

use crate::{
    application::Application,
    error::Result,
    required_state::RequiredState,
    scope::{Protocol, Scope},
};
use http::{Extensions, Request};
use std::{
    future::Future,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Middleware that inserts the values of startup functions into every scope, and into the
/// extensions of every request.
///
/// [`Running::provide`](crate::Running::provide) returns it. It wraps applications and tower
/// services.
#[derive(Clone, Debug, Default)]
#[must_use = "a middleware has no effect until it wraps an application"]
pub struct ProvideAll {
    /// `None` if there are no values.
    values: Option<Arc<Extensions>>,
}

impl ProvideAll {
    pub(crate) fn new(values: &Extensions) -> Self {
        let values = (!values.is_empty()).then(|| Arc::new(values.clone()));
        Self { values }
    }

    fn fill(&self, extensions: &mut Extensions) {
        if let Some(values) = &self.values {
            extensions.extend(Extensions::clone(values));
        }
    }
}

/// An application or a service wrapped by [`ProvideAll`].
#[derive(Clone, Debug)]
pub struct WithValues<A> {
    inner: A,
    values: ProvideAll,
}

impl<A> Layer<A> for ProvideAll {
    type Service = WithValues<A>;

    fn layer(&self, inner: A) -> WithValues<A> {
        WithValues {
            inner,
            values: self.clone(),
        }
    }
}

impl<P: Protocol, A: Application<P>> Application<P> for WithValues<A> {
    fn call(
        &self,
        mut scope: Scope<P>,
        connection: P::Connection,
    ) -> impl Future<Output = crate::Result<()>> + Send {
        self.values.fill(&mut scope.extensions);
        self.inner.call(scope, connection)
    }

    fn required_state(&self) -> RequiredState {
        let required = self.inner.required_state();
        match &self.values.values {
            Some(values) => required.without_all(values),
            None => required,
        }
    }
}

impl<B, S: Service<Request<B>>> Service<Request<B>> for WithValues<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.values.fill(request.extensions_mut());
        self.inner.call(request)
    }
}
